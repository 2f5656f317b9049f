//! What a transaction has read: the guards of its request.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use tabularaft_schema::TableId;

use crate::write::{Guard, Space};

/// The records and ranges that were read, each once.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Versions by storage key; zero: there was no record.
    records: BTreeMap<(TableId, Bytes), u64>,
    /// Contents by storage key, of records that were read as they were decided, but perhaps not committed.
    contents: BTreeMap<(TableId, Bytes), Option<Bytes>>,
    ranges: Vec<Range>,
    bytes: usize,
}

/// A range of storage keys or of entries of an index, of the view that the transaction reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) table: TableId,
    pub(super) space: Space,
    pub(super) low: Bound<Bytes>,
    pub(super) high: Bound<Bytes>,
}

impl Reads {
    pub(super) fn record(&mut self, table: TableId, key: &Bytes, version: u64) {
        let before = self.records.insert((table, key.clone()), version);
        self.bytes += if before.is_none() { key.len() + 16 } else { 0 };
    }

    pub(super) fn content(&mut self, table: TableId, key: &Bytes, record: Option<Bytes>) {
        let bytes = key.len() + record.as_ref().map_or(0, Bytes::len) + 16;
        let before = self.contents.insert((table, key.clone()), record);
        self.bytes += if before.is_none() { bytes } else { 0 };
    }

    pub(super) fn range(&mut self, range: Range) {
        if self.ranges.last() != Some(&range) {
            self.bytes += bound_bytes(&range.low) + bound_bytes(&range.high) + 24;
            self.ranges.push(range);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.records.len() + self.contents.len() + self.ranges.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The guards, of reads in a view whose last version is `at`.
    pub(super) fn into_guards(self, at: u64) -> Vec<Guard> {
        let records = self.records.into_iter();
        let records = records.map(|((table, key), version)| Guard::Unchanged { table, key, version });
        let contents = self.contents.into_iter();
        let contents = contents.map(|((table, key), record)| Guard::Content { table, key, record });
        let range = |Range { table, space, low, high }| Guard::Range { table, space, low, high, at };
        records.chain(contents).chain(self.ranges.into_iter().map(range)).collect()
    }
}

fn bound_bytes(bound: &Bound<Bytes>) -> usize {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => key.len(),
        Bound::Unbounded => 0,
    }
}
