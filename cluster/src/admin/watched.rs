//! What a watch asks for and is given.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::{NodeName, TableName};

use super::table_ref::TableRef;

/// The longest that a node waits for a change before it answers without one, in milliseconds.
pub const WATCH_WAIT_MAX_MS: u32 = 30_000;

/// What to watch, and from where on. A node keeps nothing of a watch between two requests.
///
/// Persistent: add, never change or reuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRequest {
    /// What to watch.
    pub scope: WatchScope,
    /// Where to begin; absent: with what changes from now on. The answer then comes at once and has no changes.
    pub after: Option<WatchPlace>,
    /// How long to wait for a change, in milliseconds; at most [`WATCH_WAIT_MAX_MS`].
    pub wait_ms: u32,
}

/// What can be watched.
///
/// Persistent: add, never change or reuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WatchScope {
    /// A table.
    Table {
        /// The table.
        table: TableRef,
        /// Which of its records.
        records: WatchRecords,
    },
    /// The members of the cluster.
    Members,
}

/// Which records of a table are watched.
///
/// Persistent: add, never change or reuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WatchRecords {
    /// All.
    All,
    /// Those under an encoded key.
    Key(Bytes),
    /// Those whose encoded keys start so.
    Prefix(Bytes),
}

/// A place in the changes. It means the same on every node of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchPlace {
    /// Every watched change up to this log index has been given.
    pub index: u64,
    /// And so many of those of the next log index that has any.
    pub given: u32,
}

/// Changes, in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchPage {
    /// The changes; none if nothing has changed in time.
    pub changes: Vec<WatchedChange>,
    /// Where to go on.
    pub next: WatchPlace,
    /// The table is gone, or the node's copy of it: nothing can follow.
    pub ended: bool,
    /// The cluster, by the number that it drew when it was founded: places mean nothing in another one.
    pub cluster_id: u128,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedChange {
    /// The log index of the change.
    pub index: u64,
    /// Another watched change of the same log index follows.
    pub more: bool,
    /// What happened.
    pub kind: WatchedKind,
    /// The table.
    pub table: Option<TableName>,
    /// The record's key as JSON text.
    pub key: Option<String>,
    /// The record that was there, as JSON text.
    pub old: Option<String>,
    /// The record that is there now, as JSON text.
    pub new: Option<String>,
    /// The version of the record that is there now; 0 without one.
    pub version: u64,
    /// The member that has changed.
    pub member: Option<WatchedMember>,
}

/// What a change did.
///
/// Persistent: add, never change or reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WatchedKind {
    /// A record was inserted or replaced.
    Put,
    /// A record was deleted.
    Delete,
    /// All records of the table were deleted.
    Clear,
    /// The table was created.
    Created,
    /// The table's definition was changed.
    Altered,
    /// The table was dropped.
    Dropped,
    /// The node has completed a copy of the table.
    CopyLoaded,
    /// The node has given its copy up.
    CopyGivenUp,
    /// The cluster was founded.
    Founded,
    /// A node became a member.
    Admitted,
    /// A member began a new life.
    Started,
    /// A member was removed.
    Removed,
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedMember {
    /// Its name.
    pub name: NodeName,
    /// Its id.
    pub node: u64,
    /// The number of the life that it began.
    pub life: Option<u64>,
    /// Where its peers reach it, unless it was removed.
    pub address: Option<String>,
}
