//! Reading one table of a view, as records in bytes, with what a transaction has written itself.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};

use bytes::Bytes;
use tabularaft_schema::Record;
use tabularaft_store::{RowRef, StoredRecord, TableRange, TableView};

use super::reads::Range;
use super::state::TxState;
use super::writes::Own;
use crate::error::ReadError;
use crate::write::Space;

/// One table as a closure sees it.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'t> {
    pub(crate) copy: &'t TableView,
    /// There in a transaction, which notes what it reads and sees what it wrote.
    pub(super) state: Option<&'t RefCell<TxState>>,
}

/// Storage keys between two bounds, and the order in which they are wanted.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) low: Bound<Bytes>,
    pub(super) high: Bound<Bytes>,
    pub(super) reverse: bool,
}

/// What the visitor of a scan says after each record.
pub(crate) type Next = Result<ControlFlow<()>, ReadError>;

impl<'t> Reading<'t> {
    /// A reading outside of transactions.
    pub(crate) fn of(copy: &'t TableView) -> Self {
        Self { copy, state: None }
    }

    /// The record under the key of a table that is no bag.
    pub(super) fn record<T>(
        &self,
        key: &Bytes,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, ReadError> {
        let Some(state) = self.state else {
            let read = |row: RowRef<'_>| self.copy.record_of(key, row).map(|record| read(&record));
            return self.copy.get_with(key, read).and_then(Option::transpose).map_err(ReadError::from);
        };
        let state = &mut *state.borrow_mut();
        match state.writes.shadow(self.copy.id()).and_then(|shadow| shadow.own(key)).cloned() {
            Some(Own::Record(record)) => Ok(Some(read(&record))),
            Some(Own::Gone) => Ok(None),
            Some(own) => {
                let before = match own.rests_on_view() {
                    true => self.base(state, key, Bytes::copy_from_slice)?,
                    false => None,
                };
                let record = state.writes.after(self.copy.def(), &own, before)?;
                Ok(record.map(|record| read(&record)))
            }
            None => self.base(state, key, read),
        }
    }

    /// The record as the view has it, or, if it is the transaction's turn to change it, as those before leave it; the
    /// transaction notes that it was read.
    pub(super) fn base<T>(
        &self,
        state: &mut TxState,
        key: &Bytes,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, ReadError> {
        let table = self.copy.id();
        if let Some(record) = state.turn.get(&(table, key.clone())) {
            state.reads.content(table, key, record.clone());
            return Ok(record.as_deref().map(read));
        }
        let read = |row: RowRef<'_>| {
            let record = self.copy.record_of(key, row)?;
            Ok((read(&record), row.version()))
        };
        let found = self.copy.get_with(key, read).and_then(Option::transpose)?;
        let (record, version) = found.map_or((None, 0), |(record, version)| (Some(record), version));
        state.reads.record(table, key, version);
        Ok(record)
    }

    pub(super) fn check_size(&self) -> Result<(), ReadError> {
        self.state.map_or(Ok(()), |state| state.borrow().check_reads())
    }

    /// Gives the records of the span to `visit` in key order, until it says that it has enough. What `visit` writes
    /// is not among them.
    pub(super) fn scan(
        &self,
        span: &Span,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), ReadError> {
        if excludes_all(span) {
            return Ok(());
        }
        let (reached, outcome) = self.visit_all(span, visit);
        self.note_range(span, reached);
        outcome?;
        self.check_size()
    }

    /// Also returns the key at which the visitor had enough.
    fn visit_all(
        &self,
        span: &Span,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> (Option<Bytes>, Result<(), ReadError>) {
        for found in self.merge(span) {
            let next = found.and_then(|found| {
                let record = match &found {
                    Found::Stored(stored) => self.copy.record_bytes(stored)?,
                    Found::Own(_, record) => Cow::Borrowed(&record[..]),
                };
                let next = visit(found.key(), &record)?;
                Ok(next.is_break().then(|| Bytes::copy_from_slice(found.key())))
            });
            match next {
                Ok(None) => {}
                Ok(reached) => return (reached, Ok(())),
                Err(error) => return (None, Err(error)),
            }
        }
        (None, Ok(()))
    }

    fn note_range(&self, span: &Span, reached: Option<Bytes>) {
        let Some(state) = self.state else { return };
        let (low, high) = match (reached.map(Bound::Included), span.reverse) {
            (None, _) => (span.low.clone(), span.high.clone()),
            (Some(reached), false) => (span.low.clone(), reached),
            (Some(reached), true) => (reached, span.high.clone()),
        };
        state.borrow_mut().reads.range(Range { table: self.copy.id(), space: Space::Primary, low, high });
    }

    fn merge(&self, span: &Span) -> Visits<'_> {
        let (own, wiped) = self.own(span);
        Visits {
            copy: self.copy,
            stored: self.stored(span).peekable(),
            own: own.into_iter().peekable(),
            state: self.state,
            wiped,
            reverse: span.reverse,
        }
    }

    fn stored(&self, span: &Span) -> TableRange<'_> {
        let bounds = (span.low.as_ref().map(|key| &key[..]), span.high.as_ref().map(|key| &key[..]));
        self.copy.in_key_order(bounds, span.reverse, None)
    }

