//! `node run`

use std::io::{self, IsTerminal};
use std::path::Path;

use tabularaft::{LocalData, Node, NodeBuilder, NodeConfig};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::args::{GlobalArgs, LocalDataChoice, RunArgs};
use crate::failure::{Context, Failure, Outcome};
use crate::node_file;
use crate::output;
use crate::session::read_secret;

/// What is logged unless `RUST_LOG` says otherwise. The Raft library tells each of its steps as an event of life.
const DEFAULT_FILTER: &str = "info,openraft=warn";

/// Runs a node until SIGTERM or SIGINT. A second signal ends the process without waiting for a clean stop.
pub(super) async fn run(global: &GlobalArgs, args: RunArgs) -> Outcome {
    log_to_stderr();
    let mut signals = Signals::new()?;
    let builder = builder(global, args)?;
    let node = tokio::select! {
        started = builder.start() => started.map_err(|error| Failure::of(&error))?,
        // Dropping an unfinished start is what a crash at this moment would be, and a node survives that.
        signal = signals.next() => return Err(Failure::new(format_args!("{signal} before the node served"))),
    };
    if output::print(&ready_line(&node)?).is_err() {
        // Whoever started the node does not listen; that is no reason to take it from those it serves.
        tracing::warn!("the ready line could not be written to stdout");
    }
    let signal = signals.next().await;
    tracing::info!(signal, "stopping");
    tokio::select! {
        () = node.shutdown() => Ok(()),
        signal = signals.next() => Err(Failure::new(format_args!("{signal} while the node was stopping"))),
    }
}

fn builder(global: &GlobalArgs, args: RunArgs) -> Outcome<NodeBuilder> {
    let mut builder = Node::builder(args.name.as_str())
        .listen(args.listen.to_string())
        .config(config(args.config.as_deref())?)
        .on_local_data(local_data(args.on_local_data));
    builder = match args.data_dir {
        Some(dir) => builder.data_dir(dir),
        None => builder.diskless(),
    };
    if let Some(address) = args.advertise {
        builder = builder.advertise(address);
    }
    if let Some(secret) = read_secret(global)? {
        builder = builder.secret(secret);
    }
    if let Some(peer) = args.join {
        builder = builder.join(peer);
    }
    Ok(builder)
}

fn config(path: Option<&Path>) -> Outcome<NodeConfig> {
    path.map_or_else(|| Ok(NodeConfig::default()), node_file::read)
}

fn local_data(choice: LocalDataChoice) -> LocalData {
    match choice {
        LocalDataChoice::Refuse => LocalData::Refuse,
        LocalDataChoice::Export => LocalData::Export,
        LocalDataChoice::Discard => LocalData::Discard,
    }
}

/// The one line that whoever started the node waits for.
fn ready_line(node: &Node) -> Outcome<String> {
    let incarnation = node.incarnation().ok_or_else(|| Failure::new("the node stopped while it started"))?;
    Ok(format!("ready name={} listen={} incarnation={incarnation}\n", node.name(), node.listen_address()))
}

fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

/// The signals that stop a node, and a watch.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> Outcome<Self> {
        let of = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { terminate: of(SignalKind::terminate())?, interrupt: of(SignalKind::interrupt())? })
    }

    /// Waits for the next one. Cancel-safe: a signal that is not taken here is taken by the next call.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
