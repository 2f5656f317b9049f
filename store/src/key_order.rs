//! Records of a structure without an order, put in key order.

use std::cmp::Ordering;

use crate::row::RowRef;
use crate::table_range::{KeyBounds, contains};

type Record<'a> = (&'a [u8], RowRef<'a>);

/// Below this many records it is not worth it to sort out those that are too many.
const GATHERED_MIN: usize = 64;

/// The first `limit` records between the bounds in key order, or in reverse. Looks at all records, and holds no more
/// than twice `limit` of them.
pub(crate) fn first<'a>(
    records: impl Iterator<Item = Record<'a>>,
    bounds: KeyBounds<'_>,
    reverse: bool,
    limit: Option<usize>,
) -> Vec<Record<'a>> {
    let order = |left: &Record<'_>, right: &Record<'_>| match reverse {
        false => left.0.cmp(right.0),
        true => right.0.cmp(left.0),
    };
    let limit = limit.unwrap_or(usize::MAX);
    let gathered_max = limit.saturating_mul(2).max(GATHERED_MIN);
    let mut gathered: Vec<Record<'a>> = Vec::new();
    // Behind this record nothing belongs to the first `limit` ones.
    let mut last: Option<Record<'a>> = None;
    for record in records.filter(|(key, _)| contains(bounds, key)) {
        if last.is_some_and(|last| order(&record, &last) == Ordering::Greater) {
            continue;
        }
        gathered.push(record);
        if gathered.len() >= gathered_max {
            last = keep_first(&mut gathered, limit, order);
        }
    }
    keep_first(&mut gathered, limit, order);
    gathered.sort_unstable_by(order);
    gathered
}

/// Drops all but the first `limit` records, and tells the last of these.
fn keep_first<'a>(
    gathered: &mut Vec<Record<'a>>,
    limit: usize,
    order: impl Fn(&Record<'_>, &Record<'_>) -> Ordering,
) -> Option<Record<'a>> {
    let Some(place) = limit.checked_sub(1) else {
        gathered.clear();
        return None;
    };
    if gathered.len() <= limit {
        return None;
    }
    let (_, last, _) = gathered.select_nth_unstable_by(place, order);
    let last = *last;
    gathered.truncate(limit);
    Some(last)
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use proptest::prelude::*;

    use super::*;
    use crate::table_range::ALL_KEYS;

    fn keys(found: &[Record<'_>]) -> Vec<Vec<u8>> {
        found.iter().map(|(key, _)| key.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn the_first_records_are_those_of_a_sorted_list(
            all in proptest::collection::btree_set(proptest::collection::vec(0u8..4, 1..4), 0..300),
            order in any::<u64>(),
            limit in proptest::option::of(0usize..100),
            low in proptest::option::of(0u8..4),
            reverse: bool,
        ) {
            let mut shuffled: Vec<&Vec<u8>> = all.iter().collect();
            shuffled.sort_by_key(|key| (crc32c::crc32c(key).wrapping_mul(order as u32 | 1), *key));
            let low = low.map(|low| [low]);
            let bounds = (low.as_ref().map_or(Bound::Unbounded, |low| Bound::Excluded(&low[..])), Bound::Unbounded);
            let records = shuffled.iter().map(|key| (key.as_slice(), RowRef::EMPTY));
            let found = keys(&first(records, bounds, reverse, limit));
            let mut expected: Vec<Vec<u8>> = all.iter().filter(|key| contains(bounds, key)).cloned().collect();
            if reverse {
                expected.reverse();
            }
            expected.truncate(limit.unwrap_or(usize::MAX));
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_limit_of_none_at_all_finds_nothing() {
        let found = first([(&b"a"[..], RowRef::EMPTY)].into_iter(), ALL_KEYS, false, Some(0));
        assert!(found.is_empty());
    }
}