    /// What the transaction has done within the span so far, in the span's order.
    fn own(&self, span: &Span) -> (Vec<(Bytes, Own)>, BTreeSet<Bytes>) {
        let Some(state) = self.state else { return Default::default() };
        let state = state.borrow();
        let Some(shadow) = state.writes.shadow(self.copy.id()) else { return Default::default() };
        let own = shadow.between(&span.low, &span.high);
        let mut own: Vec<_> = own.map(|(key, own)| (key.clone(), own.clone())).collect();
        if span.reverse {
            own.reverse();
        }
        (own, shadow.wiped().clone())
    }
}

/// What a scan comes across.
enum Found<'v> {
    Stored(StoredRecord<'v>),
    Own(Bytes, Bytes),
}

impl Found<'_> {
    fn key(&self) -> &[u8] {
        match self {
            Self::Stored(stored) => stored.key(),
            Self::Own(key, _) => key,
        }
    }
}

/// The records of the view, and what the transaction has made of them, in one order.
struct Visits<'v> {
    copy: &'v TableView,
    stored: Peekable<TableRange<'v>>,
    own: Peekable<std::vec::IntoIter<(Bytes, Own)>>,
    state: Option<&'v RefCell<TxState>>,
    wiped: BTreeSet<Bytes>,
    reverse: bool,
}

impl<'v> Visits<'v> {
    fn take(&mut self) -> Result<Option<Found<'v>>, ReadError> {
        loop {
            let order = match (self.stored.peek(), self.own.peek()) {
                (None, None) => return Ok(None),
                (Some(Ok(stored)), Some((key, _))) if self.reverse => key[..].cmp(stored.key()),
                (Some(Ok(stored)), Some((key, _))) => stored.key().cmp(&key[..]),
                (Some(_), _) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
            };
            let stored = if order.is_le() { self.stored.next().transpose()? } else { None };
            let stored = stored.filter(|stored| !self.wiped.contains(self.copy.record_key(stored)));
            if order.is_lt() {
                match stored {
                    Some(stored) => return Ok(Some(Found::Stored(stored))),
                    None => continue,
                }
            }
            let Some((key, own)) = self.own.next() else { continue };
            let before =
                |stored| self.copy.record_bytes(&stored).map(|record| Bytes::copy_from_slice(&record));
            let before = stored.map(before).transpose()?;
            let Some(state) = self.state else { continue };
            if let Some(record) = state.borrow().writes.after(self.copy.def(), &own, before)? {
                return Ok(Some(Found::Own(key, record)));
            }
        }
    }
}

impl<'v> Iterator for Visits<'v> {
    type Item = Result<Found<'v>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take().transpose()
    }
}

/// Whether no key can lie between the bounds.
fn excludes_all(span: &Span) -> bool {
    let (Bound::Included(low) | Bound::Excluded(low)) = &span.low else { return false };
    let (Bound::Included(high) | Bound::Excluded(high)) = &span.high else { return false };
    match low.cmp(high) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => {
            !matches!((&span.low, &span.high), (Bound::Included(_), Bound::Included(_)))
        }
        std::cmp::Ordering::Greater => true,
    }
}

pub(super) fn decode<R: Record>(record: &[u8]) -> Result<R, ReadError> {
    Ok(R::decode(record)?)
}
