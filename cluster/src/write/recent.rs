//! What has changed lately: how the leader finds out whether a range still is as a transaction has read it.
//!
//! A range cannot be checked by the versions of its records: one that was deleted has none, and one that came in
//! between was not there to be read. So the leader remembers the versions of the changes it decided, by key and in
//! order. Only changes younger than the reader's view matter, and views are young: a bounded memory will do. What it
//! does not reach back to counts as changed, and the transaction runs again on a newer view.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;
use tabularaft_schema::TableId;
use tabularaft_store::Effect;

use super::guard::Space;
use super::moved::Followed;

/// How many changes are remembered, and how many bytes of keys: at 100,000 changes in a second, over half a second.
const CHANGES_MAX: usize = 64 * 1024;
const KEY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Up to so many changes are looked through one by one, before all are sorted by key: what a view that is some
/// milliseconds old lacks.
const LOOKED_THROUGH_MAX: usize = 1_024;

type Place = (TableId, Space, Bytes);

/// The changes that were decided lately.
#[derive(Debug)]
pub(crate) struct Recent {
    /// Changes with versions up to here are not all remembered; all later ones are.
    floor: u64,
    /// Every remembered change, by version: `floor < first <= .. <= last`.
    order: VecDeque<(u64, Place)>,
    /// The version of the last change at each place, of the first `sorted` changes of `order`: writes do not pay for
    /// what only the check of a range over many changes needs.
    places: BTreeMap<Place, u64>,
    sorted: usize,
    /// When tables were last emptied as a whole.
    cleared: BTreeMap<TableId, u64>,
    key_bytes: usize,
    changes_max: usize,
    looked_through_max: usize,
    /// The indexes whose changes are remembered too.
    pub(super) followed: Followed,
}

/// A change that a reader has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Where; `None` if only the table is known.
    pub(crate) key: Option<Bytes>,
    /// A view whose last version is this one or greater shows it.
    pub(crate) version: u64,
}

impl Recent {
    /// A memory that begins now: everything up to `version` is in every reader's view, or it is too old.
    pub(crate) fn since(version: u64) -> Self {
        Self::bounded(version, CHANGES_MAX, LOOKED_THROUGH_MAX)
    }

    fn bounded(floor: u64, changes_max: usize, looked_through_max: usize) -> Self {
        Self {
            floor,
            order: VecDeque::new(),
            places: BTreeMap::new(),
            sorted: 0,
            cleared: BTreeMap::new(),
            key_bytes: 0,
            changes_max,
            looked_through_max,
            followed: Followed::default(),
        }
    }

    /// Remembers a decided effect. Effects must come in the order of their versions.
    pub(crate) fn note(&mut self, effect: &Effect) {
        match effect {
            Effect::Put { table, key, version, .. } | Effect::Delete { table, key, version } => {
                self.note_change(*table, Space::Primary, key.clone(), *version);
            }
            Effect::Clear { table, version } => drop(self.cleared.insert(*table, *version)),
            _ => {}
        }
    }

    /// Remembers a change of one record, or of one entry of a secondary index.
    pub(crate) fn note_change(&mut self, table: TableId, space: Space, key: Bytes, version: u64) {
        self.key_bytes += key.len();
        self.order.push_back((version, (table, space, key)));
        while self.order.len() > self.changes_max || self.key_bytes > KEY_BYTES_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((version, place)) = self.order.pop_front() else { return };
        self.floor = version;
        self.key_bytes -= place.2.len();
        if self.sorted == 0 {
            return;
        }
        self.sorted -= 1;
        if self.places.get(&place) == Some(&version) {
            self.places.remove(&place);
        }
    }

    /// Sorts in what has come since the last time.
    fn sort(&mut self) {
        for (version, place) in self.order.range(self.sorted..) {
            self.places.insert(place.clone(), *version);
        }
        self.sorted = self.order.len();
    }

    /// A change between the bounds that a view with the last version `at` does not show, if there may be one.
    pub(crate) fn change_after(
        &mut self,
        at: u64,
        table: TableId,
        space: &Space,
        low: &Bound<Bytes>,
        high: &Bound<Bytes>,
    ) -> Option<Change> {
        if at < self.floor {
            return Some(Change { key: None, version: self.floor });
        }
        if let Some(version) = self.cleared.get(&table).filter(|version| **version > at) {
            return Some(Change { key: None, version: *version });
        }
        let first_younger = self.order.partition_point(|(version, _)| *version <= at);
        if self.order.len() - first_younger <= self.looked_through_max {
            let mut younger = self.order.range(first_younger..);
            let found = younger.find(|(_, (t, s, key))| {
                *t == table && s == space && is_above(low, key) && is_below(high, key)
            });
            return found.map(|(version, place)| Change { key: Some(place.2.clone()), version: *version });
        }
        self.sort();
        let found = self.between(table, space, low, high).find(|(_, version)| **version > at);
        found.map(|(place, version)| Change { key: Some(place.2.clone()), version: *version })
    }

