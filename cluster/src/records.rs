//! Iterating over the records of one view.

use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;

use tabularaft_schema::{Record, TableId};
use tabularaft_store::{KeyBounds, TableView, View};

use crate::error::ReadError;
use crate::table::{Cursor, Page, decoded};

/// How many records are decoded at first, before it is known how many are wanted.
const BATCH_RECORDS_MIN: usize = 16;
/// How many records are decoded at a time.
const BATCH_RECORDS_MAX: usize = 256;
/// Each batch of a set in memory in key order costs a look at all of its records, so batches grow quickly.
const SORTED_BATCH_GROWTH: usize = 16;

/// Records of one view: writes that happen meanwhile are not seen, and nothing is locked. Holding it keeps the records
/// that are overwritten meanwhile in memory.
///
/// They come in key order, and from the other end with [`rev`](Iterator::rev); a limit is [`take`](Iterator::take).
/// Only a set in memory that is iterated as a whole has no order, in which it is as quick as the others.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use serde::{Deserialize, Serialize};
/// use tabularaft::{Node, Record};
///
/// #[derive(Record, Serialize, Deserialize)]
/// #[record(table = "session", kind = "set", copy = "ram", crate = "tabularaft::schema")]
/// struct Session { #[key] client: String }
///
/// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
/// node.create_table::<Session>().await?;
/// let sessions = node.table::<Session>()?;
/// for client in ["alice", "bob", "amy", "carol"] {
///     sessions.insert(&Session { client: client.into() }).await?;
/// }
/// let page = sessions.prefix("a")?.reversed().page(1)?;
/// assert_eq!(page.records[0].client, "amy");
/// let next = page.next.expect("there is more");
/// let rest = sessions.prefix("a")?.after(&next)?.page(10)?;
/// assert_eq!(rest.records[0].client, "alice");
/// assert!(rest.next.is_none());
/// # node.shutdown().await;
/// # Ok::<(), tabularaft::Error>(()) }).unwrap();
/// ```
pub struct Records<R> {
    view: Arc<View>,
    table: TableId,
    /// The bounds of what has been decoded from neither end.
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
    /// The records come in the view's own order, which for sets in memory is none.
    any_order: bool,
    reversed: bool,
    /// Decoded records, the one to be given next last.
    front: Vec<Result<R, ReadError>>,
    /// Decoded records from the other end, the one to be given next last.
    back: Vec<Result<R, ReadError>>,
    batch: usize,
    /// There is nothing between the bounds any more.
    done: bool,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Records<R> {
    pub(crate) fn new(view: Arc<View>, copy: &TableView, low: Bound<Vec<u8>>, high: Bound<Vec<u8>>) -> Self {
        let whole = matches!((&low, &high), (Bound::Unbounded, Bound::Unbounded));
        Self {
            view,
            table: copy.id(),
            any_order: whole && !copy.is_ordered(),
            low,
            high,
            reversed: false,
            front: Vec::new(),
            back: Vec::new(),
            batch: BATCH_RECORDS_MIN,
            done: false,
            record: PhantomData,
        }
    }

    /// The same records from the last key to the first, as [`rev`](Iterator::rev) gives them; these can be had in
    /// pages, too.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.any_order = false;
        self.reversed = !self.reversed;
        self
    }

    /// The records behind the cursor of a page, in the direction in which that page was walked. To be called before
    /// any record is taken.
    ///
    /// # Errors
    ///
    /// [`ReadError::Cursor`] if the cursor is of another table.
    pub fn after(mut self, cursor: &Cursor) -> Result<Self, ReadError> {
        if cursor.table != self.table || cursor.index.is_some() {
            return Err(ReadError::Cursor);
        }
        self.any_order = false;
        self.reversed = cursor.reversed;
        let within = |key: &[u8]| match self.range() {
            (Bound::Included(low), _) if key < low => false,
            (Bound::Excluded(low), _) if key <= low => false,
            (_, Bound::Included(high)) if key > high => false,
            (_, Bound::Excluded(high)) if key >= high => false,
            _ => true,
        };
        let place = Bound::Excluded(cursor.key.clone());
        match (within(&cursor.key), cursor.reversed) {
            (true, false) => self.low = place,
            (true, true) => self.high = place,
            // A page of other bounds ended before these begin, or behind their end.
            (false, reversed) => self.done = is_past(self.range(), &cursor.key, reversed),
        }
        Ok(self)
    }

