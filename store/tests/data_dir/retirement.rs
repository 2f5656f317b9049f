//! Retiring, restoring, keeping and discarding, with a crash at every step.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tabularaft_store::data_dir::{DataDir, DataDirError, Retired};
use tabularaft_store::disc::FaultyDisc;

fn write_life(dir: &Path, life: &str) {
    fs::create_dir_all(dir.join("log")).unwrap();
    fs::write(dir.join("log/00000001.log"), life).unwrap();
    fs::write(dir.join("tables.redb"), life).unwrap();
    fs::write(dir.join("identity"), life).unwrap();
}

/// Which life the data in place belongs to; `None`: there is none. Panics if it is mixed.
fn life(dir: &Path) -> Option<String> {
    let found: Vec<Option<String>> = ["log/00000001.log", "tables.redb", "identity"]
        .iter()
        .map(|name| fs::read_to_string(dir.join(name)).ok())
        .collect();
    assert!(found.iter().all(|part| *part == found[0]), "a mixture of lives: {found:?}");
    found[0].clone()
}

fn leftovers(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("retire") || name.starts_with("discard"))
        .filter(|name| !name.ends_with(".new"))
        .collect();
    names.sort();
    names
}

fn retired_then_new_life(path: &Path) -> (DataDir, Retired) {
    write_life(path, "old");
    let dir = DataDir::open(path).unwrap();
    let retired = dir.retire("join").unwrap();
    assert_eq!(life(path), None);
    write_life(path, "new");
    (dir, retired)
}

#[test]
fn retired_data_can_be_restored_kept_or_discarded() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path();
    let (dir, retired) = retired_then_new_life(path);
    assert_eq!(life(&retired.path).as_deref(), Some("old"));
    assert_eq!(dir.pending_retirement().unwrap(), Some(retired.clone()));
    assert!(matches!(dir.retire("again"), Err(DataDirError::RetirementPending { .. })));
    dir.restore(&retired).unwrap();
    assert_eq!(life(path).as_deref(), Some("old"));
    assert!(leftovers(path).is_empty());
    assert!(matches!(dir.restore(&retired), Err(DataDirError::NotRetired { .. })));

    let retired = dir.retire("join").unwrap();
    write_life(path, "new");
    dir.keep_retired(&retired).unwrap();
    assert_eq!(dir.pending_retirement().unwrap(), None);
    assert_eq!(leftovers(path), ["retired-1"]);
    let second = dir.retire("leave").unwrap();
    assert_eq!((second.number, second.reason.as_str()), (2, "leave"));
    assert_eq!(dir.retired().unwrap().len(), 2);
    assert!(dir.discard(&retired).is_err(), "another one is pending");
    dir.discard(&second).unwrap();
    dir.discard(&retired).unwrap();
    assert!(leftovers(path).is_empty());
    assert_eq!(life(path), None);
}

#[test]
fn an_undecided_retirement_is_reported_after_a_crash() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, retired) = retired_then_new_life(temp.path());
    drop(dir);
    let dir = DataDir::open(temp.path()).unwrap();
    assert_eq!(dir.pending_retirement().unwrap(), Some(retired.clone()));
    assert_eq!(retired.reason, "join");
    dir.restore(&retired).unwrap();
    assert_eq!(life(temp.path()).as_deref(), Some("old"));
}

#[test]
fn what_was_not_there_before_is_not_there_after_a_restoration() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    let retired = dir.retire("join").unwrap();
    write_life(temp.path(), "new");
    dir.restore(&retired).unwrap();
    assert_eq!(life(temp.path()), None);
}

/// Runs a procedure with a crash at its first, second, … step, until it gets through.
fn crash_at_every_step(
    prepare: impl Fn(&Path) -> Option<Retired>,
    procedure: impl Fn(&DataDir, Option<&Retired>) -> Result<(), DataDirError>,
    check: impl Fn(&DataDir, bool),
) {
    for step in 1..200 {
        let temp = tempfile::tempdir().unwrap();
        let retired = prepare(temp.path());
        let disc = Arc::new(FaultyDisc::new());
        let dir = DataDir::open_on(temp.path(), disc.clone()).unwrap();
        disc.die_at_step(step);
        let finished = procedure(&dir, retired.as_ref()).is_ok();
        assert_eq!(finished, !disc.is_dead());
        drop(dir);
        check(&DataDir::open(temp.path()).unwrap(), finished);
        if finished {
            assert!(step > 5, "the procedure has more steps than {step}");
            return;
        }
    }
    panic!("the procedure does not come to an end");
}

