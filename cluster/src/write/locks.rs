//! Who may change hot records next: queues at the leader, so that contention is waited out once and not retried by all.
//!
//! Locks are a courtesy among those who ask for them. They block no other writer and protect nothing: whatever a
//! transaction has read is checked when it is decided, locked or not. So a lock may run out, or be forgotten with a
//! leadership, at no risk. One request takes all its locks at once, in the order of asking, so nobody waits for
//! somebody who waits.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use tabularaft_schema::TableId;

/// A record that may be locked.
pub(crate) type Place = (TableId, Bytes);

/// The locks of one term, as a core: who asks and what ends goes in, who is granted comes out.
#[derive(Debug, Default)]
pub(super) struct LockTable {
    /// Invariant: no place is in two grants.
    grants: BTreeMap<u64, Grant>,
    held: HashSet<Place>,
    /// In the order of asking.
    waiting: VecDeque<(u64, Vec<Place>)>,
    next: u64,
}

#[derive(Debug)]
struct Grant {
    places: Vec<Place>,
    /// Until when it is held, unless it is given back before.
    until: Instant,
}

impl LockTable {
    /// Asks for all of these places at once. Returns the number of the lock; see [`LockTable::grant`].
    pub(super) fn ask(&mut self, places: Vec<Place>) -> u64 {
        self.next += 1;
        self.waiting.push_back((self.next, places));
        self.next
    }

    /// Gives a lock back, or stops asking for it.
    pub(super) fn release(&mut self, lock: u64) {
        self.waiting.retain(|(waiting, _)| *waiting != lock);
        if let Some(grant) = self.grants.remove(&lock) {
            for place in &grant.places {
                self.held.remove(place);
            }
        }
    }

    /// Takes back what has been held too long.
    pub(super) fn expire(&mut self, now: Instant) {
        let over: Vec<u64> =
            self.grants.iter().filter(|(_, grant)| grant.until <= now).map(|(lock, _)| *lock).collect();
        over.into_iter().for_each(|lock| self.release(lock));
    }

    /// Grants whatever can be granted, to be held until `until` at the latest: all of whose places are free and not
    /// wanted by somebody who has waited longer.
    pub(super) fn grant(&mut self, until: Instant) -> Vec<(u64, Vec<Place>)> {
        let mut granted = Vec::new();
        let mut wanted: HashSet<Place> = HashSet::new();
        for (lock, places) in std::mem::take(&mut self.waiting) {
            if places.iter().any(|place| self.held.contains(place) || wanted.contains(place)) {
                wanted.extend(places.iter().cloned());
                self.waiting.push_back((lock, places));
                continue;
            }
            self.held.extend(places.iter().cloned());
            self.grants.insert(lock, Grant { places: places.clone(), until });
            granted.push((lock, places));
        }
        granted
    }

    /// When the next lock runs out.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.grants.values().map(|grant| grant.until).min()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::door;

    fn places(keys: &[u8]) -> Vec<Place> {
        keys.iter().map(|key| (TableId(1), Bytes::from(vec![*key]))).collect()
    }

    fn granted(table: &mut LockTable) -> Vec<u64> {
        table.grant(door::now() + Duration::from_secs(1)).into_iter().map(|(lock, _)| lock).collect()
    }

    #[test]
    fn locks_are_granted_in_the_order_of_asking_and_all_at_once() {
        let mut table = LockTable::default();
        let ab = table.ask(places(b"ab"));
        let bc = table.ask(places(b"bc"));
        let c = table.ask(places(b"c"));
        let d = table.ask(places(b"d"));
        assert_eq!(granted(&mut table), [ab, d], "c waits behind the one who asked before it");
        table.release(ab);
        assert_eq!(granted(&mut table), [bc]);
        table.release(bc);
        assert_eq!(granted(&mut table), [c]);
    }

    #[test]
    fn who_stops_asking_is_in_nobodys_way() {
        let mut table = LockTable::default();
        let first = table.ask(places(b"a"));
        let second = table.ask(places(b"ab"));
        let third = table.ask(places(b"b"));
        assert_eq!(granted(&mut table), [first]);
        table.release(second);
        assert_eq!(granted(&mut table), [third]);
    }

    #[test]
    fn a_lock_that_is_held_too_long_is_taken_back() {
        let mut table = LockTable::default();
        let now = door::now();
        table.ask(places(b"a"));
        let second = table.ask(places(b"a"));
        table.grant(now + Duration::from_secs(1));
        table.expire(now);
        assert!(granted(&mut table).is_empty());
        assert_eq!(table.next_expiry(), Some(now + Duration::from_secs(1)));
        table.expire(now + Duration::from_secs(1));
        assert_eq!(granted(&mut table), [second]);
    }

    proptest! {
        #[test]
        fn nothing_is_held_twice_and_everybody_gets_a_turn(
            asked in prop::collection::vec(prop::collection::btree_set(0u8..6, 1..4), 1..40),
        ) {
            let mut table = LockTable::default();
            for keys in &asked {
                table.ask(places(&keys.iter().copied().collect::<Vec<_>>()));
            }
            let mut turns = 0;
            while turns < asked.len() {
                granted(&mut table);
                let held: usize = table.grants.values().map(|grant| grant.places.len()).sum();
                prop_assert_eq!(held, table.held.len(), "a place is held twice");
                let oldest = table.grants.keys().next().copied();
                prop_assert!(oldest.is_some(), "nobody holds anything, and somebody waits");
                oldest.into_iter().for_each(|lock| table.release(lock));
                turns += 1;
            }
            prop_assert_eq!(table.waiting(), 0);
            prop_assert!(table.held.is_empty());
        }
    }
}
