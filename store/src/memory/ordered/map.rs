use std::ops::Bound;

use crate::memory::heap::HeapTally;
use crate::row::{Row, RowRef};

use super::fences::Fences;
use super::node::Node;
use super::range::OrderedRange;

/// Records in key order: the table structure of ordered sets and bags.
///
/// A clone takes nanoseconds and is a version of its own: writes to either never show in the other. Keys are any bytes,
/// also none, and sort as bytes; each is stored once.
#[derive(Clone)]
pub struct OrderedMap {
    root: Node,
    len: usize,
    /// Bytes of all keys and values.
    payload_bytes: usize,
    tally: HeapTally,
}

impl OrderedMap {
    /// A map without records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A map of a tree that was built as a whole.
    pub(super) fn from_parts(root: Node, len: usize, payload_bytes: usize, tally: HeapTally) -> Self {
        Self { root, len, payload_bytes, tally }
    }

    /// How many records the map holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the map holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of heap this version reaches, as an estimate; what clones share is counted in each.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.tally.bytes()
    }

    /// Bytes of all keys and values, exactly.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// The row under `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<RowRef<'_>> {
        let mut node = &self.root;
        while let Some(children) = node.children() {
            node = children.get(node.child_for(key))?;
        }
        node.find(key).ok().map(|position| node.page().row(position))
    }

    /// Whether there is a record under `key`.
    #[must_use]
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Puts `row` under `key` and returns the row it replaces.
    pub fn insert(&mut self, key: &[u8], row: RowRef<'_>) -> Option<Row> {
        let (replaced, siblings) = self.root.insert(key, row, Fences::default(), &mut self.tally);
        if !siblings.is_empty() {
            self.root = std::mem::take(&mut self.root).grow(siblings, &mut self.tally);
        }
        self.len += usize::from(replaced.is_none());
        self.payload_bytes += row.value().len();
        match &replaced {
            Some(replaced) => self.payload_bytes -= replaced.value().len(),
            None => self.payload_bytes += key.len(),
        }
        replaced
    }

    /// Takes the row under `key` out of the map.
    pub fn remove(&mut self, key: &[u8]) -> Option<Row> {
        // Looking first keeps a key that is not there from copying its path.
        self.get(key)?;
        let removed = self.root.remove(key, Fences::default(), &mut self.tally);
        if self.root.children().is_some_and(|children| children.len() == 1) {
            self.root = std::mem::take(&mut self.root).shrink(&mut self.tally);
        }
        if let Some(removed) = &removed {
            self.len -= 1;
            self.payload_bytes -= key.len() + removed.value().len();
        }
        removed
    }

    /// All records in key order.
    #[must_use]
    pub fn iter(&self) -> OrderedRange<'_> {
        self.range((Bound::Unbounded, Bound::Unbounded))
    }

    /// The records between two bounds in key order, or in reverse from the back.
    ///
    /// Finding the ends costs as much as two `get`s; each step costs a few nanoseconds. Bounds that exclude each other
    /// give nothing.
    #[must_use]
    pub fn range(&self, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> OrderedRange<'_> {
        OrderedRange::new(&self.root, bounds)
    }

    /// The record with the lowest key.
    #[must_use]
    pub fn first(&self) -> Option<(&[u8], RowRef<'_>)> {
        self.iter().next()
    }

    /// The record with the highest key.
    #[must_use]
    pub fn last(&self) -> Option<(&[u8], RowRef<'_>)> {
        self.iter().next_back()
    }

    /// Checks the invariants of the tree and counts its heap anew.
    #[cfg(test)]
    pub(in crate::memory) fn check_and_recount_heap_bytes(&self) -> usize {
        let (_, heap_bytes) = self.root.check_and_recount_heap_bytes(Fences::default());
        heap_bytes
    }
}

impl Default for OrderedMap {
    fn default() -> Self {
        let root = Node::default();
        let mut tally = HeapTally::default();
        tally.add(root.heap_bytes());
        Self { root, len: 0, payload_bytes: 0, tally }
    }
}

impl std::fmt::Debug for OrderedMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderedMap")
            .field("len", &self.len)
            .field("heap_bytes", &self.heap_bytes())
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a OrderedMap {
    type Item = (&'a [u8], RowRef<'a>);
    type IntoIter = OrderedRange<'a>;

    fn into_iter(self) -> OrderedRange<'a> {
        self.iter()
    }
}
