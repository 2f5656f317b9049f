//! Random lives of a log, kills and power losses included, beside a model of what it must remember.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use tabularaft_store::Position;
use tabularaft_store::log::{
    Durability, LogEntry, LogOptions, RaftLog, simulate_power_loss, simulate_torn_power_loss,
};

use crate::support::{done, entry, temp_dir};

#[derive(Debug, Clone)]
enum Step {
    Append {
        entries: Vec<u16>,
        synced: bool,
    },
    Vote(u8),
    TruncateAfter(u8),
    Purge(u8),
    PurgeBeyond(u8),
    Reset(u8),
    Commit(u8),
    /// Checks a part of the log.
    Read(u8, u8),
    Kill,
    Close,
    PowerLoss,
    TornPowerLoss(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (prop::collection::vec(0u16..600, 1..6), any::<bool>())
            .prop_map(|(entries, synced)| Step::Append { entries, synced }),
        2 => any::<u8>().prop_map(Step::Vote),
        2 => any::<u8>().prop_map(Step::TruncateAfter),
        2 => any::<u8>().prop_map(Step::Purge),
        1 => any::<u8>().prop_map(Step::PurgeBeyond),
        1 => any::<u8>().prop_map(Step::Reset),
        2 => any::<u8>().prop_map(Step::Commit),
        3 => any::<(u8, u8)>().prop_map(|(from, count)| Step::Read(from, count)),
        2 => Just(Step::Kill),
        1 => Just(Step::Close),
        1 => Just(Step::PowerLoss),
        1 => any::<u64>().prop_map(Step::TornPowerLoss),
    ]
}

/// What the log must hold.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    entries: BTreeMap<u64, LogEntry>,
    purged: Option<Position>,
    vote: Option<u8>,
}

impl Model {
    fn next(&self) -> u64 {
        self.entries
            .keys()
            .next_back()
            .copied()
            .or(self.purged.map(|purged| purged.index))
            .map_or(0, |last| last + 1)
    }

    /// An index between the purge and the end.
    fn pick(&self, dice: u8) -> u64 {
        let first = self.purged.map_or(0, |purged| purged.index + 1);
        first + u64::from(dice) % (self.next() - first).max(1)
    }

    fn purge(&mut self, upto: Position) {
        self.entries.retain(|&index, _| index > upto.index);
        if self.purged.is_none_or(|purged| purged.index < upto.index) {
            self.purged = Some(upto);
        }
    }
}

/// A log, its model, and the states a power loss may bring back.
struct Life<'a> {
    dir: &'a Path,
    log: RaftLog,
    model: Model,
    /// The states since the last sync, oldest first; the first one is durable.
    unsynced: Vec<Model>,
    committed: Vec<Position>,
    term: u64,
}

impl<'a> Life<'a> {
    fn options(machine_crashed: bool) -> LogOptions {
        LogOptions { segment_bytes: 4096, cache_bytes: 1500, machine_crashed, ..LogOptions::default() }
    }

    fn begin(dir: &'a Path) -> Self {
        let (log, _) = RaftLog::open(dir, Self::options(false)).unwrap();
        Self {
            dir,
            log,
            model: Model::default(),
            unsynced: vec![Model::default()],
            committed: Vec::new(),
            term: 1,
        }
    }

