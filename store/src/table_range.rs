//! Iterating over the records of a table, wherever they lie.

use std::cmp::Ordering;
use std::ops::Bound;

use crate::changes::Changes;
use crate::checkpoint::DiscTable;
use crate::error::StoreError;
use crate::memory::{OrderedRange, TableIter};
use crate::row::RowRef;
use crate::stored_record::StoredRecord;

/// Two bounds on storage keys.
pub type KeyBounds<'k> = (Bound<&'k [u8]>, Bound<&'k [u8]>);

/// All keys.
pub const ALL_KEYS: KeyBounds<'static> = (Bound::Unbounded, Bound::Unbounded);

/// The records of a range of a table. After an error there is nothing more.
pub struct TableRange<'a> {
    source: Source<'a>,
    left: usize,
}

enum Source<'a> {
    Ordered(OrderedRange<'a>),
    Reversed(std::iter::Rev<OrderedRange<'a>>),
    /// A set in memory has no order, so bounds are a filter.
    Filtered {
        records: TableIter<'a>,
        bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    },
    /// The records of a set in memory, put in order.
    Sorted(std::vec::IntoIter<(&'a [u8], RowRef<'a>)>),
    /// The record of a key, if there is one.
    One(Option<StoredRecord<'a>>),
    Merged(Merged<'a>),
    Failed(Option<StoreError>),
}

impl<'a> TableRange<'a> {
    pub(crate) fn ordered(records: OrderedRange<'a>, reverse: bool, limit: Option<usize>) -> Self {
        let source = if reverse { Source::Reversed(records.rev()) } else { Source::Ordered(records) };
        Self::limited(source, limit)
    }

    pub(crate) fn filtered(records: TableIter<'a>, bounds: KeyBounds<'_>, limit: Option<usize>) -> Self {
        let bounds = (bounds.0.map(<[u8]>::to_vec), bounds.1.map(<[u8]>::to_vec));
        Self::limited(Source::Filtered { records, bounds }, limit)
    }

    pub(crate) fn one(record: Option<StoredRecord<'a>>) -> Self {
        Self::limited(Source::One(record), None)
    }

    pub(crate) fn sorted(records: Vec<(&'a [u8], RowRef<'a>)>) -> Self {
        Self::limited(Source::Sorted(records.into_iter()), None)
    }

    pub(crate) fn merged(merged: Merged<'a>, limit: Option<usize>) -> Self {
        Self::limited(Source::Merged(merged), limit)
    }

    pub(crate) fn failed(error: StoreError) -> Self {
        Self::limited(Source::Failed(Some(error)), None)
    }

    fn limited(source: Source<'a>, limit: Option<usize>) -> Self {
        Self { source, left: limit.unwrap_or(usize::MAX) }
    }
}

impl<'a> Iterator for TableRange<'a> {
    type Item = Result<StoredRecord<'a>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let record = match &mut self.source {
            Source::Ordered(records) => records.next(),
            Source::Reversed(records) => records.next(),
            Source::Filtered { records, bounds } => records.find(|(key, _)| contains(as_slices(bounds), key)),
            Source::Sorted(records) => records.next(),
            Source::Merged(merged) => {
                let record = merged.next();
                if let Some(Err(_)) = record {
                    self.left = 0;
                }
                return record;
            }
            Source::One(record) => return record.take().map(Ok),
            Source::Failed(error) => return error.take().map(Err),
        };
        record.map(|(key, row)| Ok(StoredRecord::borrowed(key, row)))
    }
}

fn as_slices(bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> KeyBounds<'_> {
    (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice))
}

/// Whether a key lies between the bounds.
pub(crate) fn contains(bounds: KeyBounds<'_>, key: &[u8]) -> bool {
    let above = match bounds.0 {
        Bound::Included(low) => key >= low,
        Bound::Excluded(low) => key > low,
        Bound::Unbounded => true,
    };
    let below = match bounds.1 {
        Bound::Included(high) => key <= high,
        Bound::Excluded(high) => key < high,
        Bound::Unbounded => true,
    };
    above && below
}

/// Records on disc under up to two overlays of younger changes, in key order.
pub(crate) struct Merged<'a> {
    /// From the youngest to the oldest; a record counts unless a younger level hides its key.
    levels: Vec<Level<'a>>,
    reverse: bool,
}

