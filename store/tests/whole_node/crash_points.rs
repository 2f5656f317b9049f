//! A life that is cut off at each of its disc operations: what was acknowledged is there afterwards, and besides at most
//! what was under way.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tabularaft_schema::TableId;
use tabularaft_store::disc::{DiscControl, OsDisc};
use tabularaft_store::{DataDir, Effect};

use crate::cut::CutDisc;
use crate::damages::Numbers;
use crate::flips::scratch;
use crate::life::{Life, ids, put, tables};
use crate::power::PowerDisc;

/// What a node must know, less what it may know besides.
#[derive(Debug, Default)]
struct Acknowledged {
    /// The number of the last acknowledged write of each key.
    writes: BTreeMap<(TableId, String), u64>,
    vote: u64,
    tables: usize,
    /// What was under way when the disc was cut off.
    in_flight: Option<Step>,
}

/// One thing that the script does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Create(usize),
    Write { number: u64, key: String },
    WriteLocal { table: TableId, number: u64, key: String },
    Vote(u64),
    Checkpoint,
}

/// What a life does: every kind of step, several times, so that segments, checkpoints and purges alternate.
fn script() -> Vec<Step> {
    let mut steps: Vec<Step> = (0..tables().len()).map(Step::Create).collect();
    for number in 1..=6 {
        steps.push(Step::Write { number, key: format!("key {}", number % 4) });
        let local = ids().into_iter().filter(|(_, local)| *local);
        for (table, _) in local.take(1 + number as usize % 2) {
            steps.push(Step::WriteLocal { table, number, key: format!("key {}", number % 2) });
        }
        if number % 2 == 0 {
            steps.push(Step::Vote(number));
            steps.push(Step::Checkpoint);
        }
    }
    steps
}

fn replicated() -> impl Iterator<Item = TableId> {
    ids().into_iter().filter(|(_, local)| !local).map(|(id, _)| id)
}

fn value(number: u64) -> String {
    // A few of these fill a segment, so that segments are begun and purged too.
    format!("{number:08}").repeat(400)
}

fn take(life: &Life, step: &Step) -> Result<(), String> {
    match step {
        Step::Create(table) => life.write(vec![Effect::Schema(tables().remove(*table).into())]),
        Step::Write { number, key } => {
            life.write(replicated().map(|id| put(id, key, &value(*number), *number)).collect())
        }
        Step::WriteLocal { table, number, key } => life.write_local(*table, key, &value(*number)),
        Step::Vote(number) => life.vote(&value(*number)),
        Step::Checkpoint => life.checkpoint_and_purge(),
    }
}

impl Acknowledged {
    fn note(&mut self, step: Step) {
        match step {
            Step::Create(_) => self.tables += 1,
            Step::Write { number, key } => {
                self.writes.extend(replicated().map(|id| ((id, key.clone()), number)));
            }
            Step::WriteLocal { table, number, key } => _ = self.writes.insert((table, key), number),
            Step::Vote(number) => self.vote = number,
            Step::Checkpoint => {}
        }
    }

    /// The values that a key may have: the acknowledged one, or the one under way.
    fn allowed(&self, table: TableId, key: &str) -> Vec<Option<u64>> {
        let mut allowed = vec![self.writes.get(&(table, key.to_owned())).copied()];
        match &self.in_flight {
            Some(Step::Write { number, key: written })
                if written == key && replicated().any(|id| id == table) =>
            {
                allowed.push(Some(*number));
            }
            Some(Step::WriteLocal { table: of, number, key: written }) if *of == table && written == key => {
                allowed.push(Some(*number));
            }
            _ => {}
        }
        allowed
    }

    fn check(&self, life: &Life, at: u64) {
        let found = life.store.view().tables().count();
        let creating = matches!(self.in_flight, Some(Step::Create(_)));
        assert!(found == self.tables || (creating && found == self.tables + 1), "cut {at}: {found} tables");
        for (table, _) in ids().into_iter().take(self.tables) {
            for key in (0..4).map(|n| format!("key {n}")) {
                let row = life.store.view().table(table).unwrap().get(key.as_bytes()).unwrap();
                let number =
                    row.map(|row| String::from_utf8(row.value()[..8].to_vec()).unwrap().parse().unwrap());
                let allowed = self.allowed(table, &key);
                assert!(
                    allowed.contains(&number),
                    "cut {at}: {key} of {table:?} is {number:?}, not {allowed:?}"
                );
            }
        }
        let vote =
            life.log.vote().map(|vote| String::from_utf8(vote[..8].to_vec()).unwrap().parse().unwrap());
        let voting = matches!(self.in_flight, Some(Step::Vote(number)) if vote == Some(number));
        assert!(
            vote.unwrap_or(0) == self.vote || voting,
            "cut {at}: the vote is {vote:?}, not {}",
            self.vote
        );
    }
}

