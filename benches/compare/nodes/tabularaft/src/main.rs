//! A node of Tabularaft: a program that embeds it, whose callers do as they are told over standard input.

mod callers;
mod classics;
mod copy_mode;
mod reads;
mod records;
mod tables;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tabularaft::{Lifecycle, Node};
use tokio::sync::broadcast::error::RecvError;
use tracing_subscriber::EnvFilter;

use compare_lines::Failure;
use compare_lines::Line;
use compare_lines::served::{self, Served, done, unknown};

/// Longer than anything here takes; what takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// An application chooses its allocator; Erlang and Go bring theirs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A node of Tabularaft, which the comparison starts.
#[derive(Debug, clap::Parser)]
struct NodeArgs {
    /// The node's name, `name@host`.
    #[arg(long)]
    name: String,
    /// Where it keeps its data.
    #[arg(long)]
    dir: PathBuf,
    /// Where it listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(NodeArgs::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tabularaft-node: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the node and serves commands.
async fn run(args: NodeArgs) -> Result<(), Failure> {
    let node = Node::builder(args.name).data_dir(args.dir).listen(args.listen).start().await?;
    let address = node.listen_address().to_string();
    served::serve(TabularaftNode { node }, &address).await
}

struct TabularaftNode {
    node: Node,
}

impl Served for TabularaftNode {
    async fn serve(&mut self, command: &Line) -> Result<Line, Failure> {
        let began = Instant::now();
        match command.verb.as_str() {
            "status" => return Ok(Line::new("status").with("leader", self.node.is_leader())),
            "join" => drop(self.node.join(command.text("peer")?).await?),
            "copy" => return self.join_for_a_copy(command.text("peer")?).await,
            "drop-copy" => self.node.leave().await?,
            // It has begun with the process.
            "resume" => {}
            "create" => tables::create(&self.node, command).await?,
            "fill" => tables::fill(&self.node, command).await?,
            "wait" => tables::wait(&self.node, command, PATIENCE).await?,
            "check" => return classics::check(&self.node, command),
            "tpcb" | "telecom" => return classics::run(&self.node, command).await,
            "write" | "rmw" | "bag-insert" => return callers::run(&self.node, command).await,
            "read" | "range" | "bag-read" | "index-read" => return reads::run(&self.node, command),
            "stop" => self.node.shutdown().await,
            _ => return Err(unknown(command)),
        }
        Ok(done(began))
    }
}

impl TabularaftNode {
    /// Joins, and tells how long the copying of the tables took, from the first record to the last.
    async fn join_for_a_copy(&self, peer: &str) -> Result<Line, Failure> {
        let mut events = self.node.lifecycle();
        let watch = tokio::spawn(async move {
            let (mut first, mut last) = (None, None);
            loop {
                match events.recv().await {
                    Ok(Lifecycle::Copying { .. }) => {
                        first.get_or_insert_with(Instant::now);
                        last = Some(Instant::now());
                    }
                    Ok(Lifecycle::CatchingUp) => last = Some(Instant::now()),
                    Ok(Lifecycle::Running { .. }) | Err(RecvError::Closed) => break,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                }
            }
            first.zip(last).map(|(first, last)| last - first)
        });
        self.node.join(peer).await?;
        let copying = watch.await?.ok_or("no table was copied")?;
        Ok(Line::new("done").with("seconds", copying.as_secs_f64()))
    }
}