struct Level<'a> {
    /// The overlay that this level's records come from; `None` for the disc.
    changes: Option<&'a Changes>,
    records: Box<dyn Iterator<Item = Result<StoredRecord<'a>, StoreError>> + Send + 'a>,
    head: Option<StoredRecord<'a>>,
}

impl<'a> Merged<'a> {
    /// `overlays` stand from the youngest to the oldest, `disc` below them.
    pub(crate) fn new(
        overlays: impl Iterator<Item = &'a Changes>,
        disc: Option<&DiscTable>,
        bounds: KeyBounds<'_>,
        reverse: bool,
    ) -> Result<Self, StoreError> {
        let mut levels = Vec::with_capacity(3);
        let mut whole = false;
        for changes in overlays {
            if !whole {
                levels.push(Level::of_changes(changes, bounds, reverse)?);
            }
            whole |= changes.is_whole();
        }
        if let Some(disc) = disc.filter(|_| !whole) {
            levels.push(Level::of_disc(disc, bounds, reverse)?);
        }
        Ok(Self { levels, reverse })
    }

    /// The level whose head comes first. Of equal keys the youngest level's comes first.
    fn first_level(&self) -> Option<usize> {
        let heads = self.levels.iter().enumerate().filter_map(|(level, of)| Some((level, of.head.as_ref()?)));
        let first = heads.min_by(|(_, left), (_, right)| match self.reverse {
            false => left.key().cmp(right.key()),
            true => right.key().cmp(left.key()),
        });
        first.map(|(level, _)| level)
    }

    fn is_hidden(&self, level: usize, key: &[u8]) -> bool {
        self.levels.iter().take(level).filter_map(|level| level.changes).any(|changes| changes.hides(key))
    }

    fn take_first(&mut self) -> Result<Option<StoredRecord<'a>>, StoreError> {
        while let Some(first) = self.first_level() {
            let Some(level) = self.levels.get_mut(first) else { break };
            let Some(record) = level.advance()? else { break };
            if !self.is_hidden(first, record.key()) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Merged<'a> {
    type Item = Result<StoredRecord<'a>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take_first().transpose()
    }
}

impl<'a> Level<'a> {
    fn of_changes(changes: &'a Changes, bounds: KeyBounds<'_>, reverse: bool) -> Result<Self, StoreError> {
        let range = TableRange::ordered(changes.puts().range(bounds), reverse, None);
        Self::new(Some(changes), Box::new(range))
    }

    fn of_disc(disc: &DiscTable, bounds: KeyBounds<'_>, reverse: bool) -> Result<Self, StoreError> {
        if excludes_all(bounds) {
            return Self::new(None, Box::new(std::iter::empty()));
        }
        let range = disc.range(bounds)?.map(as_short_lived);
        match reverse {
            false => Self::new(None, Box::new(range)),
            true => Self::new(None, Box::new(range.rev())),
        }
    }

    fn new(
        changes: Option<&'a Changes>,
        records: Box<dyn Iterator<Item = Result<StoredRecord<'a>, StoreError>> + Send + 'a>,
    ) -> Result<Self, StoreError> {
        let mut level = Self { changes, records, head: None };
        level.advance()?;
        Ok(level)
    }

    fn advance(&mut self) -> Result<Option<StoredRecord<'a>>, StoreError> {
        let next = self.records.next().transpose()?;
        Ok(std::mem::replace(&mut self.head, next))
    }
}

/// Boxed iterators need their items' exact type; an owned record may pose as a borrowed one.
fn as_short_lived<'a>(
    record: Result<StoredRecord<'static>, StoreError>,
) -> Result<StoredRecord<'a>, StoreError> {
    record
}

/// Whether no key can lie between the bounds; the database takes such bounds for a mistake.
fn excludes_all(bounds: KeyBounds<'_>) -> bool {
    let (Bound::Included(low) | Bound::Excluded(low)) = bounds.0 else { return false };
    let (Bound::Included(high) | Bound::Excluded(high)) = bounds.1 else { return false };
    match low.cmp(high) {
        Ordering::Less => false,
        Ordering::Equal => !matches!(bounds, (Bound::Included(_), Bound::Included(_))),
        Ordering::Greater => true,
    }
}
