//! Reading records in the order of an index.

use std::marker::PhantomData;
use std::ops::{Bound, ControlFlow, RangeBounds};

use tabularaft_schema::{FieldType, Key, Record, Value};
use tabularaft_store::{IndexBounds, IndexEntry, IndexReadError, IndexView, TableView, key_of_storage_key};

use crate::error::ReadError;
use crate::table::{Cursor, Page, Table};
use crate::transaction::{IndexSpan, Reading};

/// A scan through a secondary index: all records in the order of their values, unless narrowed. A record comes once for
/// each of its values within the bounds.
///
/// Values may be given as anything that is a [`Value`]; numbers of any type will do for numeric fields, and `None` finds
/// the records that lack an optional value.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # use serde::{Deserialize, Serialize};
/// # use tabularaft::{Node, Record};
/// # #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
/// # #[record(table = "player", copy = "ram", crate = "tabularaft::schema")]
/// # struct Player { #[key] name: String, #[index] score: u64 }
/// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
/// # node.create_table::<Player>().await?;
/// let players = node.table::<Player>()?;
/// for (name, score) in [("ann", 30), ("bob", 10), ("cid", 20)] {
///     players.insert(&Player { name: name.into(), score }).await?;
/// }
/// let by_score = players.index("score")?;
/// let best = by_score.scan().reverse().limit(2).records()?;
/// assert_eq!(best.iter().map(|player| player.score).collect::<Vec<_>>(), [30, 20]);
/// assert_eq!(by_score.scan().range(15..).count()?, 2);
/// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
/// ```
#[must_use]
pub struct IndexScan<'t, R> {
    source: Source<'t, R>,
    index: String,
    wanted: Wanted,
    reverse: bool,
    limit: usize,
    record: PhantomData<fn() -> R>,
}

