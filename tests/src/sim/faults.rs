//! What goes wrong, and when: a sequence of faults from the seed, each with its end.

use std::collections::{BTreeMap, BTreeSet};

use super::network::Host;
use super::random::Random;

/// Something that is done to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process dies.
    Kill(Host),
    /// The machine loses power, and with it what was not synced.
    LosePower(Host),
    /// It loses power between a write and its sync, soon.
    LosePowerAtSync(Host),
    /// A dead process is started again.
    Restart(Host),
    /// The process stops where it is, as by SIGSTOP.
    Stop(Host),
    /// It goes on.
    Resume(Host),
    /// These machines are cut off from all others.
    Split(Vec<Host>),
    /// What the first sends to the second does not arrive.
    BlockOneWay(Host, Host),
    /// The network is whole again.
    Heal,
    /// Two machines hear nothing of each other, but all of the others.
    Part(Host, Host),
    /// Connections between two machines break.
    Break(Host, Host),
    /// Packets take so much longer, and one in so many is lost.
    Disturb { slow_ms: u64, loses_one_in: u64 },
    /// The disc takes so much longer for everything.
    SlowDisc(Host, u64),
    /// There is no space left.
    FullDisc(Host),
    /// There is again.
    Space(Host),
    /// The next sync fails.
    FailSync(Host),
    /// The time of day jumps.
    Jump(i64),
    /// A machine that has no part in the cluster joins it.
    Join(Host),
    /// A node leaves.
    Leave(Host),
    /// Others remove a node.
    Remove(Host),
    /// A table is created, or dropped if it exists.
    Table(u64),
    /// A node holds a table in another way.
    Copy(Host, u64),
    /// Every machine loses power at once.
    Blackout,
    /// Every process dies at once.
    KillAll,
    /// A node decides, and gets no processor to propose what it has decided.
    Starve(Host),
    /// No node is starved any more.
    Feed,
    /// Whoever leads is cut off from all others.
    Depose,
    /// A node loses records on their way into copies for others.
    Forget(Host),
    /// No node does any more.
    Remember,
}

impl Fault {
    /// What kind of fault it is; `None` for the end of one.
    pub(super) fn kind(&self) -> Option<&'static str> {
        Some(match self {
            Self::Kill(_) => "kill",
            Self::LosePower(_) => "loss of power",
            Self::LosePowerAtSync(_) => "loss of power before a sync",
            Self::Restart(_) => "restart",
            Self::Stop(_) => "pause",
            Self::Split(_) => "partition",
            Self::Depose => "partition of the leader",
            Self::BlockOneWay(..) => "one-way partition",
            Self::Part(..) => "partial partition",
            Self::Break(..) => "broken connections",
            Self::Disturb { loses_one_in: 0, .. } => return None,
            Self::Disturb { .. } => "delay and loss",
            Self::SlowDisc(_, 0) => return None,
            Self::SlowDisc(..) => "slow disc",
            Self::FullDisc(_) => "full disc",
            Self::FailSync(_) => "failing sync",
            Self::Jump(_) => "clock jump",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
            Self::Remove(_) => "removal",
            Self::Table(_) => "table created or dropped",
            Self::Copy(..) => "copy mode",
            Self::Blackout => "loss of power of all",
            Self::KillAll => "kill of all",
            Self::Starve(_) => "starved sequencer",
            Self::Forget(_) => "forgetful source of copies",
            Self::Resume(_) | Self::Heal | Self::Space(_) | Self::Feed | Self::Remember => return None,
        })
    }
}

/// What is known of the machines when a fault is chosen.
pub(super) struct Situation {
    /// Members whose processes run undisturbed, with their tables loaded.
    pub(super) sound: BTreeSet<Host>,
    /// All members.
    pub(super) members: BTreeSet<Host>,
    /// Machines that are no members.
    pub(super) outside: BTreeSet<Host>,
    /// Who leads, if that is known.
    pub(super) leader: Option<Host>,
}

/// Chooses faults.
pub(super) struct Faults {
    random: Random,
    /// Ends of faults, and when they are due.
    due: BTreeMap<(u64, u64), Fault>,
    next_ms: u64,
    numbered: u64,
    pause_ms: u64,
    /// When everything fails at once, in the runs in which it does.
    outage_ms: Option<u64>,
}

