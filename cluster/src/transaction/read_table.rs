//! A typed table in a transaction or a view.

use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use bytes::Bytes;
use tabularaft_schema::{KeyFor, Record, TableKind};

use super::reading::Reading;
use super::scan::Scan;
use crate::error::ReadError;

/// The records of one table, as a transaction or a view sees them: all at one moment, in a transaction with its own
/// writes.
pub struct ReadTable<'t, R> {
    pub(super) reading: Reading<'t>,
    record: PhantomData<fn() -> R>,
}

impl<'t, R: Record> ReadTable<'t, R> {
    pub(super) fn new(reading: Reading<'t>) -> Self {
        Self { reading, record: PhantomData }
    }

    pub(super) fn is_bag(&self) -> bool {
        self.reading.copy.def().kind == TableKind::Bag
    }

    /// The record under the key; of a bag, the first one.
    ///
    /// # Errors
    ///
    /// When the stored record is not of this type, or the transaction has read too much.
    pub fn get(&self, key: impl KeyFor<R::Key>) -> Result<Option<R>, ReadError> {
        let key = key.to_key();
        if self.is_bag() {
            return self.scan().under(key).first();
        }
        let record = self.reading.record(&key.into_bytes().into(), decode)?.transpose()?;
        self.reading.check_size()?;
        Ok(record)
    }

    /// All records under the key: of a bag any number, otherwise one or none.
    ///
    /// # Errors
    ///
    /// As [`ReadTable::get`].
    pub fn get_all(&self, key: impl KeyFor<R::Key>) -> Result<Vec<R>, ReadError> {
        if self.is_bag() {
            return self.scan().under(key.to_key()).records();
        }
        Ok(self.get(key)?.into_iter().collect())
    }

    /// Whether there is a record under the key.
    ///
    /// # Errors
    ///
    /// As [`ReadTable::get`].
    pub fn contains(&self, key: impl KeyFor<R::Key>) -> Result<bool, ReadError> {
        let key = key.to_key();
        if self.is_bag() {
            return Ok(self.scan().under(key).limit(1).count()? > 0);
        }
        let key: Bytes = key.into_bytes().into();
        let found = self.reading.record(&key, |_| ())?.is_some();
        self.reading.check_size()?;
        Ok(found)
    }

    /// Begins a scan of the table.
    pub fn scan(&self) -> Scan<'t, R> {
        Scan::new(self.reading)
    }

    /// The records whose keys lie in the range, in key order.
    ///
    /// # Errors
    ///
    /// As [`Scan::records`].
    pub fn range<K: KeyFor<R::Key>>(&self, range: impl RangeBounds<K>) -> Result<Vec<R>, ReadError> {
        self.scan().range(range).records()
    }

    /// The records whose first key field, a string, starts with `prefix`, in key order.
    ///
    /// # Errors
    ///
    /// As [`Scan::records`].
    pub fn prefix(&self, prefix: &str) -> Result<Vec<R>, ReadError> {
        self.scan().prefix(prefix).records()
    }

    /// Every record, in key order.
    ///
    /// # Errors
    ///
    /// As [`Scan::records`].
    pub fn all(&self) -> Result<Vec<R>, ReadError> {
        self.scan().records()
    }

    /// How many records there are. In a transaction every insertion and deletion by others is a conflict then.
    ///
    /// # Errors
    ///
    /// As [`Scan::records`].
    pub fn count(&self) -> Result<u64, ReadError> {
        match self.reading.state {
            None => Ok(self.reading.copy.len()),
            Some(_) => self.scan().count(),
        }
    }

    /// The record with the lowest key.
    ///
    /// # Errors
    ///
    /// As [`Scan::records`].
    pub fn first(&self) -> Result<Option<R>, ReadError> {
        self.scan().first()
    }

    /// The record with the highest key.
    ///
    /// # Errors
    ///
    /// As [`Scan::records`].
    pub fn last(&self) -> Result<Option<R>, ReadError> {
        self.scan().reverse().first()
    }

    /// The first record behind the key, whether or not the key has a record.
    ///
    /// # Errors
    ///
    /// As [`Scan::records`].
    pub fn next<K: KeyFor<R::Key>>(&self, key: K) -> Result<Option<R>, ReadError> {
        self.scan().range((Bound::Excluded(key), Bound::Unbounded)).first()
    }

    /// The last record before the key, whether or not the key has a record.
    ///
    /// # Errors
    ///
    /// As [`Scan::records`].
    pub fn prev<K: KeyFor<R::Key>>(&self, key: K) -> Result<Option<R>, ReadError> {
        self.scan().range((Bound::Unbounded, Bound::Excluded(key))).reverse().first()
    }
}

pub(super) fn decode<R: Record>(record: &[u8]) -> Result<R, ReadError> {
    Ok(R::decode(record)?)
}
