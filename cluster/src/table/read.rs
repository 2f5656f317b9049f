//! Reads of a typed table.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use tabularaft_schema::{Key, KeyFor, Record, TableKind};
use tabularaft_store::{LogIndex, RowRef, StoreError, StoredRecord, TableView, View};

use super::bounds::{end_of, key_bounds};
use super::{Table, Versioned};
use crate::door;
use crate::error::ReadError;
use crate::records::Records;

impl<R: Record> Table<R> {
    /// The record under the key; of a bag, the first one.
    ///
    /// # Errors
    ///
    /// When this node holds no loaded copy, or the stored record is not of this type.
    pub fn get(&self, key: impl KeyFor<R::Key>) -> Result<Option<R>, ReadError> {
        self.get_versioned(key).map(|found| found.map(|versioned| versioned.record))
    }

    /// As [`Table::get`], with the record's version for [`Table::compare_and_swap`].
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn get_versioned(&self, key: impl KeyFor<R::Key>) -> Result<Option<Versioned<R>>, ReadError> {
        let key = key.to_key();
        self.read(|copy| {
            if copy.def().kind == TableKind::Bag {
                return copy.prefix(key.as_bytes()).next().map(|stored| found(copy, stored)).transpose();
            }
            let read = |row: RowRef<'_>| {
                let record = copy.record_of(key.as_bytes(), row)?;
                versioned(&record, row.version())
            };
            copy.get_with(key.as_bytes(), read)?.transpose()
        })
    }

    /// All records under the key: of a bag any number, otherwise one or none.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn get_all(&self, key: impl KeyFor<R::Key>) -> Result<Vec<R>, ReadError> {
        let key = key.to_key();
        self.read(|copy| {
            let stored = copy.get_all(key.as_bytes())?;
            stored.into_iter().map(|stored| decoded(copy, Ok(stored))).collect()
        })
    }

    /// Whether there is a record under the key.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn contains(&self, key: impl KeyFor<R::Key>) -> Result<bool, ReadError> {
        let key = key.to_key();
        self.read(|copy| match copy.def().kind {
            TableKind::Bag => {
                copy.prefix(key.as_bytes()).next().transpose().map(|f| f.is_some()).map_err(ReadError::from)
            }
            _ => copy.get_with(key.as_bytes(), |_| ()).map(|row| row.is_some()).map_err(ReadError::from),
        })
    }

    /// How many records this node's copy holds.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn count(&self) -> Result<u64, ReadError> {
        self.read(|copy| Ok(copy.len()))
    }

    /// Every record of one view: in key order, except for sets held in memory.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn iter(&self) -> Result<Records<R>, ReadError> {
        self.records(Bound::Unbounded, Bound::Unbounded)
    }

    /// The records whose keys lie in the range, in key order. Of a set in memory the whole table is looked at.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn range<K: KeyFor<R::Key>>(&self, range: impl RangeBounds<K>) -> Result<Records<R>, ReadError> {
        let (low, high) = key_bounds::<R, K>(&range);
        self.records(low, high)
    }

    /// The records whose first key field, a string, starts with `prefix`, in key order. Of a compound key a JSON array
    /// of its first values, as in `["kitchen"]`, stands for all keys that begin with these values. Of a set in memory
    /// the whole table is looked at.
    ///
    /// # Errors
    ///
    /// As [`Table::get`]; also if the first key field is no string.
    pub fn prefix(&self, prefix: &str) -> Result<Records<R>, ReadError> {
        let prefix = self.def.key_prefix(prefix)?;
        let high = Key::successor_of_prefix(prefix.as_bytes()).map(Key::into_bytes);
        self.records(Bound::Included(prefix.into_bytes()), high.map_or(Bound::Unbounded, Bound::Excluded))
    }

    /// The records under one key.
    pub(crate) fn under(&self, key: Key) -> Result<Records<R>, ReadError> {
        let low = Bound::Included(key.to_vec());
        let high = match self.def.kind {
            TableKind::Bag => end_of(key).map_or(Bound::Unbounded, Bound::Excluded),
            _ => Bound::Included(key.into_bytes()),
        };
        self.records(low, high)
    }

    /// Waits until this node has applied everything that was acknowledged anywhere before the call, so that the reads
    /// after it are linearizable.
    ///
    /// # Errors
    ///
    /// [`ReadError::NoLeader`] when no leader with a majority answers in time.
    pub async fn linearize(&self) -> Result<LogIndex, ReadError> {
        let engine = self.node.engine().ok_or(ReadError::Stopped)?;
        let read_index = engine.read_index().ok_or(ReadError::NoLeader)?;
        read_index.wait(door::now() + self.timeout).await
    }

    fn records(&self, low: Bound<Vec<u8>>, high: Bound<Vec<u8>>) -> Result<Records<R>, ReadError> {
        let engine = self.node.engine().ok_or(ReadError::Stopped)?;
        let view = engine.store.view();
        let copy = Arc::clone(self.copy_in(&view)?);
        Ok(Records::new(view, &copy, low, high))
    }

    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&TableView) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let engine = self.node.engine_guard();
        let view = engine.as_ref().ok_or(ReadError::Stopped)?.store.read();
        read(self.copy_in(&view)?)
    }

    /// The newest state of the copy, to be kept as long as needed.
    pub(crate) fn newest_copy(&self) -> Result<Arc<TableView>, ReadError> {
        let engine = self.node.engine().ok_or(ReadError::Stopped)?;
        self.copy_in(&engine.store.view()).map(Arc::clone)
    }

    fn copy_in<'v>(&self, view: &'v View) -> Result<&'v Arc<TableView>, ReadError> {
        let id = self.id_in(view)?;
        let copy = view.table(id).ok_or_else(|| ReadError::NoCopy(self.name.clone()))?;
        if copy.is_ready() { Ok(copy) } else { Err(ReadError::Loading(self.name.clone())) }
    }
}

fn versioned<R: Record>(record: &[u8], version: u64) -> Result<Versioned<R>, ReadError> {
    Ok(Versioned { record: R::decode(record)?, version })
}

fn found<R: Record>(
    copy: &TableView,
    stored: Result<StoredRecord<'_>, StoreError>,
) -> Result<Versioned<R>, ReadError> {
    let stored = stored?;
    versioned(&copy.record_bytes(&stored)?, stored.version())
}

/// The record of what is stored, or why it cannot be had.
pub(crate) fn decoded<R: Record>(
    copy: &TableView,
    stored: Result<StoredRecord<'_>, StoreError>,
) -> Result<R, ReadError> {
    let stored = stored?;
    Ok(R::decode(&copy.record_bytes(&stored)?)?)
}
