//! Reading a set from disc into memory with two threads.
//!
//! Half of the time goes into walking the pages of the database and checking records, half into putting them in place,
//! so both threads do all of it, each for the ranges of keys that it takes.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::disc_table::DiscTable;
use crate::error::StoreError;
use crate::memory::{HashedBuilder, HashedMap};
use crate::table_range::KeyBounds;
use crate::threads::{self, Threads};

/// A smaller table is read before a second thread has begun.
const RECORDS_MIN: u64 = 32 * 1024;
/// Keys are not spread evenly between the first and the last one: many ranges keep both threads busy to the end.
const RANGES: u64 = 64;

/// Reads all records.
pub(super) fn load(disc: &Arc<DiscTable>, threads: &dyn Threads) -> Result<HashedMap, StoreError> {
    if disc.len()? < RECORDS_MIN {
        return Ok(Ranges::whole().load(disc)?.finish());
    }
    let ranges = Arc::new(Ranges::of(disc)?);
    let there = {
        let (disc, ranges) = (Arc::clone(disc), Arc::clone(&ranges));
        move || ranges.load(&disc)
    };
    let (here, there) = threads::both(threads, "tabularaft-load", || ranges.load(disc), there)?;
    let mut builder = here?;
    builder.append(there?);
    builder.finish_on(threads)
}

/// Ranges of keys, handed out one by one.
struct Ranges {
    /// Range `n` ends before bound `n`, the last one at the end of the table. Ascending.
    bounds: Vec<Vec<u8>>,
    next: AtomicUsize,
}

impl Ranges {
    fn of(disc: &DiscTable) -> Result<Self, StoreError> {
        let keys = disc.outermost_keys()?;
        let bounds = keys.map_or_else(Vec::new, |keys| between(keys.start(), keys.end()));
        Ok(Self { bounds, next: AtomicUsize::new(0) })
    }

    /// One range, of all keys.
    fn whole() -> Self {
        Self { bounds: Vec::new(), next: AtomicUsize::new(0) }
    }

    /// Reads ranges until none is left.
    fn load(&self, disc: &DiscTable) -> Result<HashedBuilder, StoreError> {
        let mut builder = HashedBuilder::new();
        while let Some(range) = self.take() {
            disc.for_each(range, |key, row| builder.push(key, row))?;
        }
        Ok(builder)
    }

    fn take(&self) -> Option<KeyBounds<'_>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number > self.bounds.len() {
            return None;
        }
        let bound = |number: usize| self.bounds.get(number).map(Vec::as_slice);
        let low = number.checked_sub(1).and_then(bound).map_or(Bound::Unbounded, Bound::Included);
        let high = bound(number).map_or(Bound::Unbounded, Bound::Excluded);
        Some((low, high))
    }
}

/// Keys that cut what lies between two keys into ranges of about the same width, ascending.
fn between(first: &[u8], last: &[u8]) -> Vec<Vec<u8>> {
    let common = first.iter().zip(last).take_while(|(first, last)| first == last).count();
    let (shared, first) = first.split_at(common);
    let (low, high) = (leading_number(first), leading_number(last.get(common..).unwrap_or_default()));
    let width = high.saturating_sub(low) / RANGES;
    let numbers = (1..RANGES).filter(|_| width > 0).map(|number| low + number * width);
    numbers.map(|number| [shared, &number.to_be_bytes()].concat()).collect()
}

/// The first eight bytes as a number that sorts as they do.
fn leading_number(bytes: &[u8]) -> u64 {
    let mut leading = [0; 8];
    leading.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(leading)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_ascend_and_lie_between_the_outermost_keys() {
        for (first, last) in [(&b"session/0000"[..], &b"session/9999"[..]), (b"", b"\xff\xff"), (b"a", b"ab")]
        {
            let bounds = between(first, last);
            assert_eq!(bounds.len() as u64, RANGES - 1);
            assert!(bounds.is_sorted() && first < bounds[0].as_slice(), "{bounds:?}");
            assert!(bounds.iter().all(|bound| bound.as_slice() < last), "{bounds:?}");
        }
        assert_eq!(between(b"same", b"same"), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn every_range_is_handed_out_once() {
        let ranges = Ranges { bounds: vec![b"b".to_vec(), b"c".to_vec()], next: AtomicUsize::new(0) };
        let taken: Vec<_> = std::iter::from_fn(|| ranges.take()).collect();
        let (b, c) = (b"b".as_slice(), b"c".as_slice());
        let expected = [
            (Bound::Unbounded, Bound::Excluded(b)),
            (Bound::Included(b), Bound::Excluded(c)),
            (Bound::Included(c), Bound::Unbounded),
        ];
        assert_eq!(taken, expected);
        assert_eq!(ranges.take(), None);
    }
}
