//! Writing to a typed table in a transaction.

use std::cell::RefCell;
use std::ops::Deref;

use bytes::Bytes;
use tabularaft_schema::{KeyFor, Record, TableId};

use super::error::TxError;
use super::read_table::ReadTable;
use super::reading::{Reading, decode};
use super::state::TxState;
use crate::write::{Op, Rejection};

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

    /// As [`get`](ReadTable::get), for a record that many change at once: transactions that ask for it queue at the
    /// leader, and each reads what the one before it leaves, instead of all trying and all but one failing.
    ///
    /// Nobody else is held up by it, and what was read is checked as ever. A transaction gets all records that it reads
    /// for update at once, so there is no order to keep and no deadlock; the closure runs once to find out which they
    /// are, and again when it is its turn. Where transactions hardly ever meet, the first run is the only one.
    ///
    /// # Errors
    ///
    /// As [`get`](ReadTable::get); also of a bag, whose records cannot be read so.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use serde::{Deserialize, Serialize};
    /// # use tabularaft::{Node, Record, TxError};
    /// # #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    /// # #[record(table = "branch", kind = "set", copy = "ram", crate = "tabularaft::schema")]
    /// # struct Branch { #[key] id: u64, balance: i64 }
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// # node.create_table::<Branch>().await?;
    /// # node.table::<Branch>()?.insert(&Branch { id: 1, balance: 0 }).await?;
    /// node.transaction(|tx| {
    ///     let branches = tx.table::<Branch>()?;
    ///     let mut branch = branches.get_for_update(1u64)?.ok_or_else(|| TxError::abort("no branch"))?;
    ///     branch.balance += 10;
    ///     branches.insert(&branch)
    /// })
    /// .await?;
    /// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    pub fn get_for_update(&self, key: impl KeyFor<R::Key>) -> Result<Option<R>, TxError> {
        let key: Bytes = key.to_key().into_bytes().into();
        if self.is_bag() {
            let table = self.read.reading.copy.def().name.to_string();
            let why = "the records of a bag cannot be read for update; read them with get_all: the transaction runs \
                       again if they have changed"
                .to_owned();
            return Err(TxError::Refused(Rejection::NotApplicable { table, why }));
        }
        self.state.borrow_mut().want((self.id(), key.clone()));
        let record = self.read.reading.record(&key, decode)?.transpose()?;
        self.read.reading.check_size()?;
        Ok(record)
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
