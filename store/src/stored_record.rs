//! A record as tables give it out: borrowed from memory where it lies there, owned where it was read from disc.

use std::borrow::Cow;

use crate::Incarnation;
use crate::row::{Row, RowRef};

/// One record of a table with its storage key.
#[derive(Debug, Clone)]
pub struct StoredRecord<'a> {
    key: Cow<'a, [u8]>,
    row: StoredRow<'a>,
}

#[derive(Debug, Clone)]
enum StoredRow<'a> {
    Borrowed(RowRef<'a>),
    Owned(Row),
}

impl<'a> StoredRecord<'a> {
    pub(crate) fn borrowed(key: &'a [u8], row: RowRef<'a>) -> Self {
        Self { key: Cow::Borrowed(key), row: StoredRow::Borrowed(row) }
    }

    pub(crate) fn owned(key: Vec<u8>, row: Row) -> Self {
        Self { key: Cow::Owned(key), row: StoredRow::Owned(row) }
    }

    /// The storage key: the encoded key, and in a bag the record's bytes after it.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Version, owner and value.
    pub fn row(&self) -> RowRef<'_> {
        match &self.row {
            StoredRow::Borrowed(row) => *row,
            StoredRow::Owned(row) => row.as_row_ref(),
        }
    }

    /// The record's version.
    pub fn version(&self) -> u64 {
        self.row().version()
    }

    /// The version of the shape that the record's bytes have.
    pub fn record_version(&self) -> u32 {
        self.row().record_version()
    }

    /// The incarnation the record belongs to, in an `owned` table.
    pub fn owner(&self) -> Option<Incarnation> {
        self.row().owner()
    }

    /// The value stored under the key; empty in a bag.
    pub fn value(&self) -> &[u8] {
        match &self.row {
            StoredRow::Borrowed(row) => row.value(),
            StoredRow::Owned(row) => row.value(),
        }
    }

    /// The same record, independent of the view it came from.
    pub fn into_owned(self) -> StoredRecord<'static> {
        let row = match self.row {
            StoredRow::Borrowed(row) => row.to_row(),
            StoredRow::Owned(row) => row,
        };
        StoredRecord::owned(self.key.into_owned(), row)
    }
}
