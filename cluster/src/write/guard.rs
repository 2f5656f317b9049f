//! What must still hold when the leader decides: the conditions of single writes, and what a transaction has read.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::TableId;

/// A condition on the state that the leader checks before it decides.
///
/// Wire format: add, never change or reuse a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Guard {
    /// The record under this key has this version; zero: there is none. Otherwise the caller is told which it has.
    Version { table: TableId, key: Bytes, version: u64 },
    /// As `Version`, for a record that a transaction has read: otherwise the transaction is run again.
    Unchanged { table: TableId, key: Bytes, version: u64 },
    /// Nothing between the bounds has changed since the view whose last version is `at`: no record that was read, and
    /// none has come in between.
    Range { table: TableId, space: Space, low: Bound<Bytes>, high: Bound<Bytes>, at: u64 },
    /// The record under this key has this content (`None`: there is none), for a transaction that was told so before it
    /// was committed. Versions would not do: those of entries that were lost are used again.
    Content { table: TableId, key: Bytes, record: Option<Bytes> },
    /// Not a condition: the records that the request writes to the table are of this record version. What is not said
    /// so is of version 1. The leader brings them to the version that the table has by then.
    RecordVersion { table: TableId, version: u32 },
    /// There is a record under this key.
    Present { table: TableId, key: Bytes },
    /// The record under this key is this one.
    Value { table: TableId, key: Bytes, record: Bytes },
    /// The table holds no record. Only for exclusive requests, which see everything that was decided before.
    Empty { table: TableId },
}

/// Which order of keys the bounds of a range are in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Space {
    /// The table's storage keys.
    Primary,
    /// The entries of the secondary index of this name.
    Index(Arc<str>),
}

impl Guard {
    /// Whether it stands for something that a transaction has read.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Guard::Unchanged { .. } | Guard::Content { .. } | Guard::Range { .. })
    }

    /// An estimate of the bytes this guard adds to a batch.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Guard::Version { key, .. } | Guard::Unchanged { key, .. } => 16 + key.len(),
            Guard::Present { key, .. } => 16 + key.len(),
            Guard::Value { key, record, .. } => 16 + key.len() + record.len(),
            Guard::Content { key, record, .. } => 16 + key.len() + record.as_ref().map_or(0, Bytes::len),
            Guard::RecordVersion { .. } | Guard::Empty { .. } => 12,
            Guard::Range { low, high, .. } => 24 + bound_bytes(low) + bound_bytes(high),
        }
    }
}

fn bound_bytes(bound: &Bound<Bytes>) -> usize {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key.len(),
        Bound::Unbounded => 0,
    }
}
