//! What an entry has changed.

use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::{NodeName, TableDef, TableId, TableKind};

use crate::bag;
use crate::{Incarnation, LogIndex, MemberChange, Row};

/// Everything that one entry of the log has changed on this node, in order. Requests that were decided together, those
/// of a transaction always, are in one entry.
#[derive(Debug)]
pub struct HistoryEntry {
    /// The entry's place in the log.
    pub index: LogIndex,
    /// Never empty.
    pub changes: Vec<Change>,
}

/// One change. Keys and values share the memory of the entry's payload.
#[derive(Debug, Clone)]
pub enum Change {
    /// A record was written.
    Put {
        /// The table.
        table: TableId,
        /// The table's definition then.
        def: Arc<TableDef>,
        /// The storage key: the encoded key, and in a bag the record's bytes after it.
        key: Bytes,
        /// What was under the key before.
        old: Option<Row>,
        /// What is under the key now.
        new: NewRow,
    },
    /// A record was deleted.
    Delete {
        /// The table.
        table: TableId,
        /// The table's definition then.
        def: Arc<TableDef>,
        /// The storage key.
        key: Bytes,
        /// What was under the key.
        old: Row,
    },
    /// All records of a table were deleted.
    Clear {
        /// The table.
        table: TableId,
        /// The table's definition then.
        def: Arc<TableDef>,
    },
    /// Something happened to a table as a whole.
    Table {
        /// The table.
        table: TableId,
        /// Its definition; of a table that was altered the new one, of one that was dropped the last one.
        def: Arc<TableDef>,
        /// What happened.
        event: TableEvent,
    },
    /// A member of the cluster came, started or went.
    Member {
        /// The change.
        change: MemberChange,
        /// The member's name, unless the change is about none.
        name: Option<NodeName>,
    },
}

/// What happened to a table as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableEvent {
    /// It was created, without records.
    Created,
    /// Its definition has changed.
    Altered,
    /// It was dropped with its records.
    Dropped,
    /// A copy of it was completed on this node. Its records are in the view; none of them is listed as a change.
    CopyLoaded,
    /// This node has given its copy up.
    CopyGivenUp,
}

/// A record as an entry writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRow {
    /// The record's bytes; empty in a bag.
    pub value: Bytes,
    /// The record's version.
    pub version: u64,
    /// The incarnation it belongs to, in an `owned` table.
    pub owner: Option<Incarnation>,
}

impl Change {
    /// The table that has changed; `None` for a change of members.
    #[must_use]
    pub fn table(&self) -> Option<TableId> {
        self.place().map(|(table, _)| table)
    }

    /// The definition that the table had.
    #[must_use]
    pub fn def(&self) -> Option<&Arc<TableDef>> {
        self.place().map(|(_, def)| def)
    }

    /// The storage key of the record that has changed.
    #[must_use]
    pub fn storage_key(&self) -> Option<&Bytes> {
        match self {
            Change::Put { key, .. } | Change::Delete { key, .. } => Some(key),
            Change::Clear { .. } | Change::Table { .. } | Change::Member { .. } => None,
        }
    }

    /// The encoded key of the record that has changed.
    #[must_use]
    pub fn key(&self) -> Option<Bytes> {
        let (def, key) = (self.def()?, self.storage_key()?);
        Some(match def.kind {
            TableKind::Bag => key.slice(..bag::split(def, key).0.len()),
            _ => key.clone(),
        })
    }

    /// The bytes of the record that was under the key, and its version.
    #[must_use]
    pub fn old_record(&self) -> Option<(&[u8], u64)> {
        match self {
            Change::Put { def, key, old: Some(old), .. } | Change::Delete { def, key, old, .. } => {
                Some((record_bytes(def, key, old.value()), old.version()))
            }
            _ => None,
        }
    }

    /// The bytes of the record that is under the key now, and its version.
    #[must_use]
    pub fn new_record(&self) -> Option<(&[u8], u64)> {
        match self {
            Change::Put { def, key, new, .. } => Some((record_bytes(def, key, &new.value), new.version)),
            _ => None,
        }
    }

    /// What the change takes besides the payload of its entry.
    pub(crate) fn bytes(&self) -> usize {
        let old = match self {
            Change::Put { old, .. } => old.as_ref().map_or(0, Row::heap_bytes),
            Change::Delete { old, .. } => old.heap_bytes(),
            Change::Clear { .. } | Change::Table { .. } | Change::Member { .. } => 0,
        };
        size_of::<Self>() + old
    }

    fn place(&self) -> Option<(TableId, &Arc<TableDef>)> {
        match self {
            Change::Put { table, def, .. }
            | Change::Delete { table, def, .. }
            | Change::Clear { table, def }
            | Change::Table { table, def, .. } => Some((*table, def)),
            Change::Member { .. } => None,
        }
    }
}

fn record_bytes<'r>(def: &TableDef, key: &'r [u8], value: &'r [u8]) -> &'r [u8] {
    match def.kind {
        TableKind::Bag => bag::split(def, key).1,
        _ => value,
    }
}
