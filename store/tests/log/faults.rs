//! Full and failing discs: everyone is told, nothing is retried, the restart finds what was acknowledged.

use std::sync::Arc;
use std::time::Duration;

use tabularaft_store::disc::FaultyDisc;
use tabularaft_store::log::{Durability, LogError, LogOptions, RaftLog};
use tempfile::TempDir;

use crate::support::{append_each, done, entry, open, read_all, small_options, temp_dir, waiting};

fn faulty() -> (TempDir, Arc<FaultyDisc>, RaftLog) {
    let (dir, disc) = (temp_dir(), Arc::new(FaultyDisc::new()));
    let (log, _) = RaftLog::open(dir.path(), LogOptions { disc: disc.clone(), ..small_options() }).unwrap();
    append_each(&log, 1, 0..3);
    (dir, disc, log)
}

#[test]
fn a_full_disc_is_told_from_other_errors_and_poisons_the_log() {
    let (dir, disc, log) = faulty();
    disc.set_full(true);
    let error = done(|tell| log.append(vec![(entry(1, 3, b"x"), Durability::Written)], tell)).unwrap_err();
    assert!(matches!(error, LogError::DiscFull { .. }), "{error}");
    disc.set_full(false);
    let later = log.save_vote("me".into(), Box::new(|_| {})).unwrap_err();
    assert!(matches!(&later, LogError::Poisoned { cause } if cause.is_disc_full()), "{later}");
    assert!(later.is_disc_full());
    assert!(matches!(log.read(0..9, 99), Err(LogError::Poisoned { .. })));
    assert!(matches!(log.close(), Err(LogError::Poisoned { .. })));
    drop(log);
    assert_eq!(open(dir.path()).1.entries, 3);
}

#[test]
fn a_full_disc_at_the_beginning_of_a_segment_is_reported_too() {
    let (_dir, disc, log) = faulty();
    disc.set_full(true);
    let error =
        done(|tell| log.append(vec![(entry(1, 3, &[0; 9000]), Durability::Written)], tell)).unwrap_err();
    assert!(error.is_disc_full(), "{error}");
}

#[test]
fn a_failed_sync_fails_its_group_and_all_that_waits_and_is_never_tried_again() {
    let (dir, disc, log) = faulty();
    disc.delay_syncs(Duration::from_millis(50));
    disc.fail_next_sync();
    let waiters: Vec<_> = (3..40)
        .map_while(|index| {
            let (tell, waiter) = waiting();
            log.append(vec![(entry(1, index, b"x"), Durability::Synced)], tell).ok().map(|()| waiter)
        })
        .collect();
    let errors: Vec<LogError> = waiters.into_iter().filter_map(|waiter| waiter.wait().err()).collect();
    assert!(matches!(errors.first(), Some(LogError::Io { doing: "sync", .. })), "{:?}", errors.first());
    let syncs = disc.syncs();
    assert!(matches!(log.sync(Box::new(|_| {})), Err(LogError::Poisoned { .. })));
    drop(log);
    assert_eq!(disc.syncs(), syncs, "no sync after the one that failed");
    let (log, _) = open(dir.path());
    assert!(read_all(&log).len() >= 3);
}

#[test]
fn a_written_entry_in_the_group_of_a_failed_sync_was_acknowledged_before_it() {
    let (_dir, disc, log) = faulty();
    disc.fail_next_sync();
    done(|tell| log.append(vec![(entry(1, 3, b"ram"), Durability::Written)], tell)).unwrap();
    let error = done(|tell| log.append(vec![(entry(1, 4, b"disc"), Durability::Synced)], tell)).unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error}");
}

#[test]
fn a_disc_that_dies_at_any_step_of_a_log_s_life_leaves_a_log_that_opens() {
    for step in 1..60 {
        let (dir, disc) = (temp_dir(), Arc::new(FaultyDisc::new()));
        disc.die_at_step(step);
        let mut acknowledged = 0;
        let options = LogOptions { disc: disc.clone(), ..small_options() };
        if let Ok((log, _)) = RaftLog::open(dir.path(), options) {
            while acknowledged < 40 {
                let entry = entry(1, acknowledged, &[1; 300]);
                if done(|tell| log.append(vec![(entry, Durability::Synced)], tell)).is_err() {
                    break;
                }
                acknowledged += 1;
            }
            drop(log.close());
        }
        let (log, recovered) = open(dir.path());
        assert!(recovered.entries >= acknowledged, "step {step}: {acknowledged} acknowledged, {recovered:?}");
        let next = recovered.entries;
        append_each(&log, 2, next..next + 2);
    }
}

#[test]
fn a_panicking_callback_stops_the_log_instead_of_hanging_its_callers() {
    let (_dir, _disc, log) = faulty();
    log.sync(Box::new(|_| panic!("on purpose"))).unwrap();
    let outcome = loop {
        match done(|tell| log.sync(tell)) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(outcome, LogError::Poisoned { .. }), "{outcome}");
    assert!(log.close().is_err());
}
