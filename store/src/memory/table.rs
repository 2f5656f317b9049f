use std::ops::Bound;

use crate::row::{Row, RowRef};

use super::{HashedIter, HashedMap, OrderedMap, OrderedRange};

/// The records of one table in memory, in the structure its kind asks for. A clone takes nanoseconds.
#[derive(Clone, Debug)]
pub enum MemoryTable {
    /// A set: fastest by key, in no useful order.
    Hashed(HashedMap),
    /// An ordered set or a bag: in key order.
    Ordered(OrderedMap),
}

impl MemoryTable {
    /// An empty table for a set.
    #[must_use]
    pub fn hashed() -> Self {
        Self::Hashed(HashedMap::new())
    }

    /// An empty table for an ordered set or a bag.
    #[must_use]
    pub fn ordered() -> Self {
        Self::Ordered(OrderedMap::new())
    }

    /// The structure behind a set.
    #[must_use]
    pub fn as_hashed(&self) -> Option<&HashedMap> {
        match self {
            Self::Hashed(map) => Some(map),
            Self::Ordered(_) => None,
        }
    }

    /// The structure behind an ordered set or a bag.
    #[must_use]
    pub fn as_ordered(&self) -> Option<&OrderedMap> {
        match self {
            Self::Hashed(_) => None,
            Self::Ordered(map) => Some(map),
        }
    }

    /// How many records the table holds.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Hashed(map) => map.len(),
            Self::Ordered(map) => map.len(),
        }
    }

    /// Whether the table holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap this version reaches, as an estimate; what clones share is counted in each.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Hashed(map) => map.heap_bytes(),
            Self::Ordered(map) => map.heap_bytes(),
        }
    }

    /// Bytes of all keys and values, exactly.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        match self {
            Self::Hashed(map) => map.payload_bytes(),
            Self::Ordered(map) => map.payload_bytes(),
        }
    }

    /// The row under `key`.
    #[must_use]
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<RowRef<'_>> {
        match self {
            Self::Hashed(map) => map.get(key),
            Self::Ordered(map) => map.get(key),
        }
    }

    /// Whether there is a record under `key`.
    #[must_use]
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Puts `row` under `key` and returns the row it replaces.
    pub fn insert(&mut self, key: &[u8], row: RowRef<'_>) -> Option<Row> {
        match self {
            Self::Hashed(map) => map.insert(key, row),
            Self::Ordered(map) => map.insert(key, row),
        }
    }

    /// Takes the row under `key` out of the table.
    pub fn remove(&mut self, key: &[u8]) -> Option<Row> {
        match self {
            Self::Hashed(map) => map.remove(key),
            Self::Ordered(map) => map.remove(key),
        }
    }

    /// All records, in the table's own order.
    #[must_use]
    pub fn iter(&self) -> TableIter<'_> {
        match self {
            Self::Hashed(map) => TableIter::Hashed(map.iter()),
            Self::Ordered(map) => TableIter::Ordered(map.iter()),
        }
    }

    /// The records that follow `key` in the table's own order, or all of them.
    ///
    /// Resumes an iteration over one version behind the last key it gave, whichever the kind; see
    /// [`HashedMap::iter_after`] for what the order of a set depends on.
    #[must_use]
    pub fn iter_after(&self, key: Option<&[u8]>) -> TableIter<'_> {
        match (self, key) {
            (_, None) => self.iter(),
            (Self::Hashed(map), Some(key)) => TableIter::Hashed(map.iter_after(key)),
            (Self::Ordered(map), Some(key)) => {
                TableIter::Ordered(map.range((Bound::Excluded(key), Bound::Unbounded)))
            }
        }
    }

    /// The records between two bounds in key order; `None` if the table has no key order.
    #[must_use]
    pub fn range(&self, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Option<OrderedRange<'_>> {
        self.as_ordered().map(|map| map.range(bounds))
    }
}

/// The records of a [`MemoryTable`] in its own order.
#[derive(Clone)]
pub enum TableIter<'a> {
    /// Of a set.
    Hashed(HashedIter<'a>),
    /// Of an ordered set or a bag.
    Ordered(OrderedRange<'a>),
}

impl<'a> Iterator for TableIter<'a> {
    type Item = (&'a [u8], RowRef<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Hashed(iter) => iter.next(),
            Self::Ordered(iter) => iter.next(),
        }
    }
}

impl<'a> IntoIterator for &'a MemoryTable {
    type Item = (&'a [u8], RowRef<'a>);
    type IntoIter = TableIter<'a>;

    fn into_iter(self) -> TableIter<'a> {
        self.iter()
    }
}
