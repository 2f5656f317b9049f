//! Runs the workloads of Mnesia's users on Tabularaft, Mnesia, etcd and hiqlite, in one run and in turns, and prints
//! how many times better Tabularaft is.
//!
//! ```console
//! $ benches/compare/run                                  # everything; writes the section of benches/RESULTS.md
//! $ benches/compare/run --only writes --peers mnesia     # some of it, to standard output
//! ```
//!
//! All stores run as processes on loopback. Callers of a store that is embedded are inside its nodes' processes, on
//! the leader unless a workload says otherwise; etcd's are in a process beside its servers.
//!
//! ```text
//! plan -> compare -> process == lines over pipes ==> a node of any peer, with its callers
//!            |
//!            +-> report
//! ```

mod compare;
mod load;
mod peers;
mod plan;
mod process;
mod report;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use compare_lines::Failure;

use crate::compare::{SceneResult, Settings};
use crate::peers::Peer;
use crate::plan::Sizes;
use crate::workload::Group;

/// Compares Tabularaft with its peers.
#[derive(Parser)]
struct Args {
    /// Takes these parts only; may be given several times.
    #[arg(long, value_enum)]
    only: Vec<Group>,
    /// Against these peers only; Tabularaft always takes part.
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// How long one run lasts.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How many rounds; ratios are medians of them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Records of the tables that are read.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// Where the nodes keep their data; it should be on a real disc. Default: the directory for temporary files.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Puts the tables between the marks of this file.
    #[arg(long)]
    results: Option<PathBuf>,
}

impl Args {
    fn settings(&self) -> Settings {
        let wanted =
            |peer: &Peer| *peer == Peer::Tabularaft || self.peers.is_empty() || self.peers.contains(peer);
        Settings {
            rounds: self.rounds.max(1),
            seconds: self.seconds.max(0.05),
            peers: Peer::value_variants().iter().copied().filter(wanted).collect(),
            dir: self.dir.clone().unwrap_or_else(std::env::temp_dir),
        }
    }

    fn sizes(&self) -> Sizes {
        let read = self.records.max(10_000);
        Sizes { read, written: (read / 10).max(10_000) }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let done = tokio::select! {
        done = measure(&args) => done,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args) -> Result<(), Failure> {
    let settings = args.settings();
    let mut results = Vec::new();
    for scene in plan::scenes(args.sizes()) {
        if args.only.is_empty() || args.only.contains(&scene.group) {
            results.push(compare::run(scene, &settings).await);
        }
    }
    if args.only.is_empty() || args.only.contains(&Group::Load) {
        results.push(load::run(args.sizes().read, &settings).await);
    }
    let page = report::page(&results);
    print!("{page}");
    if let Some(file) = &args.results {
        report::paste(&page, file)?;
    }
    failures(&results)
}

/// What failed is in the page too; the exit code must tell of it.
fn failures(results: &[SceneResult]) -> Result<(), Failure> {
    let outcomes = results.iter().flat_map(|scene| &scene.workloads).flat_map(|workload| &workload.outcomes);
    let failed: Vec<_> = outcomes
        .filter_map(|(contender, outcome)| {
            outcome.as_ref().err().map(|why| format!("{}: {why}", contender.label()))
        })
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}
