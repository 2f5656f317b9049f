//! The figures, each taken on a cluster of its own.

mod copy;
mod failover;
mod load;
pub mod overload;
mod reads;
mod restart;
mod writes;

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

use crate::Failure;

/// How large and how long the workloads are.
#[derive(Debug, Clone)]
pub struct Scale {
    /// Records of the tables that are read, copied and loaded.
    pub records: u64,
    /// Records of the tables that are written to.
    pub written_records: u64,
    /// How long one run of reads or writes lasts.
    pub seconds: f64,
    /// Figures are medians of this many runs.
    pub runs: usize,
    /// Where the nodes keep their data.
    pub dir: PathBuf,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Figure {
    /// Local reads by one and two threads.
    Reads,
    /// Writes by 1 to 256 callers, on the leader and on a follower, to ram and disc tables.
    Writes,
    /// A table filled by writers.
    Load,
    /// A table copied to a fourth node that joins, alone and while the others write.
    Copy,
    /// A node restarted with a full table.
    Restart,
    /// How long nobody can write when a node is killed, paused or cut off.
    Failover,
    /// 10,000 waiting writers, and a follower that is paused for a minute.
    Overload,
}

impl Figure {
    /// Takes the figure and prints it.
    ///
    /// # Errors
    ///
    /// When a node failed or did not answer.
    pub async fn take(self, scale: &Scale) -> Result<(), Failure> {
        match self {
            Figure::Reads => reads::take(scale).await,
            Figure::Writes => writes::take(scale).await,
            Figure::Load => load::take(scale).await,
            Figure::Copy => copy::take(scale).await,
            Figure::Restart => restart::take(scale).await,
            Figure::Failover => failover::take(scale).await,
            Figure::Overload => overload::take(scale).await,
        }
    }
}

/// Callers that fill a table.
const LOADERS: usize = 256;
/// Writes that begin in this time are not counted.
const WARM_UP_SECONDS: f64 = 0.3;

async fn pause(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}