impl Faults {
    /// Faults from `begin_ms` on.
    pub(super) fn new(seed: u64, begin_ms: u64) -> Self {
        let mut random = Random::new(seed, "faults");
        let pause_ms = random.between(200, 1_500);
        // Losing all nodes at once is harmless to disc tables alone, so most runs do without.
        let outage_ms = random.once_in(4).then(|| begin_ms + random.between(1_000, 10_000));
        Self { random, due: BTreeMap::new(), next_ms: begin_ms, numbered: 0, pause_ms, outage_ms }
    }

    /// What is to be done now.
    pub(super) fn step(&mut self, now_ms: u64, situation: &Situation) -> Vec<Fault> {
        let mut todo = self.ends(now_ms);
        if self.outage_ms.is_some_and(|at| now_ms >= at) {
            self.outage_ms = None;
            todo.extend(self.outage(now_ms, situation));
        }
        if now_ms >= self.next_ms {
            self.next_ms = now_ms + self.random.between(self.pause_ms / 3, self.pause_ms * 2);
            todo.extend(self.choose(now_ms, situation));
        }
        todo
    }

    /// What ends by now.
    fn ends(&mut self, now_ms: u64) -> Vec<Fault> {
        let later = self.due.split_off(&(now_ms + 1, 0));
        std::mem::replace(&mut self.due, later).into_values().collect()
    }

    /// Chooses nothing before this time.
    pub(super) fn pause_until(&mut self, until_ms: u64) {
        self.next_ms = self.next_ms.max(until_ms + 1);
    }

