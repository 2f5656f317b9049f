//! Walking through a typed table in key order: its ends, neighbours, and pages.

use std::ops::Bound;

use tabularaft_schema::{KeyFor, Record};
use tabularaft_store::{ALL_KEYS, KeyBounds};

use super::Table;
use super::bounds::end_of;
use super::cursor::Cursor;
use super::read::decoded;
use crate::error::ReadError;

/// Some records, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<R> {
    /// The records, in the order of the walk.
    pub records: Vec<R>,
    /// What gives the next page; `None` at the end.
    pub next: Option<Cursor>,
}

/// What a walk costs depends on where the records are. Ordered sets, bags and everything on disc find a place in the
/// time of a `get`. A set in memory has no order to find a place in: each of these calls looks at all of its records
/// and sorts out the few that are wanted.
impl<R: Record> Table<R> {
    /// The record with the lowest key; of a bag, the first one under it.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn first(&self) -> Result<Option<R>, ReadError> {
        self.nearest(ALL_KEYS, false)
    }

    /// The record with the highest key; of a bag, the last one under it.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn last(&self) -> Result<Option<R>, ReadError> {
        self.nearest(ALL_KEYS, true)
    }

    /// The record with the lowest key above this one, which need not be there; of a bag, the first one under it.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn next(&self, key: impl KeyFor<R::Key>) -> Result<Option<R>, ReadError> {
        // Of the highest key of all there is no end, and nothing behind it.
        let Some(end) = end_of(key.to_key()) else { return Ok(None) };
        self.nearest((Bound::Included(&end), Bound::Unbounded), false)
    }

    /// The record with the highest key below this one, which need not be there; of a bag, the last one under it.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn prev(&self, key: impl KeyFor<R::Key>) -> Result<Option<R>, ReadError> {
        self.nearest((Bound::Unbounded, Bound::Excluded(key.to_key().as_bytes())), true)
    }

    /// Up to `limit` records in key order, beginning behind `cursor` or with the first, and the cursor of the next
    /// page. Each page reads this node's newest view: a record that is there all the time is given exactly once, one
    /// that comes or goes meanwhile is given or not.
    ///
    /// Of a range or a prefix, or backwards, [`Records::page`](crate::Records::page) gives pages.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use serde::{Deserialize, Serialize};
    /// use tabularaft::{Cursor, Node, Record};
    ///
    /// #[derive(Record, Serialize, Deserialize)]
    /// #[record(table = "job", kind = "ordered-set", copy = "ram", crate = "tabularaft::schema")]
    /// struct Job { #[key] number: u64 }
    ///
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// node.create_table::<Job>().await?;
    /// let jobs = node.table::<Job>()?;
    /// for number in 0..25 {
    ///     jobs.insert(&Job { number }).await?;
    /// }
    /// let (mut cursor, mut pages) = (None::<Cursor>, 0);
    /// loop {
    ///     let page = jobs.page(cursor.as_ref(), 10)?;
    ///     pages += 1;
    ///     // Text, so that it can travel to a browser and back.
    ///     let Some(text) = page.next.map(|next| next.to_string()) else { break };
    ///     cursor = Some(text.parse().expect("it was a cursor"));
    /// }
    /// assert_eq!(pages, 3);
    ///
    /// // The neighbours of a key, and a range from its end.
    /// assert_eq!(jobs.prev(10)?.map(|job| job.number), Some(9));
    /// assert_eq!(jobs.next(24)?.map(|job| job.number), None);
    /// let newest: Result<Vec<_>, _> = jobs.range(5..)?.rev().take(2).map(|job| Ok(job?.number)).collect();
    /// assert_eq!(newest, Ok::<_, tabularaft::ReadError>(vec![24, 23]));
    /// # node.shutdown().await;
    /// # Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Table::get`]; [`ReadError::Cursor`] for a cursor of another table.
    pub fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page<R>, ReadError> {
        let records = self.iter()?;
        let records = match cursor {
            Some(cursor) => records.after(cursor)?,
            None => records,
        };
        records.page(limit)
    }

    /// The first record within the bounds on storage keys.
    fn nearest(&self, bounds: KeyBounds<'_>, reverse: bool) -> Result<Option<R>, ReadError> {
        self.read(|copy| {
            let stored = copy.in_key_order(bounds, reverse, Some(1)).next();
            stored.map(|stored| decoded(copy, stored)).transpose()
        })
    }
}