    /// Up to `limit` of the records, at least one if there is one, in key order, and the cursor of the next page.
    ///
    /// # Errors
    ///
    /// The first record that cannot be read.
    pub fn page(mut self, limit: usize) -> Result<Page<R>, ReadError> {
        self.any_order = false;
        let limit = limit.max(1);
        let mut page = Page { records: Vec::new(), next: None };
        let Some(copy) = self.view.table(self.table).filter(|_| !self.done) else { return Ok(page) };
        let mut last = None;
        for stored in copy.in_key_order(self.range(), self.reversed, Some(limit.saturating_add(1))) {
            let stored = stored?;
            if page.records.len() == limit {
                page.next =
                    last.map(|key| Cursor { table: self.table, reversed: self.reversed, index: None, key });
                break;
            }
            last = Some(stored.key().to_vec());
            page.records.push(decoded(copy, Ok(stored))?);
        }
        Ok(page)
    }

    /// The view, and which of its records these are, as far as none has been taken.
    #[expect(clippy::type_complexity, reason = "two bounds are two bounds")]
    pub(crate) fn selection(&self) -> (&Arc<View>, TableId, &Bound<Vec<u8>>, &Bound<Vec<u8>>) {
        (&self.view, self.table, &self.low, &self.high)
    }

    fn range(&self) -> KeyBounds<'_> {
        (self.low.as_ref().map(Vec::as_slice), self.high.as_ref().map(Vec::as_slice))
    }

    /// Decodes a batch from one end of what is left.
    fn fill(&mut self, from_back: bool) {
        let Some(copy) = self.view.table(self.table) else {
            self.done = true;
            return;
        };
        let limit = self.batch;
        let stored = match (self.any_order, &self.low) {
            (true, Bound::Excluded(last)) => copy.rows_after(Some(last)),
            (true, _) => copy.rows_after(None),
            (false, _) => copy.in_key_order(self.range(), from_back, Some(limit)),
        };
        let (mut batch, mut last) = (Vec::new(), None);
        for stored in stored.take(limit) {
            if let Ok(stored) = &stored {
                last = Some(stored.key().to_vec());
            }
            batch.push(decoded(copy, stored));
        }
        self.batch = match copy.is_ordered() || self.any_order {
            true => limit.saturating_mul(2).min(BATCH_RECORDS_MAX),
            false => limit.saturating_mul(SORTED_BATCH_GROWTH),
        };
        self.done = batch.len() < limit || last.is_none();
        batch.reverse();
        if let Some(last) = last {
            let end = if from_back { &mut self.high } else { &mut self.low };
            *end = Bound::Excluded(last);
        }
        *(if from_back { &mut self.back } else { &mut self.front }) = batch;
    }

    fn give(&mut self, from_back: bool) -> Option<Result<R, ReadError>> {
        // Without an order one end is as good as the other.
        let from_back = from_back && !self.any_order;
        let near = if from_back { &mut self.back } else { &mut self.front };
        if near.is_empty() && !self.done {
            self.fill(from_back);
        }
        let (near, far) = match from_back {
            true => (&mut self.back, &mut self.front),
            false => (&mut self.front, &mut self.back),
        };
        if near.is_empty() && !far.is_empty() {
            // What is left was decoded from the other end.
            std::mem::swap(near, far);
            near.reverse();
        }
        let next = near.pop();
        if let Some(Err(_)) = next {
            // What comes after a record that cannot be read is not certain to be complete.
            self.front.clear();
            self.back.clear();
            self.done = true;
        }
        next
    }
}

/// Whether a walk that has come to `key` is behind everything within the bounds.
fn is_past(bounds: KeyBounds<'_>, key: &[u8], reversed: bool) -> bool {
    match (bounds, reversed) {
        ((_, Bound::Included(end) | Bound::Excluded(end)), false) => key >= end,
        ((Bound::Included(start) | Bound::Excluded(start), _), true) => key <= start,
        _ => false,
    }
}

impl<R: Record> Iterator for Records<R> {
    type Item = Result<R, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.give(self.reversed)
    }
}

impl<R: Record> DoubleEndedIterator for Records<R> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.give(!self.reversed)
    }
}
