//! A typed table in a transaction or a view.

use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use bytes::Bytes;
use tabularaft_schema::{KeyFor, Record, TableKind};

use super::reading::{Reading, decode};
use super::scan::Scan;
use crate::error::ReadError;
use crate::indexes::IndexScan;

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

    /// Begins a scan through a secondary index. A transaction is checked for what the scan looked at: for the records,
    /// and for others that come to have one of its values.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use serde::{Deserialize, Serialize};
    /// # use tabularaft::{Node, Record};
    /// # #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    /// # #[record(table = "seat", copy = "ram", crate = "tabularaft::schema")]
    /// # struct Seat { #[key] number: u64, #[index] guest: Option<String> }
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// # node.create_table::<Seat>().await?;
    /// # node.table::<Seat>()?.insert(&Seat { number: 7, guest: None }).await?;
    /// // Two guests never get one seat, and nobody waits for a guest of another name.
    /// let seat = node.transaction(|tx| {
    ///     let seats = tx.table::<Seat>()?;
    ///     if let Some(seat) = seats.index("guest").value("ann").first()? {
    ///         return Ok(Some(seat.number));
    ///     }
    ///     let Some(seat) = seats.index("guest").value(None::<String>).first()? else { return Ok(None) };
    ///     seats.insert(&Seat { guest: Some("ann".into()), ..seat })?;
    ///     Ok(Some(seat.number))
    /// }).await?;
    /// # let seat: Option<u64> = seat;
    /// assert_eq!(seat, Some(7));
    /// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    pub fn index(&self, index: &str) -> IndexScan<'t, R> {
        IndexScan::in_reading(self.reading, index)
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
