//! How a log is set up.

use std::sync::Arc;

use crate::disc::{DiscControl, OsDisc};
use crate::threads::{OsThreads, Threads};

/// The smallest segment that makes sense: a header, the marks and some entries.
const SEGMENT_BYTES_MIN: u64 = 4 * 1024;

/// How a log is set up. All sizes are in bytes.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// The size of one segment file: what is preallocated at a time, and what a purge frees at a time.
    /// Default 64 MiB, at least 4 KiB. One group of writes larger than this gets a segment of its own size.
    pub segment_bytes: u64,
    /// How many bytes of the most recent entries stay in memory for replication; older ones are read from the segments,
    /// which the system caches. Default 16 MiB.
    /// Entries that are not written yet stay in memory beyond it; see `queue_bytes`.
    pub cache_bytes: usize,
    /// How many bytes may wait for the writer thread; callers beyond that block. Default 64 MiB.
    pub queue_bytes: usize,
    /// Whether the machine (not only the process) may have stopped since the log was last open, so that unsynced
    /// bytes may be lost in any pattern. With `false` such patterns are reported as damage. Default `true`.
    pub machine_crashed: bool,
    /// The door to the disc.
    pub disc: Arc<dyn DiscControl>,
    /// Where the writer's thread comes from.
    pub threads: Arc<dyn Threads>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            cache_bytes: 16 * 1024 * 1024,
            queue_bytes: 64 * 1024 * 1024,
            machine_crashed: true,
            disc: Arc::new(OsDisc),
            threads: Arc::new(OsThreads),
        }
    }
}

impl LogOptions {
    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes.max(SEGMENT_BYTES_MIN)
    }
}