/// Where the records come from.
enum Source<'t, R> {
    /// The newest view of the moment.
    Table(&'t Table<R>),
    /// A view that is held, or a transaction.
    Reading(Reading<'t>),
}

/// Which values are wanted.
#[derive(Debug, Clone)]
enum Wanted {
    All,
    Values(Bound<Value>, Bound<Value>),
    Prefix(String),
}

impl<'t, R: Record> IndexScan<'t, R> {
    pub(crate) fn in_table(table: &'t Table<R>, index: &str) -> Self {
        Self::new(Source::Table(table), index)
    }

    pub(crate) fn in_reading(reading: Reading<'t>, index: &str) -> Self {
        Self::new(Source::Reading(reading), index)
    }

    fn new(source: Source<'t, R>, index: &str) -> Self {
        let index = index.to_owned();
        Self { source, index, wanted: Wanted::All, reverse: false, limit: usize::MAX, record: PhantomData }
    }

    /// Only records with this value.
    pub fn value(mut self, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.wanted = Wanted::Values(Bound::Included(value.clone()), Bound::Included(value));
        self
    }

    /// Only records with values in the range.
    pub fn range<V: Into<Value> + Clone>(mut self, range: impl RangeBounds<V>) -> Self {
        let value = |bound: Bound<&V>| bound.map(|value| value.clone().into());
        self.wanted = Wanted::Values(value(range.start_bound()), value(range.end_bound()));
        self
    }

    /// Only records with values, which are texts, that start with `prefix`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.wanted = Wanted::Prefix(prefix.into());
        self
    }

    /// From the highest value to the lowest.
    pub fn reverse(mut self) -> Self {
        self.reverse = true;
        self
    }

    /// At most so many.
    pub fn limit(mut self, records: usize) -> Self {
        self.limit = records;
        self
    }

    /// The records.
    ///
    /// # Errors
    ///
    /// [`ReadError::Index`] if there is no such index, it is being built on this node, or a value is of another type; or
    /// a record cannot be read.
    pub fn records(self) -> Result<Vec<R>, ReadError> {
        let mut records = Vec::new();
        self.visit(None, &mut |_, _, record| {
            records.push(R::decode(record)?);
            Ok(())
        })?;
        Ok(records)
    }

    /// The first record.
    ///
    /// # Errors
    ///
    /// As [`IndexScan::records`].
    pub fn first(self) -> Result<Option<R>, ReadError> {
        Ok(self.limit(1).records()?.pop())
    }

    /// The encoded keys of the records, which are not read themselves unless a transaction has to be checked for them.
    ///
    /// # Errors
    ///
    /// As [`IndexScan::records`].
    pub fn keys(self) -> Result<Vec<Key>, ReadError> {
        let mut keys = Vec::new();
        self.visit(None, &mut |copy, entry, _| {
            keys.push(Key::from_bytes(key_of_storage_key(copy.def(), entry.storage_key()).to_vec()));
            Ok(())
        })?;
        Ok(keys)
    }

    /// How many there are.
    ///
    /// # Errors
    ///
    /// As [`IndexScan::records`].
    pub fn count(self) -> Result<u64, ReadError> {
        let mut count = 0;
        self.visit(None, &mut |_, _, _| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// The distinct values, in order.
    ///
    /// # Errors
    ///
    /// As [`IndexScan::records`].
    pub fn values(self) -> Result<Vec<Value>, ReadError> {
        let mut values: Vec<(Vec<u8>, Value)> = Vec::new();
        let index = self.index.clone();
        self.visit(None, &mut |copy, entry, _| {
            if values.last().is_some_and(|(last, _)| last == entry.value()) {
                return Ok(());
            }
            let value_type = copy.index(&index).ok().and_then(IndexView::value_type);
            let value = value_type.and_then(|value_type| value_type.value_of_key(entry.value()));
            values.extend(value.map(|value| (entry.value().to_vec(), value)));
            Ok(())
        })?;
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }

    /// Up to [`limit`](Self::limit) records behind `cursor`, and where to go on. Each page reads the newest view, as
    /// [`Table::page`] does.
    ///
    /// # Errors
    ///
    /// As [`IndexScan::records`]; [`ReadError::Cursor`] for a cursor of another table or index.
    pub fn page(self, cursor: Option<&Cursor>) -> Result<Page<R>, ReadError> {
        let limit = self.limit.max(1);
        let (index, reversed) = (self.index.clone(), cursor.map_or(self.reverse, |cursor| cursor.reversed));
        let mut page = Page { records: Vec::new(), next: None };
        let mut last = Vec::new();
        let all = Self { limit: limit.saturating_add(1), reverse: reversed, ..self };
        all.visit(cursor, &mut |copy, entry, record| {
            if page.records.len() == limit {
                let (index, key) = (Some(index.clone()), std::mem::take(&mut last));
                page.next = Some(Cursor { table: copy.id(), reversed, index, key });
                return Ok(());
            }
            page.records.push(R::decode(record)?);
            last = entry.as_bytes().to_vec();
            Ok(())
        })?;
        Ok(page)
    }

    fn visit(self, after: Option<&Cursor>, visit: Visit<'_>) -> Result<(), ReadError> {
        match &self.source {
            Source::Table(table) => table.read(|copy| self.visit_in(Reading::of(copy), after, visit)),
            Source::Reading(reading) => self.visit_in(*reading, after, visit),
        }
    }

    fn visit_in(
        &self,
        reading: Reading<'_>,
        after: Option<&Cursor>,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        let index = reading.index(&self.index)?;
        let mut bounds = self.bounds(reading.copy, index)?;
        if let Some(cursor) = after {
            if cursor.table != reading.copy.id() || cursor.index.as_ref() != Some(&self.index) {
                return Err(ReadError::Cursor);
            }
            bounds = bounds.after(&cursor.key, cursor.reversed);
        }
        let mut left = self.limit;
        if left == 0 {
            return Ok(());
        }
        let span = IndexSpan { bounds, reverse: self.reverse };
        reading.scan_index(index, &span, &mut |entry, record| {
            visit(reading.copy, entry, record)?;
            left -= 1;
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    }

    fn bounds(&self, copy: &TableView, index: &IndexView) -> Result<IndexBounds, ReadError> {
        let Some(value_type) = index.value_type() else { return Ok(IndexBounds::ALL) };
        match &self.wanted {
            Wanted::All => Ok(IndexBounds::ALL),
            Wanted::Prefix(prefix) => {
                let prefix = value_type.key_prefix_of_text(prefix);
                let prefix = prefix.ok_or_else(|| mistyped(copy, index, value_type, "a prefix of text"))?;
                Ok(IndexBounds::prefix(&prefix))
            }
            Wanted::Values(low, high) => {
                let encode = |bound: &Bound<Value>| match bound {
                    Bound::Included(value) => encoded(copy, index, value_type, value).map(Bound::Included),
                    Bound::Excluded(value) => encoded(copy, index, value_type, value).map(Bound::Excluded),
                    Bound::Unbounded => Ok(Bound::Unbounded),
                };
                let (low, high) = (encode(low)?, encode(high)?);
                Ok(IndexBounds::values(low.as_ref().map(Key::as_bytes), high.as_ref().map(Key::as_bytes)))
            }
        }
    }
}

fn encoded(
    copy: &TableView,
    index: &IndexView,
    value_type: &FieldType,
    value: &Value,
) -> Result<Key, ReadError> {
    let fitted = value_type.fitted(value.clone());
    value_type.key_of_value(&fitted).map_err(|_| mistyped(copy, index, value_type, value.kind_name()))
}

fn mistyped(copy: &TableView, index: &IndexView, value_type: &FieldType, found: &str) -> ReadError {
    let error = IndexReadError::Value {
        table: copy.def().name.clone(),
        index: index.def().name.clone(),
        expected: value_type.to_string(),
        found: found.to_owned(),
    };
    error.into()
}

/// Takes one record: the copy, the index entry that led to it, and its bytes.
type Visit<'v> = &'v mut dyn FnMut(&TableView, IndexEntry<'_>, &[u8]) -> Result<(), ReadError>;
