//! Bugs put back on purpose: each must be found within so many seeds, or the simulation proves nothing.

use tabularaft::simulation::Bug;

use super::run::{Failure, Plan};

/// Within so many seeds every bug is found.
pub const SEEDS_MAX: u64 = 200;

/// The bugs that can be put back.
pub const BUGS: [Bug; 3] = [Bug::VoteNotSaved, Bug::AcknowledgedBeforeSync, Bug::RequestsForgotten];

/// The first failure that a bug leads to, from a seed on.
#[must_use]
pub fn hunt(bug: Bug, first_seed: u64) -> Option<Failure> {
    let seeds = first_seed..first_seed + SEEDS_MAX;
    seeds.map(|seed| Plan::new(seed).with_bug(bug).run()).find_map(Result::err)
}
