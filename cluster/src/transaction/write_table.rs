//! Writing to a typed table in a transaction.

use std::cell::RefCell;
use std::ops::Deref;

use bytes::Bytes;
use tabularaft_schema::{KeyFor, Record, TableId};

use super::error::TxError;
use super::read_table::ReadTable;
use super::reading::Reading;
use super::state::TxState;
use crate::write::Op;

/// A typed table in a transaction: what is read of it is checked at the end, what is written happens at the end, and is
/// seen by the transaction's own reads before.
pub struct TxTable<'t, R> {
    pub(super) read: ReadTable<'t, R>,
    state: &'t RefCell<TxState>,
}

impl<'t, R: Record> TxTable<'t, R> {
    pub(super) fn new(copy: &'t tabularaft_store::TableView, state: &'t RefCell<TxState>) -> Self {
        Self { read: ReadTable::new(Reading { copy, state: Some(state) }), state }
    }

    /// Inserts the record, replacing the one under its key; a bag keeps one copy of each distinct record per key.
    ///
    /// # Errors
    ///
    /// When the record cannot be encoded, or the transaction has become too large.
    pub fn insert(&self, record: &R) -> Result<(), TxError> {
        let (table, key, value) = (self.id(), bytes_of(record), record.encode()?.into());
        self.push(Op::Put { table, key, value })
    }

    /// Inserts the record if nothing is under its key. Returns whether it did.
    ///
    /// # Errors
    ///
    /// As [`TxTable::insert`], and as [`ReadTable::get`].
    pub fn insert_new(&self, record: &R) -> Result<bool, TxError> {
        let key = bytes_of(record);
        let taken = if self.is_bag() {
            self.scan().under(record.key()).limit(1).count()? > 0
        } else {
            self.read.reading.record(&key, |_| ())?.is_some()
        };
        if taken {
            return Ok(false);
        }
        let (table, value) = (self.id(), record.encode()?.into());
        self.push(Op::Put { table, key, value })?;
        Ok(true)
    }

    /// Deletes the record (of a bag: all records) under the key, if there is one. Nothing is read for it.
    ///
    /// # Errors
    ///
    /// When the transaction has become too large.
    pub fn delete(&self, key: impl KeyFor<R::Key>) -> Result<(), TxError> {
        let key = key.to_key().into_bytes().into();
        self.push(Op::Delete { table: self.id(), key })
    }

    /// Deletes exactly this record, of a bag or a set, if it is there. Nothing is read for it.
    ///
    /// # Errors
    ///
    /// As [`TxTable::insert`].
    pub fn delete_object(&self, record: &R) -> Result<(), TxError> {
        let (table, key, value) = (self.id(), bytes_of(record), record.encode()?.into());
        self.push(Op::DeleteObject { table, key, value })
    }

    pub(super) fn id(&self) -> TableId {
        self.read.reading.copy.id()
    }

    pub(super) fn push(&self, op: Op) -> Result<(), TxError> {
        let mut state = self.state.borrow_mut();
        state.writes.push(op, self.read.reading.copy.def().kind);
        Ok(state.check_size()?)
    }
}

impl<'t, R> Deref for TxTable<'t, R> {
    type Target = ReadTable<'t, R>;

    fn deref(&self) -> &Self::Target {
        &self.read
    }
}

fn bytes_of<R: Record>(record: &R) -> Bytes {
    record.key().into_bytes().into()
}
