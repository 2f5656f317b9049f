//! Everything a view holds besides the records: the same on every node at one log index.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::Schema;

use crate::system::SystemState;
use crate::windows::Windows;
use crate::{LogIndex, Position};

/// The replicated state without the records. Cloning shares everything.
///
/// Persistent, in checkpoints and in images: the order of the fields is the format.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ClusterState {
    /// The last entry that is in here; `None` until there is one.
    pub(crate) applied: Option<Position>,
    /// The last membership entry of the Raft log, as its owner encodes it.
    pub(crate) membership: Option<Bytes>,
    pub(crate) schema: Arc<Schema>,
    pub(crate) system: Arc<SystemState>,
    pub(crate) windows: Windows,
    /// The greatest version that any effect has carried, so that no version is used twice, also of deleted records.
    pub(crate) last_version: u64,
}

impl ClusterState {
    /// The log index of the entry that is to be applied next.
    pub(crate) fn next_index(&self) -> u64 {
        self.applied.map_or(0, |applied| applied.index.saturating_add(1))
    }

    pub(crate) fn applied_index(&self) -> LogIndex {
        self.applied.map(Position::log_index).unwrap_or_default()
    }
}