/// Lives until the disc is cut off; true if it never was.
fn live(path: &Path, disc: Arc<dyn DiscControl>, known: &mut Acknowledged) -> bool {
    let Ok(life) = Life::begin(path, disc) else { return false };
    for step in script() {
        if take(&life, &step).is_err() {
            known.in_flight = Some(step);
            life.die();
            return false;
        }
        known.note(step);
    }
    life.end().is_ok()
}

#[test]
fn a_life_that_is_cut_off_at_any_operation_of_its_disc_leaves_what_was_acknowledged() {
    for at in 1.. {
        let dir = scratch();
        let mut known = Acknowledged::default();
        let disc = Arc::new(CutDisc::at(at));
        let whole = live(dir.path(), Arc::clone(&disc) as _, &mut known);
        let life =
            Life::begin(dir.path(), Arc::new(OsDisc)).unwrap_or_else(|error| panic!("cut {at}: {error}"));
        known.check(&life, at);
        // Recovery is cut off too, by the death of the process right after it: nothing of it is needed again.
        life.die();
        let life = Life::begin(dir.path(), Arc::new(OsDisc)).unwrap();
        known.check(&life, at);
        life.end().unwrap();
        if whole && !disc.is_cut() {
            assert!(at > 150, "the script has many operations, not {at}");
            return;
        }
    }
}

#[test]
fn a_life_whose_power_fails_at_any_operation_of_its_disc_leaves_what_was_acknowledged() {
    for at in 1.. {
        let mut failed = false;
        // All that was not synced is lost each time, and now and then only some of it.
        let torn = (at % 4 == 0).then_some(Some(Numbers(at)));
        for coin in std::iter::once(None).chain(torn) {
            let (dir, removed) = (scratch(), scratch());
            let mut known = Acknowledged::default();
            let disc = Arc::new(PowerDisc::failing_at(at, coin, removed.path()));
            live(dir.path(), Arc::clone(&disc) as _, &mut known);
            failed |= disc.fail();
            let begin = || Life::begin_under("the boot after", dir.path(), Arc::new(OsDisc));
            let life = begin().unwrap_or_else(|error| panic!("failed at {at}: {error}"));
            known.check(&life, at);
            life.die();
            let life = begin().unwrap();
            known.check(&life, at);
            life.end().unwrap();
        }
        if !failed {
            assert!(at > 150, "the script has many operations, not {at}");
            return;
        }
    }
}

#[test]
fn a_recovery_that_is_cut_off_at_any_operation_can_be_made_again() {
    let source = scratch();
    let mut known = Acknowledged::default();
    // Somewhere in the middle of a checkpoint.
    live(source.path(), Arc::new(CutDisc::at(200)), &mut known);
    for at in 1.. {
        let dir = scratch();
        crate::flips::copy(source.path(), dir.path());
        let disc = Arc::new(CutDisc::at(at));
        let recovered = Life::begin(dir.path(), Arc::clone(&disc) as _);
        let whole = recovered.is_ok();
        if let Ok(life) = recovered {
            life.die();
        }
        let life =
            Life::begin(dir.path(), Arc::new(OsDisc)).unwrap_or_else(|error| panic!("cut {at}: {error}"));
        known.check(&life, at);
        life.die();
        if whole && !disc.is_cut() {
            return;
        }
    }
}

#[test]
fn a_retirement_that_is_cut_off_at_any_operation_leaves_the_data_here_or_aside() {
    let source = scratch();
    let mut known = Acknowledged::default();
    assert!(live(source.path(), Arc::new(OsDisc), &mut known));
    for at in 1.. {
        let dir = scratch();
        crate::flips::copy(source.path(), dir.path());
        let disc = Arc::new(CutDisc::at(at));
        let retired = DataDir::open_on(dir.path(), Arc::clone(&disc) as _)
            .and_then(|data| data.retire("a test").and_then(|retired| data.keep_retired(&retired)));
        let data = DataDir::open(dir.path()).unwrap_or_else(|error| panic!("cut {at}: {error}"));
        let aside = data.retired().unwrap();
        if let Some(retired) = aside.last() {
            data.restore(retired).unwrap_or_else(|error| panic!("cut {at}: {error}"));
        }
        drop(data);
        let life =
            Life::begin(dir.path(), Arc::new(OsDisc)).unwrap_or_else(|error| panic!("cut {at}: {error}"));
        known.check(&life, at);
        life.die();
        if retired.is_ok() && !disc.is_cut() {
            return;
        }
    }
}
