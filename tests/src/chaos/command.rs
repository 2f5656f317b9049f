//! The program around it: for how long, from which seed, and what it says.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::node::{self, NodeArgs, Weakness};
use super::run::{Plan, Report};

const USAGE: &str = "\
usage: cargo xtask chaos [--minutes M | --seconds S] [--seed N] [--history DIR] [--trace] [--calm] [--weaken WHAT]
  --minutes M      lets things go wrong for so long (default 3)
  --seed N         which faults and which operations; when they hit is up to the machine. Default: from the clock
  --history DIR    keeps what clients asked and were told, as JSON lines, in lists-N.jsonl and records-N.jsonl
  --trace          says what was done to the nodes, also when nothing was found
  --calm           lets nothing go wrong
  --weaken WHAT    unchecked-reads or stale-reads: nodes that are wrong on purpose, which the checks must find
";

/// Runs the program with these arguments.
pub fn command(arguments: Vec<String>) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    if let Some(("node", words)) = arguments.split_first().map(|(first, words)| (first.as_str(), words)) {
        return said(match NodeArgs::of(words) {
            Some(args) => runtime.block_on(node::run(args)),
            // The nodes of the figures on overload, which are tests too.
            None => {
                runtime.block_on(tabularaft_benches::node::run_with(words)).map_err(|error| error.to_string())
            }
        });
    }
    let Some((plan, trace)) = parse(&arguments) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    println!("seed {}", plan.seed);
    said(
        runtime
            .block_on(plan.run())
            .map_err(|failure| {
                let dir = failure.dir.display();
                format!("{}\nFAILED {failure}\ndata and logs of the nodes: {dir}", failure.trace.join("\n"))
            })
            .map(|report| {
                if trace {
                    println!("{}", report.trace.join("\n"));
                }
                println!("{}", summary(&report));
            }),
    )
}

fn said(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<(Plan, bool)> {
    let seed = std::time::UNIX_EPOCH.elapsed().ok()?.as_secs();
    let length = Duration::from_secs(180);
    let mut plan = Plan { seed, length, history: None, weakness: Weakness::None, faults: true };
    let mut trace = false;
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--minutes" => {
                plan.length = Duration::from_secs(words.next()?.parse::<u64>().ok()?.checked_mul(60)?)
            }
            "--seconds" => plan.length = Duration::from_secs(words.next()?.parse().ok()?),
            "--seed" => plan.seed = words.next()?.parse().ok()?,
            "--history" => plan.history = Some(PathBuf::from(words.next()?)),
            "--weaken" => plan.weakness = Weakness::of(words.next()?)?,
            "--calm" => plan.faults = false,
            "--trace" => trace = true,
            _ => return None,
        }
    }
    Some((plan, trace))
}

fn summary(report: &Report) -> String {
    let Report { rounds, faults, operations, done, transactions, unknown, adds, longest_gap_ms, .. } = report;
    format!(
        "passed: {rounds} rounds, {faults} faults, {operations} operations on records ({done} done), {transactions} \
         transactions, {unknown} of unknown outcome, {adds} acknowledged adds all found, longest write gap \
         {longest_gap_ms} ms"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_command_line_says_how_long_and_which() {
        let (plan, trace) = parse(&words("--minutes 30 --seed 7 --history kept --trace")).unwrap();
        assert_eq!((plan.length, plan.seed, trace), (Duration::from_secs(1_800), 7, true));
        assert_eq!(plan.history, Some("kept".into()));
        assert!(parse(&words("--minutes")).is_none());
        assert!(parse(&words("--hours 1")).is_none());
    }
}
