//! `demo`: the store at work on one machine, every step shown as it is seen.

mod crash;
mod nodes;
mod process;
mod records;
mod steps;
mod wait;

use tokio::signal::unix::{SignalKind, signal};

use crate::args::DemoArgs;
use crate::failure::{Context, Failure, Outcome};
use crate::output;

use nodes::Nodes;

/// Runs all steps. Whatever happens, no node is left running unless all went well and `--keep` was given.
pub(super) async fn run(args: &DemoArgs) -> Outcome {
    let mut nodes = Nodes::new(args.nodes)?;
    let mut steps = Steps::default();
    let result = tokio::select! {
        result = steps::run(&mut nodes, &mut steps) => result.map_err(|failure| steps.failed(failure, &nodes)),
        result = interrupted() => result,
    };
    match result {
        Ok(()) if args.keep => nodes.keep(),
        Ok(()) => nodes.stop(&mut steps).await,
        Err(failure) => {
            nodes.kill().await;
            Err(failure)
        }
    }
}

async fn interrupted() -> Outcome {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.context("cannot listen for signals")?,
        _ = terminate.recv() => {}
    }
    Err(Failure::new("interrupted; all nodes of the demo are stopped"))
}

/// What is printed while the demo runs: numbered steps, and under each what was observed.
#[derive(Default)]
struct Steps {
    count: usize,
    title: String,
}

impl Steps {
    fn begin(&mut self, title: &str) -> Outcome {
        self.count += 1;
        self.title = title.into();
        output::print(&format!("\n{:2}. {title}\n", self.count))
    }

    fn saw(&self, what: &str) -> Outcome {
        let lines: String = what
            .lines()
            .map(|line| if line.is_empty() { "\n".into() } else { format!("    {line}\n") })
            .collect();
        output::print(&lines)
    }

    /// Names the step, and shows on stderr what the nodes said last.
    fn failed(&self, failure: Failure, nodes: &Nodes) -> Failure {
        match failure {
            Failure::BrokenPipe => Failure::BrokenPipe,
            Failure::Said(why) => {
                eprint!("{}", nodes.log_tails());
                Failure::new(format_args!("step {} ({}): {why}", self.count, self.title))
            }
        }
    }
}
