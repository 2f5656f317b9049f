//! Bugs put back on purpose: each must be found within so many seeds, or the simulation proves nothing.

use std::ops::Range;

use tabularaft::simulation::Bug;

use super::run::{Failure, Plan};

/// Within so many seeds every bug is found.
pub const SEEDS_MAX: u64 = 200;

/// The bugs that can be put back, each with a seed that finds it. Whatever changes what nodes say to each other changes
/// what a seed does, so the seed is only where a quick search begins.
pub const BUGS: [(Bug, u64); 5] = [
    (Bug::VoteNotSaved, 0),
    (Bug::AcknowledgedBeforeSync, 0),
    (Bug::FenceOff, 0),
    (Bug::RequestsForgotten, 0),
    (Bug::CopyUnchecked, 0),
];

/// The first failure that a bug leads to within these seeds.
#[must_use]
pub fn hunt(bug: Bug, mut seeds: Range<u64>) -> Option<Failure> {
    seeds.find_map(|seed| Plan::new(seed).with_bug(bug).run().err())
}
