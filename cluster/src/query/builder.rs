//! Queries of a typed table.

use std::ops::ControlFlow;

use tabularaft_schema::Record;

use super::filter::Filter;
use super::plan::Plan;
use super::run::Wanted;
use crate::error::ReadError;
use crate::table::Table;

/// A query of a typed table: local, over one view, and found in the quickest way that the table offers: by key, by a
/// range of keys, through a secondary index, or else by looking at all records.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use serde::{Deserialize, Serialize};
/// use tabularaft::query::field;
/// use tabularaft::{Node, Record};
///
/// #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
/// #[record(table = "employee", copy = "ram", crate = "tabularaft::schema")]
/// struct Employee { #[key] number: u64, #[index] room: u64, salary: u64 }
///
/// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
/// node.create_table::<Employee>().await?;
/// let employees = node.table::<Employee>()?;
/// for number in 0..100 {
///     employees.insert(&Employee { number, room: number % 10, salary: number * 7 % 50 }).await?;
/// }
/// let query = employees.query().filter(field("room").eq(3).and(field("salary").gt(20))).order_by("salary").limit(2);
/// assert_eq!(
///     query.explain()?.to_string(),
///     "table employee: index room, room = 3, 10 records looked at; of these where salary > 20; sorted by salary; at most 2"
/// );
/// assert_eq!(query.records()?.iter().map(|found| found.salary).collect::<Vec<_>>(), [21, 21]);
/// let paid = employees.query().filter(field("room").is_in([1, 2])).fold(0, |sum, found| sum + found.salary)?;
/// assert_eq!(paid, 510);
/// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
/// ```
#[must_use]
pub struct Query<'t, R> {
    pub(super) table: &'t Table<R>,
    pub(super) wanted: Wanted,
    pub(super) tests: Vec<Test<'t, R>>,
}

/// A test that a caller has written, of whole records.
pub(super) type Test<'t, R> = Box<dyn Fn(&R) -> bool + Send + Sync + 't>;

impl<R: Record> Table<R> {
    /// Begins a query; without more it is for all records.
    pub fn query(&self) -> Query<'_, R> {
        let wanted = Wanted { filter: Filter::All(Vec::new()), order: None, reverse: false, limit: None };
        Query { table: self, wanted, tests: Vec::new() }
    }
}

impl<'t, R: Record> Query<'t, R> {
    /// Only records that meet the filter, and those given before.
    pub fn filter(mut self, filter: Filter) -> Self {
        let before = std::mem::replace(&mut self.wanted.filter, Filter::All(Vec::new()));
        self.wanted.filter = before.and(filter);
        self
    }

    /// Only records for which the closure holds. It is asked last, of records that meet everything else, and is no help
    /// in finding them.
    pub fn filter_fn(mut self, test: impl Fn(&R) -> bool + Send + Sync + 't) -> Self {
        self.tests.push(Box::new(test));
        self
    }

    /// In the order of this field. Without it the order is that of the way by which the records are found.
    pub fn order_by(mut self, field: impl Into<String>) -> Self {
        self.wanted.order = Some(field.into());
        self
    }

    /// The other way round.
    pub fn reverse(mut self) -> Self {
        self.wanted.reverse = true;
        self
    }

    /// At most so many records.
    pub fn limit(mut self, records: usize) -> Self {
        self.wanted.limit = Some(records);
        self
    }

    /// How the records are found, without finding them.
    ///
    /// # Errors
    ///
    /// As [`Query::records`].
    pub fn explain(&self) -> Result<Plan, ReadError> {
        self.table.read(|copy| self.wanted.plan(copy))
    }

    /// The records.
    ///
    /// # Errors
    ///
    /// [`ReadError::Query`] if a field does not exist or a value is of another type; else as [`Table::get`].
    pub fn records(&self) -> Result<Vec<R>, ReadError> {
        self.fold(Vec::new(), |mut records, record| {
            records.push(record);
            records
        })
    }

    /// The first record.
    ///
    /// # Errors
    ///
    /// As [`Query::records`].
    pub fn first(&self) -> Result<Option<R>, ReadError> {
        let mut first = None;
        self.visit(&mut |record| {
            first = Some(record);
            ControlFlow::Break(())
        })?;
        Ok(first)
    }

    /// How many records there are.
    ///
    /// # Errors
    ///
    /// As [`Query::records`].
    pub fn count(&self) -> Result<u64, ReadError> {
        if self.tests.is_empty() {
            return self.count_encoded();
        }
        self.fold(0, |count, _| count + 1)
    }

    /// Calls `each` with every record.
    ///
    /// # Errors
    ///
    /// As [`Query::records`].
    pub fn for_each(&self, mut each: impl FnMut(R)) -> Result<(), ReadError> {
        self.visit(&mut |record| {
            each(record);
            ControlFlow::Continue(())
        })
    }

    /// Folds all records into one value.
    ///
    /// # Errors
    ///
    /// As [`Query::records`].
    pub fn fold<A>(&self, start: A, mut fold: impl FnMut(A, R) -> A) -> Result<A, ReadError> {
        let mut folded = Some(start);
        self.for_each(|record| folded = folded.take().map(|folded| fold(folded, record)))?;
        Ok(folded.expect("it is put back after each record"))
    }

    pub(super) fn passes(&self, record: &R) -> bool {
        self.tests.iter().all(|test| test(record))
    }

    /// Without decoding what is only counted.
    fn count_encoded(&self) -> Result<u64, ReadError> {
        let limit = self.wanted.limit.unwrap_or(usize::MAX) as u64;
        self.table.read(|copy| {
            let mut count = 0;
            let prepared = self.wanted.prepare(copy)?;
            if limit > 0 {
                prepared.visit(copy, &mut |_| {
                    count += 1;
                    Ok(if count == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                })?;
            }
            Ok(count)
        })
    }

    fn visit(&self, visit: &mut dyn FnMut(R) -> ControlFlow<()>) -> Result<(), ReadError> {
        let mut left = self.wanted.limit.unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(());
        }
        self.table.read(|copy| {
            self.wanted.prepare(copy)?.visit(copy, &mut |record| {
                let record = R::decode(record)?;
                if !self.passes(&record) {
                    return Ok(ControlFlow::Continue(()));
                }
                left -= 1;
                let next = visit(record);
                Ok(if left == 0 { ControlFlow::Break(()) } else { next })
            })
        })
    }
}