    fn changed(&mut self, synced: bool) {
        if synced {
            self.unsynced.clear();
        }
        self.unsynced.push(self.model.clone());
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append { entries, synced } => self.append(&entries, synced),
            Step::Vote(vote) => {
                done(|tell| self.log.save_vote(vec![vote].into(), tell)).unwrap();
                self.model.vote = Some(vote);
                self.changed(true);
            }
            Step::TruncateAfter(dice) => self.truncate(dice),
            Step::Purge(dice) => {
                let Some(entry) = self.model.entries.get(&self.model.pick(dice)) else { return };
                let upto = entry.position;
                done(|tell| self.log.purge(upto, tell)).unwrap();
                self.model.purge(upto);
                self.changed(true);
            }
            Step::PurgeBeyond(dice) => {
                let upto = Position::new(self.term, self.model.next() + u64::from(dice % 4));
                done(|tell| self.log.purge(upto, tell)).unwrap();
                self.model.purge(upto);
                self.changed(true);
            }
            Step::Reset(dice) => {
                let to = Position::new(self.term, self.model.next() + u64::from(dice));
                done(|tell| self.log.reset(to, tell)).unwrap();
                self.model.purge(to);
                self.changed(true);
            }
            Step::Commit(dice) => {
                if let Some(entry) = self.model.entries.get(&self.model.pick(dice)) {
                    self.log.set_committed(entry.position);
                    self.committed.push(entry.position);
                }
            }
            Step::Read(from, count) => self.read(from, count),
            Step::Kill => self.restart(|log, _| drop(log), false),
            Step::Close => self.restart(|log, _| log.close().unwrap(), false),
            Step::PowerLoss => self.lose_power(simulate_power_loss),
            Step::TornPowerLoss(seed) => {
                self.lose_power(|dir, mark| simulate_torn_power_loss(dir, mark, seed));
            }
        }
    }

    fn append(&mut self, sizes: &[u16], synced: bool) {
        let first = self.model.next();
        let class = if synced { Durability::Synced } else { Durability::Written };
        let entries: Vec<LogEntry> = sizes
            .iter()
            .zip(first..)
            .map(|(&bytes, index)| entry(self.term, index, &vec![(index ^ self.term) as u8; bytes.into()]))
            .collect();
        let batch = entries.iter().map(|entry| (entry.clone(), class)).collect();
        done(|tell| self.log.append(batch, tell)).unwrap();
        self.model.entries.extend(entries.into_iter().map(|entry| (entry.position.index, entry)));
        self.changed(synced);
    }

    /// As a follower does it: a new leader's entries take the place of the old one's.
    fn truncate(&mut self, dice: u8) {
        let cut = self.model.pick(dice);
        let kept = cut.checked_sub(1);
        done(|tell| self.log.truncate_after(kept, tell)).unwrap();
        self.model.entries.split_off(&cut);
        self.term += 1;
        self.changed(true);
    }

    fn read(&self, from: u8, count: u8) {
        let from = self.model.pick(from);
        let range = from..from + u64::from(count % 16);
        let expected: Vec<LogEntry> =
            self.model.entries.range(range.clone()).map(|(_, entry)| entry.clone()).collect();
        assert_eq!(self.log.read(range.clone(), usize::MAX).unwrap(), expected);
        let limited = self.log.read(range, 700).unwrap();
        assert_eq!(limited, expected[..limited.len()]);
        assert_eq!(limited.is_empty(), expected.is_empty());
    }

    fn lose_power(
        &mut self,
        lose: impl FnOnce(&Path, tabularaft_store::log::SyncedMark) -> std::io::Result<()>,
    ) {
        self.restart(
            |log, dir| {
                let mark = log.synced();
                drop(log);
                lose(dir, mark).unwrap();
            },
            true,
        );
    }

    fn restart(&mut self, end: impl FnOnce(RaftLog, &Path), power_lost: bool) {
        // The handle moves into `end`; a log without files takes its place meanwhile.
        let log = std::mem::replace(&mut self.log, RaftLog::in_memory(LogOptions::default()));
        end(log, self.dir);
        self.log = RaftLog::open(self.dir, Self::options(power_lost)).unwrap().0;
        let found = self.observed();
        if power_lost {
            assert!(self.unsynced.contains(&found), "{found:?}\nis none of\n{:?}", self.unsynced);
            self.model = found;
        } else {
            assert_eq!(found, self.model);
        }
        // What a reopened log shows is durable.
        self.changed(true);
        let committed = self.log.committed();
        assert!(committed.is_none_or(|committed| self.committed.contains(&committed)));
    }

    /// What the log says it holds.
    fn observed(&self) -> Model {
        let entries = self.log.read(0..u64::MAX, usize::MAX).unwrap();
        Model {
            entries: entries.into_iter().map(|entry| (entry.position.index, entry)).collect(),
            purged: self.log.bounds().purged,
            vote: self.log.vote().map(|vote| vote[0]),
        }
    }

    fn check(&self) {
        assert_eq!(self.observed(), self.model);
        let last = self.model.entries.values().next_back().map(|entry| entry.position).or(self.model.purged);
        assert_eq!(self.log.bounds().last, last);
        for entry in self.model.entries.values() {
            assert_eq!(self.log.position_at(entry.position.index), Some(entry.position));
        }
        assert_eq!(self.log.position_at(self.model.next()), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_log_remembers_what_it_acknowledged_through_kills_and_power_losses(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let dir = temp_dir();
        let mut life = Life::begin(dir.path());
        for step in steps {
            life.take(step);
            life.check();
        }
    }
}
