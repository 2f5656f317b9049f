//! Effects: what the sequencer decides and every node applies without deciding anything again.

use bytes::Bytes;
use tabularaft_schema::{SchemaChange, TableId};

use crate::{Incarnation, MemberChange};

/// One decided change. Applying it needs no clock, no randomness and no look at other records.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Effect {
    /// The record under `key` is `value` from now on.
    Put {
        /// The table.
        table: TableId,
        /// The storage key: the encoded key, and in a bag the record's bytes after it.
        key: Bytes,
        /// The record's bytes; empty in a bag, whose storage keys hold the records.
        value: Bytes,
        /// The record's new version, greater than every version before it in the cluster; or, if the record is only put
        /// into another form, the version that it has already.
        version: u64,
        /// In `owned` tables: the incarnation whose end deletes the record.
        owner: Option<Incarnation>,
    },
    /// There is no record under `key` from now on.
    Delete {
        /// The table.
        table: TableId,
        /// The storage key.
        key: Bytes,
        /// The version of the deletion, so that a later record's version is greater still.
        version: u64,
    },
    /// The table holds no record from now on.
    Clear {
        /// The table.
        table: TableId,
        /// The version of the clearing.
        version: u64,
    },
    /// The schema changes.
    Schema(SchemaChange),
    /// The membership of the cluster changes, as far as the store keeps it.
    Member(MemberChange),
    /// Every node keeps its view right after this entry, so that the copies of all nodes can be compared at one
    /// log index.
    Barrier {
        /// Names the kept view.
        token: u64,
    },
    /// Everything that has a version by now was written at or before this time.
    Clock {
        /// Milliseconds since 1970, by the leader's clock.
        unix_ms: u64,
        /// What was written at or before this time is older than any time to live.
        forget_ms: u64,
    },
}

impl Effect {
    /// The version that this effect uses up, if it changes records.
    pub fn version(&self) -> Option<u64> {
        match self {
            Effect::Put { version, .. } | Effect::Delete { version, .. } | Effect::Clear { version, .. } => {
                Some(*version)
            }
            Effect::Schema(_) | Effect::Member(_) | Effect::Barrier { .. } | Effect::Clock { .. } => None,
        }
    }

    /// The table whose records this effect changes, if any.
    pub fn table(&self) -> Option<TableId> {
        match self {
            Effect::Put { table, .. } | Effect::Delete { table, .. } | Effect::Clear { table, .. } => {
                Some(*table)
            }
            Effect::Schema(_) | Effect::Member(_) | Effect::Barrier { .. } | Effect::Clock { .. } => None,
        }
    }
}