#[test]
fn a_crash_at_any_step_of_a_retirement_leaves_the_old_life_in_place_or_set_aside() {
    crash_at_every_step(
        |path| {
            write_life(path, "old");
            None
        },
        |dir, _| dir.retire("join").map(drop),
        |dir, finished| match dir.pending_retirement().unwrap() {
            Some(retired) => {
                assert_eq!(life(dir.path()), None);
                assert_eq!(life(&retired.path).as_deref(), Some("old"));
                dir.restore(&retired).unwrap();
                assert_eq!(life(dir.path()).as_deref(), Some("old"));
            }
            None => {
                assert!(!finished);
                assert_eq!(life(dir.path()).as_deref(), Some("old"));
                assert!(leftovers(dir.path()).is_empty(), "{:?}", leftovers(dir.path()));
            }
        },
    );
}

#[test]
fn a_crash_at_any_step_of_a_restoration_ends_with_the_old_life_in_place() {
    crash_at_every_step(
        |path| Some(retired_then_new_life(path).1),
        |dir, retired| dir.restore(retired.unwrap()),
        |dir, _| {
            if let Some(retired) = dir.pending_retirement().unwrap() {
                assert_eq!(life(dir.path()).as_deref(), Some("new"), "it had not begun");
                dir.restore(&retired).unwrap();
            }
            assert_eq!(life(dir.path()).as_deref(), Some("old"));
            assert!(leftovers(dir.path()).is_empty());
        },
    );
}

#[test]
fn a_restoration_that_failed_half_way_can_be_called_again() {
    for step in 1..30 {
        let temp = tempfile::tempdir().unwrap();
        let (dir, retired) = retired_then_new_life(temp.path());
        drop(dir);
        let disc = Arc::new(FaultyDisc::new());
        let dir = DataDir::open_on(temp.path(), disc.clone()).unwrap();
        disc.fail_write_number(step);
        let finished = dir.restore(&retired).is_ok();
        disc.fail_write_number(0);
        if !finished {
            match dir.restore(&retired) {
                Ok(()) | Err(DataDirError::NotRetired { .. }) => {}
                Err(error) => panic!("step {step}: {error}"),
            }
        }
        assert_eq!(life(temp.path()).as_deref(), Some("old"), "step {step}");
    }
}

#[test]
fn a_crash_at_any_step_of_a_discard_never_touches_the_new_life() {
    crash_at_every_step(
        |path| Some(retired_then_new_life(path).1),
        |dir, retired| dir.discard(retired.unwrap()),
        |dir, _| {
            assert_eq!(life(dir.path()).as_deref(), Some("new"));
            if let Some(retired) = dir.pending_retirement().unwrap() {
                assert_eq!(life(&retired.path).as_deref(), Some("old"), "whole, or not restorable");
                dir.discard(&retired).unwrap();
            }
            assert!(leftovers(dir.path()).is_empty());
        },
    );
}

#[test]
fn a_retirement_that_fails_puts_everything_back_at_once() {
    for step in 1..12 {
        let temp = tempfile::tempdir().unwrap();
        write_life(temp.path(), "old");
        let disc = Arc::new(FaultyDisc::new());
        let dir = DataDir::open_on(temp.path(), disc.clone()).unwrap();
        disc.fail_sync_number(step);
        match dir.retire("join") {
            Ok(retired) => dir.restore(&retired).unwrap(),
            Err(error) => assert!(matches!(error, DataDirError::Io { .. })),
        }
        assert_eq!(life(temp.path()).as_deref(), Some("old"), "step {step}");
        assert_eq!(dir.pending_retirement().unwrap(), None);
    }
}

#[test]
fn a_damaged_note_stops_the_start_and_touches_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, retired) = retired_then_new_life(temp.path());
    drop(dir);
    let note = temp.path().join("retirement");
    let text = fs::read_to_string(&note).unwrap().replace("join", "jojn");
    fs::write(&note, text).unwrap();
    assert!(matches!(DataDir::open(temp.path()), Err(DataDirError::Damaged { .. })));
    assert_eq!(life(&retired.path).as_deref(), Some("old"));
    assert_eq!(life(temp.path()).as_deref(), Some("new"));
}
