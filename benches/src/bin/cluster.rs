//! Measures three node processes on loopback and prints one `name value unit` line per figure.
//!
//! ```console
//! $ cargo run --release -p tabularaft-benches --bin cluster                      # all figures, some minutes
//! $ cargo run --release -p tabularaft-benches --bin cluster -- --quick           # small, to see that it works
//! $ cargo run --release -p tabularaft-benches --bin cluster -- --only writes --seconds 5
//! ```
//!
//! Units: `ops/s` and `records/s` per second of wall time; `µs`, `ms`, `s` of wall time; `ns` of wall time per read as
//! one thread sees it; `MB/s` in 10⁶ bytes of keys and values, 116 per record. What each name means stands at the
//! top of its file in `benches/src/figures/`. Figures are medians of the runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tabularaft_benches::Failure;
use tabularaft_benches::figures::{Figure, Scale};
use tabularaft_benches::node::{self, NodeArgs};
use tabularaft_benches::report;
use tracing_subscriber::EnvFilter;

/// Measures three node processes on loopback.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// Small tables and short runs, to see that everything works; such figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Takes these figures only; may be given several times.
    #[arg(long, value_enum)]
    only: Vec<Figure>,
    /// How long one run of reads or writes lasts. Default 3.
    #[arg(long)]
    seconds: Option<f64>,
    /// How many runs each figure is the median of. Default 5.
    #[arg(long)]
    runs: Option<usize>,
    /// Records of the tables that are read, copied and loaded. Default 1,000,000.
    #[arg(long)]
    records: Option<u64>,
    /// Where the nodes keep their data; it should be on a real disc. Default: the directory for temporary files.
    #[arg(long)]
    dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Role {
    /// A node process, which the measuring process starts.
    #[command(hide = true)]
    Node(NodeArgs),
}

impl Args {
    fn scale(&self) -> Scale {
        let (records, written_records, seconds, runs) =
            if self.quick { (20_000, 2_000, 0.3, 1) } else { (1_000_000, 100_000, 3.0, 5) };
        Scale {
            records: self.records.unwrap_or(records).max(1),
            written_records,
            seconds: self.seconds.unwrap_or(seconds).max(0.01),
            runs: self.runs.unwrap_or(runs).max(1),
            dir: self.dir.clone().unwrap_or_else(std::env::temp_dir),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,openraft=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let mut args = Args::parse();
    let done = match args.role.take() {
        Some(Role::Node(node)) => node::run(node).await,
        None => tokio::select! {
            done = measure(&args) => done,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args) -> Result<(), Failure> {
    let figures = if args.only.is_empty() { Figure::value_variants() } else { args.only.as_slice() };
    for figure in figures {
        report::step(format!("{figure:?}"));
        figure.take(&args.scale()).await?;
    }
    Ok(())
}
