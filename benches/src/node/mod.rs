//! One node process: a program that embeds the store, and whose callers do as they are told over its standard input.
//!
//! It ends when its standard input does, so no node outlives the process that measures, however that one ends.

mod loading;
mod readers;
mod serve;
mod writers;

use std::io::Write;
use std::path::PathBuf;

use tabularaft::{Node, Secret};

use self::serve::Served;
use crate::Failure;
use crate::protocol::{Command, Reply};

/// How a node process is started.
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    /// The node's name, `name@host`.
    #[arg(long)]
    pub name: String,
    /// Where it keeps its data.
    #[arg(long)]
    pub data_dir: PathBuf,
    /// Where it listens; port 0 takes a free one.
    #[arg(long)]
    pub listen: String,
    /// The file with the cluster's secret; without one only loopback can be listened on.
    #[arg(long)]
    pub secret_file: Option<PathBuf>,
}

/// The arguments as those of a program of their own.
#[derive(Debug, clap::Parser)]
struct Program {
    #[command(flatten)]
    args: NodeArgs,
}

/// As [`run`], for another program that is started as a node with these words.
///
/// # Errors
///
/// As [`run`]; also when the words are no [`NodeArgs`].
pub async fn run_with(words: &[String]) -> Result<(), Failure> {
    let words = std::iter::once("node").chain(words.iter().map(String::as_str));
    run(<Program as clap::Parser>::try_parse_from(words)?.args).await
}

/// Starts the node and serves commands until standard input ends.
///
/// # Errors
///
/// When the node does not start or the pipes break; failures of commands are replies.
pub async fn run(args: NodeArgs) -> Result<(), Failure> {
    let mut builder = Node::builder(args.name).data_dir(args.data_dir).listen(args.listen);
    if let Some(file) = args.secret_file {
        builder = builder.secret(Secret::load(file)?);
    }
    let node = builder.start().await?;
    reply(&Reply::Started { address: node.listen_address().to_string() })?;
    let mut served = Served::new(node);
    while let Some(command) = next_command().await? {
        let is_last = matches!(command, Command::Shutdown);
        let outcome = served.serve(command).await;
        reply(&outcome.unwrap_or_else(|error| Reply::Failed(error.to_string())))?;
        if is_last {
            break;
        }
    }
    Ok(())
}

/// The next line of standard input; `None` at its end.
async fn next_command() -> Result<Option<Command>, Failure> {
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await?;
    let command = line.transpose()?.map(|line| serde_json::from_str(&line));
    Ok(command.transpose()?)
}

/// One line is short enough for the pipe to take it at once.
fn reply(reply: &Reply) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(reply)?)?;
    Ok(out.flush()?)
}
