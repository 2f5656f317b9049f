//! What happened in a run, and how often, so that everybody sees that every kind of fault does happen.

use std::collections::BTreeMap;
use std::fmt;

/// All that is done to a cluster.
pub(super) const FAULTS: [&str; 24] = [
    // Processes and machines.
    "kill",
    "restart",
    "pause",
    "loss of power",
    "loss of power before a sync",
    "loss of power of all",
    "kill of all",
    "clock jump",
    "starved sequencer",
    // The network.
    "delay and loss",
    "partition",
    "partition of the leader",
    "one-way partition",
    "partial partition",
    "broken connections",
    // Discs.
    "slow disc",
    "full disc",
    "failing sync",
    // The cluster.
    "join",
    "leave",
    "removal",
    "table created or dropped",
    "copy mode",
    "forgetful source of copies",
];

/// What only happens when it is.
const EFFECTS: [&str; 17] = [
    // The network.
    "packet held up",
    "packet lost and sent again",
    "packet that overtook another",
    "packet held back by a partition",
    "request that came twice",
    // Discs.
    "write refused by a full disc",
    "sync that failed",
    "sync for which there was no power",
    "file that lost what was not synced",
    "torn write",
    // The cluster.
    "table copied",
    "snapshot taken on",
    "copy refused for its digest",
    "entry dropped by the term fence",
    "member that came back after a crash",
    "removal completed by the next leader",
    "election",
];

fn kinds() -> impl Iterator<Item = &'static str> {
    FAULTS.into_iter().chain(EFFECTS)
}

/// Counts what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(super) fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Tally) {
        self.add_all(&other.0);
    }

    pub(super) fn add_all(&mut self, counted: &BTreeMap<&'static str, u64>) {
        for (what, count) in counted {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// How often it happened.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// What never happened.
    pub fn missing(&self) -> impl Iterator<Item = &'static str> {
        kinds().filter(|kind| self.of(kind) == 0)
    }

    /// What is counted here, and is not on the list of all that can be.
    #[cfg(test)]
    pub(super) fn unknown(&self) -> Vec<&'static str> {
        self.0.keys().copied().filter(|what| kinds().all(|kind| kind != *what)).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in kinds() {
            writeln!(f, "{:>10}  {kind}", self.of(kind))?;
        }
        Ok(())
    }
}
