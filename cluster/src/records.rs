//! Iterating over the records of one view.

use std::marker::PhantomData;
use std::ops::Bound;
use std::sync::Arc;

use tabularaft_schema::{Record, TableId};
use tabularaft_store::{StoredRecord, TableView, View};

use crate::error::ReadError;

/// How many records are decoded at a time.
const PAGE_RECORDS: usize = 256;

/// Records of one view: writes that happen meanwhile are not seen, and nothing is locked. Holding it keeps the records
/// that are overwritten meanwhile in memory.
pub struct Records<R> {
    view: Arc<View>,
    table: TableId,
    low: Bound<Vec<u8>>,
    high: Bound<Vec<u8>>,
    /// Decoded records, the next one last.
    page: Vec<Result<R, ReadError>>,
    done: bool,
    /// Records of a set in memory have no order in which a next page could begin, so they are taken as one page.
    paged: bool,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Records<R> {
    pub(crate) fn new(view: Arc<View>, copy: &TableView, low: Bound<Vec<u8>>, high: Bound<Vec<u8>>) -> Self {
        let (table, paged) = (copy.id(), copy.is_ordered());
        Self { view, table, low, high, page: Vec::new(), done: false, paged, record: PhantomData }
    }

    fn fill(&mut self) {
        let Some(copy) = self.view.table(self.table) else {
            self.done = true;
            return;
        };
        let limit = self.paged.then_some(PAGE_RECORDS);
        let range = (self.low.as_ref().map(Vec::as_slice), self.high.as_ref().map(Vec::as_slice));
        let mut last = None;
        for stored in copy.range(range, false, limit) {
            if let Ok(stored) = &stored {
                last = Some(stored.key().to_vec());
            }
            self.page.push(decode(copy, stored));
        }
        self.done = limit.is_none_or(|limit| self.page.len() < limit) || last.is_none();
        self.page.reverse();
        if let Some(last) = last {
            self.low = Bound::Excluded(last);
        }
    }
}

fn decode<R: Record>(
    copy: &TableView,
    stored: Result<StoredRecord<'_>, tabularaft_store::StoreError>,
) -> Result<R, ReadError> {
    let stored = stored.map_err(|error| ReadError::Store(error.to_string()))?;
    Ok(R::decode(copy.record_bytes(&stored))?)
}

impl<R: Record> Iterator for Records<R> {
    type Item = Result<R, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() && !self.done {
            self.fill();
        }
        let next = self.page.pop();
        if let Some(Err(_)) = next {
            // What comes after a record that cannot be read is not certain to be complete.
            self.page.clear();
            self.done = true;
        }
        next
    }
}