    /// Every fault still has its end.
    pub(super) fn all_ends(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.due).into_values().collect()
    }

    /// Schedules the end of a fault.
    pub(super) fn later(&mut self, now_ms: u64, least_ms: u64, most_ms: u64, end: Fault) {
        self.numbered += 1;
        let at = now_ms + self.random.between(least_ms, most_ms);
        self.due.insert((at, self.numbered), end);
    }

    fn choose(&mut self, now_ms: u64, situation: &Situation) -> Vec<Fault> {
        let members: Vec<Host> = situation.members.iter().copied().collect();
        let sound: Vec<Host> = situation.sound.iter().copied().collect();
        // What may cost a node its memory befalls a minority at a time: more is beyond what is promised for ram tables.
        let may_harm = (members.len() - sound.len()) < members.len().saturating_sub(1) / 2;
        let (Some(&any), Some(&other)) = (self.random.pick(&members), self.random.pick(&members)) else {
            return Vec::new();
        };
        let victim = self.random.pick(&sound).copied().filter(|_| may_harm);
        let choice = self.random.below(100);
        match (choice, victim) {
            (0..=13, Some(host)) => self.with_end(now_ms, Fault::Kill(host), 50, 4_000, Fault::Restart(host)),
            (14..=18, Some(host)) => {
                self.with_end(now_ms, Fault::LosePower(host), 500, 6_000, Fault::Restart(host))
            }
            (19..=23, Some(host)) => {
                self.with_end(now_ms, Fault::LosePowerAtSync(host), 500, 6_000, Fault::Restart(host))
            }
            (24..=31, Some(host)) => {
                self.with_end(now_ms, Fault::Stop(host), 100, 5_000, Fault::Resume(host))
            }
            (32..=36, Some(host)) => vec![Fault::FailSync(host)],
            (37..=41, Some(host)) => {
                self.with_end(now_ms, Fault::FullDisc(host), 300, 4_000, Fault::Space(host))
            }
            (42..=52, _) => {
                let count = self.random.between(1, members.len() as u64 / 2 + 1) as usize;
                let mut cut = members.clone();
                while cut.len() > count {
                    let gone = self.random.below(cut.len() as u64) as usize;
                    cut.remove(gone);
                }
                self.with_end(now_ms, Fault::Split(cut), 200, 5_000, Fault::Heal)
            }
            (53..=57, _) if any != other => {
                self.with_end(now_ms, Fault::BlockOneWay(any, other), 200, 5_000, Fault::Heal)
            }
            (58..=60, _) if any != other => {
                self.with_end(now_ms, Fault::Part(any, other), 200, 5_000, Fault::Heal)
            }
            (61..=64, _) if any != other => vec![Fault::Break(any, other)],
            (65..=69, _) => situation.leader.map_or_else(Vec::new, |leader| self.starve(now_ms, leader)),
            (70..=74, _) => {
                let (slow_ms, loses_one_in) = (self.random.below(60), self.random.between(4, 40));
                let calm = Fault::Disturb { slow_ms: 0, loses_one_in: 0 };
                self.with_end(now_ms, Fault::Disturb { slow_ms, loses_one_in }, 500, 4_000, calm)
            }
            (75..=78, _) => {
                let slow_ms = self.random.between(5, 200);
                self.with_end(now_ms, Fault::SlowDisc(any, slow_ms), 500, 4_000, Fault::SlowDisc(any, 0))
            }
            (79..=81, Some(host)) => self.forget(now_ms, any, host),
            (79..=82, _) => vec![Fault::Jump(self.random.below(7_200_000) as i64 - 3_600_000)],
            (83..=88, _) => {
                let outside: Vec<Host> = situation.outside.iter().copied().collect();
                self.random.pick(&outside).map(|host| Fault::Join(*host)).into_iter().collect()
            }
            (89..=90, Some(host)) if members.len() > 3 => vec![Fault::Leave(host)],
            (91..=92, Some(host)) if members.len() > 3 => vec![Fault::Remove(host)],
            (93..=95, _) => vec![Fault::Table(self.random.below(3))],
            (96..=99, _) => vec![Fault::Copy(any, self.random.below(6))],
            _ => Vec::new(),
        }
    }

    fn outage(&mut self, now_ms: u64, situation: &Situation) -> Vec<Fault> {
        for host in &situation.members {
            self.later(now_ms, 500, 3_000, Fault::Restart(*host));
        }
        vec![if self.random.once_in(2) { Fault::Blackout } else { Fault::KillAll }]
    }

    /// A leader is starved while another one is elected, and perhaps it again: then it proposes in a later term what it
    /// has decided in an earlier one.
    fn starve(&mut self, now_ms: u64, leader: Host) -> Vec<Fault> {
        self.later(now_ms, 900, 1_500, Fault::Heal);
        self.later(now_ms, 1_600, 2_200, Fault::Depose);
        self.later(now_ms, 2_900, 3_600, Fault::Heal);
        self.later(now_ms, 3_200, 4_500, Fault::Feed);
        vec![Fault::Starve(leader), Fault::Depose]
    }

    /// A node is forgetful while another one starts, and needs copies.
    fn forget(&mut self, now_ms: u64, source: Host, killed: Host) -> Vec<Fault> {
        self.later(now_ms, 50, 1_000, Fault::Restart(killed));
        self.later(now_ms, 2_000, 5_000, Fault::Remember);
        vec![Fault::Forget(source), Fault::Kill(killed)]
    }

    fn with_end(&mut self, now_ms: u64, fault: Fault, least_ms: u64, most_ms: u64, end: Fault) -> Vec<Fault> {
        self.later(now_ms, least_ms, most_ms, end);
        vec![fault]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::{FAULTS, Tally};
    use super::*;

    #[test]
    fn every_kind_of_fault_is_drawn_within_a_few_seeds() {
        let mut tally = Tally::default();
        let situation = Situation {
            sound: (0..4).collect(),
            members: (0..4).collect(),
            outside: BTreeSet::from([4]),
            leader: Some(1),
        };
        for seed in 0..40 {
            let mut faults = Faults::new(seed, 0);
            for now_ms in 0..20_000 {
                let drawn = faults.step(now_ms, &situation);
                drawn.iter().filter_map(Fault::kind).for_each(|kind| tally.count(kind));
            }
        }
        let missing: Vec<_> = tally.missing().filter(|kind| FAULTS.contains(kind)).collect();
        assert!(missing.is_empty(), "never drawn: {missing:?}");
        assert!(tally.unknown().is_empty(), "not on the list of all kinds: {:?}", tally.unknown());
    }
}
