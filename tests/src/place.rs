//! Where a test node keeps its data.

use std::path::{Path, PathBuf};

use tabularaft::store::log::{SyncedMark, simulate_power_loss};
use tempfile::TempDir;

/// A data directory that outlives the node's processes, or none.
#[derive(Debug)]
pub enum Place {
    /// A directory of its own, deleted with the cluster.
    Disc(TempDir),
    /// Nothing is kept.
    Diskless,
}

impl Place {
    /// The data directory.
    pub fn dir(&self) -> Option<&Path> {
        match self {
            Place::Disc(dir) => Some(dir.path()),
            Place::Diskless => None,
        }
    }

    /// Takes back what no sync covered, as a crash of the machine does.
    pub(crate) fn lose_power(&self, synced: SyncedMark) {
        if let Some(log) = self.dir().map(log_dir) {
            simulate_power_loss(&log, synced).expect("the log of a dead node can be cut");
        }
    }
}

fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}
