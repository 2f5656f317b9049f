//! Changes of a disc-only table that its checkpoint does not hold yet.

use std::ops::Bound;

use crate::memory::OrderedMap;
use crate::row::RowRef;
use crate::table_state::RecordChange;

/// An overlay of records and deletions over an older state. Cloning shares everything.
#[derive(Clone, Default)]
pub(crate) struct Changes {
    /// Nothing of the older state counts: the table was cleared or is new.
    whole: bool,
    puts: OrderedMap,
    /// Keys without a record; disjoint from the keys of `puts`. The rows are empty.
    deletes: OrderedMap,
}

/// What an overlay says of a key.
pub(crate) enum Overlaid<'a> {
    /// There is this record.
    Record(RowRef<'a>),
    /// There is no record.
    Nothing,
    /// The older state decides.
    Unchanged,
}

impl Changes {
    /// The changes that make up a table's whole content.
    pub(crate) fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// How many keys have changed.
    pub(crate) fn len(&self) -> usize {
        self.puts.len() + self.deletes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.whole && self.puts.is_empty() && self.deletes.is_empty()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Overlaid<'_> {
        match self.puts.get(key) {
            Some(row) => Overlaid::Record(row),
            None if self.whole || self.deletes(key) => Overlaid::Nothing,
            None => Overlaid::Unchanged,
        }
    }

    /// Whether a record that the older state has under `key` no longer counts, whatever came in its place.
    pub(crate) fn hides(&self, key: &[u8]) -> bool {
        self.whole || self.deletes(key) || self.puts.get(key).is_some()
    }

    pub(crate) fn apply(&mut self, change: RecordChange<'_>) {
        match change {
            RecordChange::Put { key, row } => self.put(key, row),
            RecordChange::Delete { key } => self.delete(key),
            RecordChange::Clear => *self = Self::whole(),
        }
    }

    pub(crate) fn put(&mut self, key: &[u8], row: RowRef<'_>) {
        self.puts.insert(key, row);
        if !self.deletes.is_empty() {
            self.deletes.remove(key);
        }
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.puts.remove(key);
        if !self.whole {
            self.deletes.insert(key, RowRef::new(0, None, &[]));
        }
    }

    pub(crate) fn puts(&self) -> &OrderedMap {
        &self.puts
    }

    /// The deleted keys in order.
    pub(crate) fn deleted_keys(&self) -> impl Iterator<Item = &[u8]> {
        self.deletes.range((Bound::Unbounded, Bound::Unbounded)).map(|(key, _)| key)
    }

    fn deletes(&self, key: &[u8]) -> bool {
        !self.deletes.is_empty() && self.deletes.get(key).is_some()
    }
}
