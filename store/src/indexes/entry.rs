//! Entries of an index, in order.

use std::iter::Rev;
use std::ops::{Bound, RangeBounds};

use tabularaft_schema::{FieldType, Key};

use crate::memory::OrderedRange;

/// One value of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry<'a> {
    bytes: &'a [u8],
    value_bytes: usize,
}

impl<'a> IndexEntry<'a> {
    /// An entry of an encoded value, which ends after `value_bytes` bytes, and a storage key.
    #[must_use]
    pub fn new(bytes: &'a [u8], value_bytes: usize) -> Self {
        Self { bytes, value_bytes }
    }

    /// The encoded value.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.bytes.get(..self.value_bytes).unwrap_or_default()
    }

    /// The storage key of the record that has it.
    #[must_use]
    pub fn storage_key(&self) -> &'a [u8] {
        self.bytes.get(self.value_bytes..).unwrap_or_default()
    }

    /// Both, one after the other: where a later reading goes on, see [`IndexBounds::after`].
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Which entries of an index are wanted, in the bytes of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexBounds {
    /// Where they begin.
    pub low: Bound<Vec<u8>>,
    /// Where they end.
    pub high: Bound<Vec<u8>>,
}

impl IndexBounds {
    /// All entries.
    pub const ALL: Self = Self { low: Bound::Unbounded, high: Bound::Unbounded };

    const NOTHING: Self = Self { low: Bound::Excluded(Vec::new()), high: Bound::Excluded(Vec::new()) };

    /// The entries of one encoded value.
    #[must_use]
    pub fn value(value: &[u8]) -> Self {
        Self::prefix(value)
    }

    /// The entries that begin with these bytes.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { low: Bound::Included(prefix.to_vec()), high: end_of(prefix) }
    }

    /// The entries whose encoded values lie between these bounds. No value is a prefix of another, so everything that
    /// begins with a value belongs to it.
    #[must_use]
    pub fn values(low: Bound<&[u8]>, high: Bound<&[u8]>) -> Self {
        let low = match low {
            Bound::Included(value) => Bound::Included(value.to_vec()),
            Bound::Excluded(value) => match Key::successor_of_prefix(value) {
                Some(next) => Bound::Included(next.into_bytes()),
                None => return Self::NOTHING,
            },
            Bound::Unbounded => Bound::Unbounded,
        };
        let high = match high {
            Bound::Excluded(value) => Bound::Excluded(value.to_vec()),
            Bound::Included(value) => end_of(value),
            Bound::Unbounded => Bound::Unbounded,
        };
        Self { low, high }
    }

    /// The rest of these entries behind one that was read, in the direction of reading.
    #[must_use]
    pub fn after(self, entry: &[u8], reverse: bool) -> Self {
        let place = Bound::Excluded(entry.to_vec());
        if reverse { Self { high: place, ..self } } else { Self { low: place, ..self } }
    }

    /// Whether an entry lies between the bounds.
    #[must_use]
    pub fn contain(&self, entry: &[u8]) -> bool {
        RangeBounds::<[u8]>::contains(&self.as_bytes(), entry)
    }

    pub(crate) fn as_bytes(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (self.low.as_ref().map(Vec::as_slice), self.high.as_ref().map(Vec::as_slice))
    }
}

fn end_of(prefix: &[u8]) -> Bound<Vec<u8>> {
    Key::successor_of_prefix(prefix).map_or(Bound::Unbounded, |end| Bound::Excluded(end.into_bytes()))
}

/// The entries of a range of an index, in the order of their values, those of one value in that of their storage keys.
#[derive(Clone)]
pub struct IndexEntries<'a> {
    entries: Direction<'a>,
    value_type: &'a FieldType,
}

#[derive(Clone)]
enum Direction<'a> {
    Forward(OrderedRange<'a>),
    Backward(Rev<OrderedRange<'a>>),
    /// Of an index without content.
    Nothing,
}

impl<'a> IndexEntries<'a> {
    pub(crate) fn new(entries: OrderedRange<'a>, reverse: bool, value_type: &'a FieldType) -> Self {
        let entries = if reverse { Direction::Backward(entries.rev()) } else { Direction::Forward(entries) };
        Self { entries, value_type }
    }

    pub(crate) fn nothing() -> Self {
        Self { entries: Direction::Nothing, value_type: &FieldType::Bool }
    }
}

impl<'a> Iterator for IndexEntries<'a> {
    type Item = IndexEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<IndexEntry<'a>> {
        let (bytes, _) = match &mut self.entries {
            Direction::Forward(entries) => entries.next()?,
            Direction::Backward(entries) => entries.next()?,
            Direction::Nothing => return None,
        };
        let value_bytes = self.value_type.split_key(bytes).map_or(bytes.len(), |(value, _)| value.len());
        Some(IndexEntry { bytes, value_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_on_values_take_in_all_entries_of_a_value_or_none() {
        let bounds = IndexBounds::values(Bound::Excluded(b"a"), Bound::Included(b"c"));
        assert_eq!(bounds.as_bytes(), (Bound::Included(&b"b"[..]), Bound::Excluded(&b"d"[..])));
        let last = [u8::MAX; 2];
        assert_eq!(IndexBounds::values(Bound::Unbounded, Bound::Included(&last)).high, Bound::Unbounded);
        let above_all = IndexBounds::values(Bound::Excluded(&last), Bound::Unbounded);
        assert_eq!(above_all, IndexBounds::NOTHING);
    }

    #[test]
    fn reading_goes_on_behind_the_last_entry_in_either_direction() {
        let bounds = IndexBounds::value(b"b").after(b"bx", false);
        assert_eq!(bounds.as_bytes(), (Bound::Excluded(&b"bx"[..]), Bound::Excluded(&b"c"[..])));
        let bounds = IndexBounds::value(b"b").after(b"bx", true);
        assert_eq!(bounds.as_bytes(), (Bound::Included(&b"b"[..]), Bound::Excluded(&b"bx"[..])));
    }
}
