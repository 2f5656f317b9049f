//! Reading one table through a secondary index, with what a transaction has written itself.

use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use bytes::Bytes;
use tabularaft_schema::IndexValues;
use tabularaft_store::{IndexBounds, IndexEntry, IndexView, TableView, record_of_storage_key};

use super::reading::{Next, Reading};
use super::reads::Range;
use crate::error::ReadError;
use crate::write::Space;

/// Entries of an index, and the order in which they are wanted.
#[derive(Debug, Clone)]
pub(crate) struct IndexSpan {
    pub(crate) bounds: IndexBounds,
    pub(crate) reverse: bool,
}

/// A record that a transaction has written, and where it stands in the index.
struct OwnEntry {
    entry: Vec<u8>,
    value_bytes: usize,
    record: Bytes,
}

/// What is given for each entry: its encoded value, the storage key and the record.
type Visit<'v> = &'v mut dyn FnMut(IndexEntry<'_>, &[u8]) -> Next;

impl<'t> Reading<'t> {
    /// The index of this name, if it can be read.
    pub(crate) fn index(&self, name: &str) -> Result<&'t IndexView, ReadError> {
        Ok(self.copy.index(name)?)
    }

    /// Gives the records of the span to `visit` in the order of their values, until it says that it has enough.
    pub(crate) fn scan_index(
        &self,
        index: &IndexView,
        span: &IndexSpan,
        visit: Visit<'_>,
    ) -> Result<(), ReadError> {
        if self.state.is_none() {
            return self.visit_view(index, span, visit);
        }
        let own = self.own_entries(index, span)?;
        let (reached, outcome) = self.visit_both(index, span, own, visit);
        self.note_entries(index, span, reached);
        outcome?;
        self.check_size()
    }

    fn visit_view(&self, index: &IndexView, span: &IndexSpan, visit: Visit<'_>) -> Result<(), ReadError> {
        // Records of former versions have to be migrated, so their rows are looked up, which say the version.
        let in_key =
            |key| record_of_storage_key(self.copy.def(), key).filter(|_| self.copy.upgrade().is_none());
        for entry in index.entries(&span.bounds, span.reverse) {
            let next = match in_key(entry.storage_key()) {
                Some(record) => Some(visit(entry, record)),
                None => with_record(self.copy, entry, |record, _| visit(entry, record))?,
            };
            if next.transpose()?.is_some_and(|next| next.is_break()) {
                break;
            }
        }
        Ok(())
    }

    /// Visits what is in the view and what the transaction has made of it, in one order. Also returns the entry at
    /// which the visitor had enough.
    fn visit_both(
        &self,
        index: &IndexView,
        span: &IndexSpan,
        own: Vec<OwnEntry>,
        visit: Visit<'_>,
    ) -> (Option<Vec<u8>>, Result<(), ReadError>) {
        let (touched, wiped) = self.touched();
        let is_own = |entry: &IndexEntry<'_>| {
            touched.contains(entry.storage_key()) || wiped.contains(key_of(self.copy, entry.storage_key()))
        };
        let mut stored = index.entries(&span.bounds, span.reverse).filter(|entry| !is_own(entry)).peekable();
        let mut own = own.into_iter().peekable();
        loop {
            let own_is_first = match (stored.peek(), own.peek()) {
                (None, None) => return (None, Ok(())),
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some(stored), Some(own)) => (own.entry.as_slice() < stored.as_bytes()) != span.reverse,
            };
            let (entry, next) = if own_is_first {
                let Some(OwnEntry { entry, value_bytes, record }) = own.next() else { continue };
                let next = visit(IndexEntry::new(&entry, value_bytes), &record);
                (entry, next)
            } else {
                let Some(entry) = stored.next() else { continue };
                match self.visit_stored(entry, visit) {
                    Ok(Some(next)) => (entry.as_bytes().to_vec(), next),
                    Ok(None) => continue,
                    Err(error) => return (None, Err(error)),
                }
            };
            match next {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return (Some(entry), Ok(())),
                Err(error) => return (None, Err(error)),
            }
        }
    }

    /// Visits a record of the view; the transaction notes that it was read.
    fn visit_stored(&self, entry: IndexEntry<'_>, visit: Visit<'_>) -> Result<Option<Next>, ReadError> {
        let visited = with_record(self.copy, entry, |record, version| (visit(entry, record), version))?;
        let Some((next, version)) = visited else { return Ok(None) };
        if let Some(state) = self.state {
            let key = Bytes::copy_from_slice(entry.storage_key());
            state.borrow_mut().reads.record(self.copy.id(), &key, version);
        }
        Ok(Some(next))
    }

    fn note_entries(&self, index: &IndexView, span: &IndexSpan, reached: Option<Vec<u8>>) {
        let Some(state) = self.state else { return };
        let (low, high) =
            (span.bounds.low.clone().map(Bytes::from), span.bounds.high.clone().map(Bytes::from));
        let (low, high) = match (reached.map(|entry| Bound::Included(Bytes::from(entry))), span.reverse) {
            (None, _) => (low, high),
            (Some(reached), false) => (low, reached),
            (Some(reached), true) => (reached, high),
        };
        let space = Space::Index(index.def().name.as_str().into());
        state.borrow_mut().reads.range(Range { table: self.copy.id(), space, low, high });
    }

    /// The storage keys that the transaction has written to, and the keys of a bag that it has emptied.
    fn touched(&self) -> (BTreeSet<Bytes>, BTreeSet<Bytes>) {
        let Some(state) = self.state else { return Default::default() };
        let state = state.borrow();
        let Some(shadow) = state.writes.shadow(self.copy.id()) else { return Default::default() };
        let all = shadow.between(&Bound::Unbounded, &Bound::Unbounded);
        (all.map(|(key, _)| key.clone()).collect(), shadow.wiped().clone())
    }

    /// Where the transaction's own records stand within the span, in its order.
    fn own_entries(&self, index: &IndexView, span: &IndexSpan) -> Result<Vec<OwnEntry>, ReadError> {
        let mut entries = Vec::new();
        let mut values = IndexValues::default();
        for (key, record) in self.own_records()? {
            self.copy.index_values(index, &key, &record, &mut values);
            for value in values.iter() {
                let entry = [value, key.as_ref()].concat();
                if span.bounds.contain(&entry) {
                    entries.push(OwnEntry { entry, value_bytes: value.len(), record: record.clone() });
                }
            }
        }
        entries.sort_by(|a, b| a.entry.cmp(&b.entry));
        if span.reverse {
            entries.reverse();
        }
        Ok(entries)
    }

    /// The records that the transaction has written and not deleted.
    fn own_records(&self) -> Result<Vec<(Bytes, Bytes)>, ReadError> {
        let Some(state) = self.state else { return Ok(Vec::new()) };
        let state = &mut *state.borrow_mut();
        let Some(shadow) = state.writes.shadow(self.copy.id()) else { return Ok(Vec::new()) };
        let all = shadow.between(&Bound::Unbounded, &Bound::Unbounded);
        let all: Vec<_> = all.map(|(key, own)| (key.clone(), own.clone())).collect();
        let mut records = Vec::new();
        for (key, own) in all {
            let before = match own.rests_on_view() {
                true => self.base(state, &key, Bytes::copy_from_slice)?,
                false => None,
            };
            let record = state.writes.after(self.copy.def(), &own, before)?;
            records.extend(record.map(|record| (key, record)));
        }
        Ok(records)
    }
}

/// Gives the record of an entry and its version to `read`. In a bag the record stands in the storage key.
fn with_record<T>(
    copy: &TableView,
    entry: IndexEntry<'_>,
    read: impl FnOnce(&[u8], u64) -> T,
) -> Result<Option<T>, ReadError> {
    let key = entry.storage_key();
    let read = |row: tabularaft_store::RowRef<'_>| {
        let record = copy.record_of(key, row)?;
        Ok(read(&record, row.version()))
    };
    copy.get_with(key, read).and_then(Option::transpose).map_err(ReadError::from)
}

fn key_of<'k>(copy: &TableView, storage_key: &'k [u8]) -> &'k [u8] {
    tabularaft_store::key_of_storage_key(copy.def(), storage_key)
}
