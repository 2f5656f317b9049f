//! Reading many records of a table in key order.

use std::marker::PhantomData;
use std::ops::{Bound, ControlFlow, RangeBounds};

use bytes::Bytes;
use tabularaft_schema::{Key, KeyFor, Record};

use super::reading::{Reading, Span, decode};
use crate::error::ReadError;
use crate::table::key_bounds;

/// A scan of a table in a transaction or a view: all records in key order, unless narrowed.
///
/// A transaction is checked for exactly what its scans looked at: after `limit(10)` a change behind the tenth record is
/// no conflict. A set has no order to find a range by, so all of it is looked at and put in order.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # use serde::{Deserialize, Serialize};
/// # use tabularaft::{Node, Record};
/// # #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
/// # #[record(table = "message", kind = "ordered-set", copy = "ram", crate = "tabularaft::schema")]
/// # struct Message { #[key] room: String, #[key] number: u64, text: String }
/// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
/// # node.create_table::<Message>().await?;
/// let messages = node.table::<Message>()?;
/// for number in 0..20 {
///     messages.insert(&Message { room: "kitchen".into(), number, text: "hello".into() }).await?;
/// }
/// let view = node.view()?;
/// let newest = view.table::<Message>()?.scan().prefix("kitchen").reverse().limit(3).records()?;
/// assert_eq!(newest.iter().map(|m| m.number).collect::<Vec<_>>(), [19, 18, 17]);
/// # drop(view); node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
/// ```
#[must_use]
pub struct Scan<'t, R> {
    reading: Reading<'t>,
    span: Span,
    limit: usize,
    /// What was wrong with a bound; said when the scan begins.
    problem: Option<ReadError>,
    record: PhantomData<fn() -> R>,
}

impl<'t, R: Record> Scan<'t, R> {
    pub(super) fn new(reading: Reading<'t>) -> Self {
        let span = Span { low: Bound::Unbounded, high: Bound::Unbounded, reverse: false };
        Self { reading, span, limit: usize::MAX, problem: None, record: PhantomData }
    }

    /// Only records whose keys lie in the range.
    pub fn range<K: KeyFor<R::Key>>(mut self, range: impl RangeBounds<K>) -> Self {
        let (low, high) = key_bounds::<R, K>(&range);
        (self.span.low, self.span.high) = (low.map(Bytes::from), high.map(Bytes::from));
        self
    }

    /// Only records whose first key field, a string, starts with `prefix`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        match self.reading.copy.def().key_prefix(prefix) {
            Ok(prefix) => self.under(prefix),
            Err(error) => {
                self.problem = Some(error.into());
                self
            }
        }
    }

    /// Only records whose keys start with these bytes.
    pub(super) fn under(mut self, prefix: Key) -> Self {
        let high = Key::successor_of_prefix(&prefix).map(|key| Bytes::from(key.into_bytes()));
        self.span.high = high.map_or(Bound::Unbounded, Bound::Excluded);
        self.span.low = Bound::Included(prefix.into_bytes().into());
        self
    }

    /// From the last record to the first.
    pub fn reverse(mut self) -> Self {
        self.span.reverse = true;
        self
    }

    /// At most so many records.
    pub fn limit(mut self, records: usize) -> Self {
        self.limit = records;
        self
    }

    /// The records.
    ///
    /// # Errors
    ///
    /// When a bound is none of the table's keys, or a record cannot be read.
    pub fn records(self) -> Result<Vec<R>, ReadError> {
        self.fold(Vec::new(), |mut records, record| {
            records.push(record);
            records
        })
    }

    /// How many records there are.
    ///
    /// # Errors
    ///
    /// As [`Scan::records`].
    pub fn count(self) -> Result<u64, ReadError> {
        let mut count = 0;
        self.visit(&mut |_| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// Folds all records into one value.
    ///
    /// # Errors
    ///
    /// As [`Scan::records`].
    pub fn fold<A>(self, start: A, mut fold: impl FnMut(A, R) -> A) -> Result<A, ReadError> {
        let mut folded = Some(start);
        self.visit(&mut |record| {
            let record = decode(record)?;
            folded = folded.take().map(|folded| fold(folded, record));
            Ok(())
        })?;
        Ok(folded.expect("it is put back after each record"))
    }

    /// The first record of the scan.
    pub(super) fn first(self) -> Result<Option<R>, ReadError> {
        Ok(self.limit(1).records()?.pop())
    }

    fn visit(self, visit: &mut dyn FnMut(&[u8]) -> Result<(), ReadError>) -> Result<(), ReadError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let mut left = self.limit;
        if left == 0 {
            return Ok(());
        }
        self.reading.scan(&self.span, &mut |_, record| {
            visit(record)?;
            left -= 1;
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    }
}