    fn between<'a>(
        &'a self,
        table: TableId,
        space: &'a Space,
        low: &Bound<Bytes>,
        high: &'a Bound<Bytes>,
    ) -> impl Iterator<Item = (&'a Place, &'a u64)> {
        let place = |key: &Bytes| (table, space.clone(), key.clone());
        // Without a bound at the end: one below the beginning would be a mistake to the map, and a peer sent them.
        let from = match low {
            Bound::Included(key) => Bound::Included(place(key)),
            Bound::Excluded(key) => Bound::Excluded(place(key)),
            Bound::Unbounded => Bound::Included(place(&Bytes::new())),
        };
        self.places
            .range((from, Bound::Unbounded))
            .take_while(move |((t, s, key), _)| *t == table && s == space && is_below(high, key))
    }
}

fn is_above(low: &Bound<Bytes>, key: &Bytes) -> bool {
    match low {
        Bound::Included(low) => key >= low,
        Bound::Excluded(low) => key > low,
        Bound::Unbounded => true,
    }
}

fn is_below(high: &Bound<Bytes>, key: &Bytes) -> bool {
    match high {
        Bound::Included(high) => key <= high,
        Bound::Excluded(high) => key < high,
        Bound::Unbounded => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: TableId = TableId(7);

    fn key(number: u8) -> Bytes {
        Bytes::from(vec![number])
    }

    fn delete(number: u8, version: u64) -> Effect {
        Effect::Delete { table: TABLE, key: key(number), version }
    }

    fn found(recent: &mut Recent, at: u64, low: Bound<u8>, high: Bound<u8>) -> Option<u64> {
        let change = recent.change_after(at, TABLE, &Space::Primary, &low.map(key), &high.map(key));
        change.map(|change| change.version)
    }

    #[test]
    fn a_change_between_the_bounds_is_seen_by_older_views_only() {
        let mut recent = Recent::since(10);
        recent.note(&delete(5, 11));
        let all = (Bound::Unbounded, Bound::Unbounded);
        assert_eq!(found(&mut recent, 10, all.0, all.1), Some(11));
        assert_eq!(found(&mut recent, 11, all.0, all.1), None);
        assert_eq!(found(&mut recent, 10, Bound::Excluded(5), all.1), None);
        assert_eq!(found(&mut recent, 10, all.0, Bound::Excluded(5)), None);
        assert_eq!(found(&mut recent, 10, Bound::Included(5), Bound::Included(5)), Some(11));
        assert_eq!(
            found(&mut recent, 10, Bound::Included(9), Bound::Included(1)),
            None,
            "bounds in disorder"
        );
        let index = Space::Index("by_name".into());
        let elsewhere = recent.change_after(10, TABLE, &index, &Bound::Unbounded, &Bound::Unbounded);
        assert_eq!(elsewhere, None, "an index has an order of its own");
    }

    #[test]
    fn what_is_no_longer_remembered_counts_as_changed() {
        let mut recent = Recent::bounded(0, 2, 0);
        (1..=3).for_each(|version| recent.note(&delete(version as u8, version)));
        assert_eq!(found(&mut recent, 0, Bound::Included(200), Bound::Unbounded), Some(1));
        assert_eq!(found(&mut recent, 1, Bound::Included(200), Bound::Unbounded), None);
        assert_eq!(recent.order.len(), 2);
        assert_eq!(recent.key_bytes, 2);
    }

    #[test]
    fn a_cleared_table_has_changed_everywhere() {
        let mut recent = Recent::since(0);
        recent.note(&Effect::Clear { table: TABLE, version: 4 });
        assert_eq!(found(&mut recent, 3, Bound::Included(200), Bound::Unbounded), Some(4));
        assert_eq!(found(&mut recent, 4, Bound::Included(200), Bound::Unbounded), None);
    }

    fn bound() -> impl Strategy<Value = Bound<u8>> {
        prop_oneof![
            (0u8..8).prop_map(Bound::Included),
            (0u8..8).prop_map(Bound::Excluded),
            Just(Bound::Unbounded)
        ]
    }

    proptest! {
        #[test]
        fn no_change_of_a_range_is_missed_and_none_is_made_up(
            keys in prop::collection::vec(0u8..8, 0..200),
            kept in 70usize..200,
            asked_every in 1u64..200,
            at in 0u64..200,
            low in bound(),
            high in bound(),
        ) {
            let mut recent = Recent::bounded(0, kept, 64);
            let changes: Vec<_> = keys.iter().zip(1u64..).collect();
            for (key, version) in &changes {
                recent.note(&delete(**key, *version));
                // What is sorted in between is forgotten with the rest.
                if version % asked_every == 0 {
                    recent.sort();
                }
            }
            let within = |n: &u8| is_above(&low.map(key), &key(*n)) && is_below(&high.map(key), &key(*n));
            let changed = changes.iter().any(|(key, version)| *version > at && within(key));
            let answer = found(&mut recent, at, low, high).is_some();
            let remembered = at >= recent.floor;
            prop_assert!(answer || !changed, "missed");
            prop_assert!(!answer || changed || !remembered, "made up");
        }
    }
}
