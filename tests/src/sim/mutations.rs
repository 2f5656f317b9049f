//! Bugs put back on purpose: each must be found within so many seeds, or the simulation proves nothing.

use std::ops::Range;

use tabularaft::simulation::Bug;

use super::run::{Failure, Plan};

/// Within so many seeds every bug is found.
pub const SEEDS_MAX: u64 = 200;

/// The bugs that can be put back, each with a seed that finds it. Whatever changes what nodes say to each other changes
/// what a seed does, so the seed is only where a quick search begins.
pub const BUGS: [(Bug, u64); 5] = [
    (Bug::VoteNotSaved, 4),
    (Bug::AcknowledgedBeforeSync, 8),
    (Bug::FenceOff, 23),
    (Bug::RequestsForgotten, 0),
    (Bug::CopyUnchecked, 7),
];

/// The first failure that a bug leads to within these seeds, at a seed that passes without the bug.
#[must_use]
pub fn hunt(bug: Bug, mut seeds: Range<u64>) -> Option<Failure> {
    seeds.find_map(|seed| {
        let failure = Plan::new(seed).with_bug(bug).run().err()?;
        Plan::new(seed).run().is_ok().then_some(failure)
    })
}
