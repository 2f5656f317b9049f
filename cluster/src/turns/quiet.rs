//! Which records are worth a turn. A turn costs a round trip to the leader before the one that decides. At a record
//! where transactions hardly ever meet it is cheaper to go without, and to run again if others came in between.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::door;
use crate::write::Place;

/// What meeting another transaction adds to a record's heat; being alone takes one away. So a record warms up if more
/// than one in three transactions meets another: about where turns begin to cost less.
const MET: u32 = 2;
/// From this heat on a record is worth turns.
const HOT: u32 = 8;
/// After so long it is tried again whether a hot record is one still.
const HOT_FOR: Duration = Duration::from_secs(1);
/// Where a record begins that is tried again: some meetings make it hot.
const TRIED_AGAIN: u32 = HOT - 2 * MET;
/// Records that are remembered; beyond that new ones are not.
const WARM_MAX: usize = 4_096;

/// What one node remembers of its transactions' records. They are told apart by a hash: two records of one hash are at
/// worst given turns that they did not need.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    records: Mutex<Records>,
}

#[derive(Debug, Default)]
struct Records {
    /// Those that a transaction of this node, without a turn, is about to change.
    claimed: HashSet<u64>,
    /// Those with any heat.
    warm: HashMap<u64, Warm>,
}

#[derive(Debug, Clone, Copy)]
struct Warm {
    heat: u32,
    hot_since: Option<Instant>,
}

/// Leave to change records without a turn. Dropping it tells nothing of whether others were met.
pub(crate) struct Claim {
    quiet: Arc<Quiet>,
    places: BTreeSet<Place>,
    hashes: Vec<u64>,
}

impl Quiet {
    /// Leave to go without a turn; `None`: there are others, or there have been many of late.
    pub(super) fn claim(self: &Arc<Self>, places: BTreeSet<Place>) -> Option<Claim> {
        let hashes: Vec<u64> = places.iter().map(hash).collect();
        let is_free = self.with(|records| records.claim(&hashes, door::now()));
        is_free.then(|| Claim { quiet: Arc::clone(self), places, hashes })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Records) -> T) -> T {
        act(&mut self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Records {
    fn claim(&mut self, hashes: &[u64], now: Instant) -> bool {
        if hashes.iter().any(|hash| self.is_hot(*hash, now)) {
            return false;
        }
        let met: Vec<u64> = hashes.iter().copied().filter(|hash| self.claimed.contains(hash)).collect();
        if !met.is_empty() {
            met.into_iter().for_each(|hash| self.met(hash, now));
            return false;
        }
        self.claimed.extend(hashes);
        true
    }

    fn is_hot(&mut self, hash: u64, now: Instant) -> bool {
        let Some(warm) = self.warm.get_mut(&hash) else { return false };
        if warm.hot_since.is_some_and(|since| now.saturating_duration_since(since) >= HOT_FOR) {
            *warm = Warm { heat: TRIED_AGAIN, hot_since: None };
        }
        warm.hot_since.is_some()
    }

    fn met(&mut self, hash: u64, now: Instant) {
        if self.warm.len() >= WARM_MAX && !self.warm.contains_key(&hash) {
            return;
        }
        let warm = self.warm.entry(hash).or_insert(Warm { heat: 0, hot_since: None });
        warm.heat += MET;
        if warm.heat >= HOT && warm.hot_since.is_none() {
            warm.hot_since = Some(now);
        }
    }

    fn alone(&mut self, hash: u64) {
        let Some(warm) = self.warm.get_mut(&hash) else { return };
        warm.heat = warm.heat.saturating_sub(1);
        if warm.heat == 0 {
            self.warm.remove(&hash);
        }
    }
}

impl Claim {
    /// Nobody came in between.
    pub(crate) fn was_alone(self) {
        self.quiet.with(|records| self.hashes.iter().for_each(|hash| records.alone(*hash)));
    }

    /// Others have changed something first. Returns the records, for turns.
    pub(crate) fn has_met(mut self) -> BTreeSet<Place> {
        let now = door::now();
        self.quiet.with(|records| self.hashes.iter().for_each(|hash| records.met(*hash, now)));
        std::mem::take(&mut self.places)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.quiet.with(|records| {
            for hash in &self.hashes {
                records.claimed.remove(hash);
            }
        });
    }
}

/// The same in each process, so that a simulation runs the same way each time.
fn hash(place: &Place) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tabularaft_schema::TableId;

    use super::*;

    fn places(keys: &'static str) -> BTreeSet<Place> {
        keys.split(' ').map(|key| (TableId(1), Bytes::from(key))).collect()
    }

    #[test]
    fn one_of_a_node_goes_without_a_turn_at_a_time() {
        let quiet = Arc::new(Quiet::default());
        let first = quiet.claim(places("a b")).unwrap();
        assert!(quiet.claim(places("b c")).is_none());
        let elsewhere = quiet.claim(places("c")).unwrap();
        first.was_alone();
        assert!(quiet.claim(places("b")).is_some());
        assert_eq!(elsewhere.has_met(), places("c"));
    }

    #[test]
    fn a_record_is_hot_after_some_meetings_and_is_tried_again_later() {
        let (mut records, mut now) = (Records::default(), crate::door::now());
        let is_free = |records: &mut Records, now| {
            let is_free = records.claim(&[7], now);
            records.claimed.clear();
            is_free
        };
        for _ in 0..HOT / MET {
            assert!(is_free(&mut records, now));
            records.met(7, now);
        }
        assert!(!is_free(&mut records, now));
        now += HOT_FOR;
        assert!(is_free(&mut records, now));
        records.met(7, now);
        records.met(7, now);
        assert!(!is_free(&mut records, now), "it is hot still");
    }

    #[test]
    fn who_is_mostly_alone_never_needs_a_turn_and_is_forgotten() {
        let (mut records, now) = (Records::default(), crate::door::now());
        for _ in 0..100 {
            records.met(7, now);
            (0..MET).for_each(|_| records.alone(7));
            assert!(records.claim(&[7], now));
            records.claimed.clear();
        }
        assert!(records.warm.is_empty());
    }

    #[test]
    fn more_records_than_are_remembered_are_just_not_remembered() {
        let (mut records, now) = (Records::default(), crate::door::now());
        (0..2 * WARM_MAX as u64).for_each(|hash| records.met(hash, now));
        assert_eq!(records.warm.len(), WARM_MAX);
    }
}
