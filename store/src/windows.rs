//! The exactly-once windows: which requests of each incarnation have been applied, and with what results.
//!
//! What is remembered, and for how long:
//!
//! * an outcome, until its incarnation has said (`completed_below`) that its caller has been answered;
//! * at most [`OUTCOMES_PER_INCARNATION`] outcomes per incarnation, the newest ones;
//! * of each member its newest two lives: when a life starts, writes that its predecessor had forwarded may still be
//!   under way, but those of the life before that cannot be, since two starts lie between;
//! * of a removed node nothing.
//!
//! What is no longer remembered is answered with [`Seen::Forgotten`], never with [`Seen::No`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tabularaft_schema::NodeId;

use crate::{Decided, Incarnation, LogIndex, OpResult, RequestId, Seen};

/// How many outcomes are kept for one incarnation.
pub const OUTCOMES_PER_INCARNATION: usize = 65_536;

/// Neighbouring sequence numbers share a chunk, so that a change after a view was taken copies little.
const CHUNK_SEQUENCES: u64 = 64;

/// All windows at one log index. Cloning shares everything.
///
/// Persistent: the order of the fields is the format.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Windows {
    by_incarnation: Arc<BTreeMap<Incarnation, Window>>,
    /// Of each node: lives below this number are forgotten.
    life_floors: Arc<BTreeMap<NodeId, u64>>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Window {
    /// Outcomes of lower sequence numbers are forgotten: every key in `chunks` holds some that are not lower.
    completed_below: u64,
    /// How many outcomes all chunks hold.
    outcomes: usize,
    chunks: Arc<BTreeMap<u64, Arc<Chunk>>>,
}

type Chunk = BTreeMap<u64, Outcome>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outcome {
    index: LogIndex,
    results: Arc<[OpResult]>,
}

impl Windows {
    pub(crate) fn outcome(&self, request: &RequestId) -> Seen {
        if request.incarnation.life < self.life_floor(request.incarnation.node) {
            return Seen::Forgotten;
        }
        match self.by_incarnation.get(&request.incarnation) {
            Some(window) => window.outcome(request.sequence),
            None => Seen::No,
        }
    }

    /// Remembers what became of a request at log index `index`.
    pub(crate) fn record(&mut self, decided: &Decided, index: LogIndex) {
        let incarnation = decided.request.incarnation;
        if incarnation.life < self.life_floor(incarnation.node) {
            return;
        }
        let window = Arc::make_mut(&mut self.by_incarnation).entry(incarnation).or_default();
        let outcome = Outcome { index, results: decided.results.as_slice().into() };
        window.insert(decided.request.sequence, outcome);
        window.forget_below(decided.completed_below);
        window.forget_beyond(OUTCOMES_PER_INCARNATION);
    }

    /// A life began: its predecessor is kept, everything older is forgotten.
    pub(crate) fn life_started(&mut self, node: NodeId, life: u64) {
        let earlier = Incarnation { node, life: 0 }..Incarnation { node, life };
        if let Some((predecessor, _)) = self.by_incarnation.range(earlier).next_back() {
            self.forget_lives_below(node, predecessor.life);
        }
    }

    /// A node is gone for good.
    pub(crate) fn node_removed(&mut self, node: NodeId) {
        self.forget_lives_below(node, u64::MAX);
    }

    fn forget_lives_below(&mut self, node: NodeId, floor: u64) {
        Arc::make_mut(&mut self.life_floors).insert(node, floor);
        Arc::make_mut(&mut self.by_incarnation)
            .retain(|incarnation, _| incarnation.node != node || incarnation.life >= floor);
    }

    fn life_floor(&self, node: NodeId) -> u64 {
        self.life_floors.get(&node).copied().unwrap_or(0)
    }
}

impl Window {
    fn outcome(&self, sequence: u64) -> Seen {
        let chunk = self.chunks.get(&(sequence / CHUNK_SEQUENCES));
        match chunk.and_then(|chunk| chunk.get(&sequence)) {
            _ if sequence < self.completed_below => Seen::Forgotten,
            Some(outcome) => Seen::Done { index: outcome.index, results: outcome.results.to_vec() },
            None => Seen::No,
        }
    }

    fn insert(&mut self, sequence: u64, outcome: Outcome) {
        if sequence < self.completed_below {
            return;
        }
        let chunk = Arc::make_mut(&mut self.chunks).entry(sequence / CHUNK_SEQUENCES).or_default();
        if Arc::make_mut(chunk).insert(sequence, outcome).is_none() {
            self.outcomes += 1;
        }
    }

