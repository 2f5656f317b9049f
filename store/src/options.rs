//! How a store is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tabularaft_schema::NodeName;

use crate::disc::{DiscControl, OsDisc};
use crate::threads::{OsThreads, Threads};
use crate::{LogIndex, Position};

/// Called by the checkpoint thread after each checkpoint, with the position up to which the log may be purged. It must
/// not take the writer.
pub type OnCheckpoint = Box<dyn Fn(Position) + Send + Sync>;

/// Options of a [`Store`](crate::Store).
///
/// | option | unit | default | meaning |
/// |---|---|---|---|
/// | `checkpoint_bytes` | bytes | 64 MiB | changes, or log, after which a checkpoint begins; at four times as many waiting changes the store is overloaded |
/// | `checkpoint_interval` | time | 30 s | after which a checkpoint begins if anything has changed |
/// | `cache_bytes` | bytes | 64 MiB | cache of the database file; what disc-only tables read from without touching the disc |
/// | `load_buffer_bytes` | bytes | 64 MiB | changes kept for one table while its records arrive; beyond, its copy starts again |
/// | `history_bytes` | bytes | 16 MiB | changes kept for those who follow the tables, see [`History`](crate::History); 0: none |
pub struct StoreOptions {
    /// The name under which the schema knows this node.
    pub node: NodeName,
    /// Where the database files are; created if missing. `None`: a node without a disc, whose disc and disc-only
    /// copies lie in memory.
    pub dir: Option<PathBuf>,
    /// The door that every write to disc passes.
    pub disc: Arc<dyn DiscControl>,
    /// Where the store's threads come from.
    pub threads: Arc<dyn Threads>,
    /// See the table above.
    pub checkpoint_bytes: usize,
    /// See the table above.
    pub checkpoint_interval: Duration,
    /// See the table above.
    pub cache_bytes: usize,
    /// See the table above.
    pub load_buffer_bytes: usize,
    /// See the table above.
    pub history_bytes: usize,
    /// Up to here the log comes from earlier lives of the node. Ram tables end with the life that held them, so one that
    /// the log creates up to here is not filled from the log: it is loading, as a ram table of the checkpoint is. `None`:
    /// the node has not lived before.
    pub replayed_upto: Option<LogIndex>,
    /// Up to here the log is purged, so that the checkpoint must reach at least as far: if not, opening is refused.
    pub purged_upto: Option<LogIndex>,
    /// Called after each checkpoint.
    pub on_checkpoint: Option<OnCheckpoint>,
}

impl StoreOptions {
    const MIB: usize = 1024 * 1024;

    /// The defaults, for a node without a disc.
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            dir: None,
            disc: Arc::new(OsDisc),
            threads: Arc::new(OsThreads),
            checkpoint_bytes: 64 * Self::MIB,
            checkpoint_interval: Duration::from_secs(30),
            cache_bytes: 64 * Self::MIB,
            load_buffer_bytes: 64 * Self::MIB,
            history_bytes: 16 * Self::MIB,
            replayed_upto: None,
            purged_upto: None,
            on_checkpoint: None,
        }
    }

    /// Keeps disc copies in this directory.
    #[must_use]
    pub fn with_dir(self, dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()), ..self }
    }
}

impl std::fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreOptions")
            .field("node", &self.node)
            .field("dir", &self.dir)
            .field("checkpoint_bytes", &self.checkpoint_bytes)
            .field("checkpoint_interval", &self.checkpoint_interval)
            .field("cache_bytes", &self.cache_bytes)
            .field("load_buffer_bytes", &self.load_buffer_bytes)
            .field("history_bytes", &self.history_bytes)
            .field("replayed_upto", &self.replayed_upto)
            .field("purged_upto", &self.purged_upto)
            .finish_non_exhaustive()
    }
}