    /// Whole chunks go; single outcomes of the lowest one stay in memory a little longer, out of sight.
    fn forget_below(&mut self, sequence: u64) {
        if sequence <= self.completed_below {
            return;
        }
        self.completed_below = sequence;
        while let Some((&lowest, _)) = self.chunks.first_key_value()
            && lowest < sequence / CHUNK_SEQUENCES
        {
            self.drop_lowest_chunk();
        }
    }

    fn forget_beyond(&mut self, limit: usize) {
        while self.outcomes > limit
            && let Some((&lowest, _)) = self.chunks.first_key_value()
        {
            self.completed_below =
                self.completed_below.max(lowest.saturating_add(1).saturating_mul(CHUNK_SEQUENCES));
            self.drop_lowest_chunk();
        }
    }

    fn drop_lowest_chunk(&mut self) {
        if let Some((_, chunk)) = Arc::make_mut(&mut self.chunks).pop_first() {
            self.outcomes = self.outcomes.saturating_sub(chunk.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Incarnation = Incarnation { node: 3, life: 5 };

    fn decided(incarnation: Incarnation, sequence: u64, completed_below: u64) -> Decided {
        let request = RequestId { incarnation, sequence };
        Decided { request, completed_below, results: vec![OpResult::Version(sequence)] }
    }

    fn seen(windows: &Windows, incarnation: Incarnation, sequence: u64) -> Seen {
        windows.outcome(&RequestId { incarnation, sequence })
    }

    fn done(index: u64, sequence: u64) -> Seen {
        Seen::Done { index: LogIndex(index), results: vec![OpResult::Version(sequence)] }
    }

    #[test]
    fn a_request_is_remembered_until_its_incarnation_says_that_it_is_answered() {
        let mut windows = Windows::default();
        assert_eq!(seen(&windows, LIFE, 7), Seen::No);
        windows.record(&decided(LIFE, 7, 0), LogIndex(40));
        assert_eq!(seen(&windows, LIFE, 7), done(40, 7));
        assert_eq!(seen(&windows, LIFE, 6), Seen::No, "a lower number may still arrive");
        windows.record(&decided(LIFE, 9, 8), LogIndex(41));
        assert_eq!(seen(&windows, LIFE, 7), Seen::Forgotten);
        assert_eq!(seen(&windows, LIFE, 8), Seen::No);
        assert_eq!(seen(&windows, LIFE, 9), done(41, 9));
    }

    #[test]
    fn a_window_is_bounded_and_forgets_its_oldest_outcomes_first() {
        let mut windows = Windows::default();
        let newest = OUTCOMES_PER_INCARNATION as u64 + 1000;
        for sequence in 0..=newest {
            windows.record(&decided(LIFE, sequence, 0), LogIndex(sequence));
        }
        assert!(windows.by_incarnation[&LIFE].outcomes <= OUTCOMES_PER_INCARNATION);
        assert_eq!(seen(&windows, LIFE, 0), Seen::Forgotten);
        assert_eq!(seen(&windows, LIFE, newest), done(newest, newest));
    }

    #[test]
    fn a_new_life_keeps_its_predecessor_and_forgets_what_was_before() {
        let mut windows = Windows::default();
        let lives = [4, 5, 6].map(|life| Incarnation { node: 3, life });
        for life in lives {
            windows.life_started(3, life.life);
            windows.record(&decided(life, 1, 0), LogIndex(life.life));
        }
        assert_eq!(seen(&windows, lives[0], 1), Seen::Forgotten);
        assert_eq!(seen(&windows, lives[1], 1), done(5, 1));
        assert_eq!(seen(&windows, lives[2], 1), done(6, 1));
        assert_eq!(seen(&windows, Incarnation { node: 4, life: 1 }, 1), Seen::No, "another node's");
    }

    #[test]
    fn a_removed_node_is_forgotten_and_cannot_write_again() {
        let mut windows = Windows::default();
        windows.record(&decided(LIFE, 1, 0), LogIndex(1));
        windows.node_removed(3);
        assert_eq!(seen(&windows, LIFE, 1), Seen::Forgotten);
        windows.record(&decided(LIFE, 2, 0), LogIndex(2));
        assert_eq!(seen(&windows, LIFE, 2), Seen::Forgotten);
    }

    #[test]
    fn a_clone_does_not_change_with_its_original() {
        let mut windows = Windows::default();
        windows.record(&decided(LIFE, 1, 0), LogIndex(1));
        let before = windows.clone();
        windows.record(&decided(LIFE, 2, 2), LogIndex(2));
        assert_eq!(seen(&before, LIFE, 1), done(1, 1));
        assert_eq!(seen(&before, LIFE, 2), Seen::No);
    }
}
