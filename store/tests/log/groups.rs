//! Group commit and the order of callbacks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tabularaft_store::Position;
use tabularaft_store::disc::{DiscControl, DiscUse, FaultyDisc};
use tabularaft_store::log::{Durability, LogError, LogOptions, RaftLog};

use crate::support::{append_each, done, entry, open, read_all, small_options, temp_dir, waiting};

#[test]
fn many_appends_share_few_syncs_on_a_slow_disc() {
    let (dir, disc) = (temp_dir(), Arc::new(FaultyDisc::new()));
    disc.delay_syncs(Duration::from_millis(5));
    let options = LogOptions { disc: disc.clone(), ..LogOptions::default() };
    let (log, _) = RaftLog::open(dir.path(), options).unwrap();
    let waiters: Vec<_> = (0..2000)
        .map(|index| {
            let (tell, waiter) = waiting();
            log.append(vec![(entry(1, index, b"x"), Durability::Synced)], tell).unwrap();
            waiter
        })
        .collect();
    for waiter in waiters {
        waiter.wait().unwrap();
    }
    let stats = log.stats();
    assert_eq!(stats.entries, 2000);
    assert!(stats.syncs < 500, "{} syncs for 2000 appends", stats.syncs);
    assert!(stats.groups <= stats.syncs, "each group is one write and needed one sync: {stats:?}");
}

#[test]
fn callbacks_run_in_the_order_of_the_calls_whatever_their_class() {
    let (dir, order) = (temp_dir(), Arc::new(Mutex::new(Vec::new())));
    let (log, _) = open(dir.path());
    let tell = |number: u64| {
        let order = Arc::clone(&order);
        Box::new(move |result: Result<(), LogError>| {
            result.unwrap();
            order.lock().unwrap().push(number);
        })
    };
    for number in 0..300 {
        let class = if number % 7 == 0 { Durability::Synced } else { Durability::Written };
        match number % 50 {
            49 => log.save_vote(format!("vote {number}").into(), tell(number)).unwrap(),
            48 => log.append(Vec::new(), tell(number)).unwrap(),
            _ => {
                let next = log.bounds().last.map_or(0, |last| last.index + 1);
                log.append(vec![(entry(1, next, b"x"), class)], tell(number)).unwrap();
            }
        }
    }
    done(|tell| log.sync(tell)).unwrap();
    assert_eq!(*order.lock().unwrap(), (0..300).collect::<Vec<_>>());
}

#[test]
fn a_written_entry_is_acknowledged_without_any_sync() {
    let (dir, disc) = (temp_dir(), Arc::new(FaultyDisc::new()));
    let (log, _) = RaftLog::open(dir.path(), LogOptions { disc: disc.clone(), ..small_options() }).unwrap();
    let before = disc.syncs();
    done(|tell| log.append(vec![(entry(1, 0, b"ram"), Durability::Written)], tell)).unwrap();
    assert_eq!(disc.syncs(), before);
    done(|tell| log.append(vec![(entry(1, 1, b"disc"), Durability::Synced)], tell)).unwrap();
    assert_eq!(disc.syncs(), before + 1);
}

#[test]
fn who_appends_what_need_not_be_synced_writes_it_unless_others_wait_or_the_disc_is_slow() {
    #[derive(Debug, Default)]
    struct SlowWrites(AtomicBool);
    impl DiscControl for SlowWrites {
        fn before_write(&self, _: DiscUse, _: usize) -> std::io::Result<()> {
            if self.0.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }

        fn before_sync(&self, _: DiscUse) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (dir, disc) = (temp_dir(), Arc::new(SlowWrites::default()));
    let options = LogOptions { disc: disc.clone(), ..LogOptions::default() };
    let (log, _) = RaftLog::open(dir.path(), options).unwrap();
    let written_by = |index: u64, class| {
        let (tell, by) = sync_channel(1);
        let done = move |result: Result<(), LogError>| {
            result.unwrap();
            tell.send(std::thread::current().id()).unwrap();
        };
        log.append(vec![(entry(1, index, b"x"), class)], Box::new(done)).unwrap();
        by.recv().unwrap()
    };
    let me = std::thread::current().id();
    assert_eq!(written_by(0, Durability::Written), me);
    assert_ne!(written_by(1, Durability::Synced), me, "a sync is never waited for by the caller");
    disc.0.store(true, Ordering::SeqCst);
    let (slow, after) = (written_by(2, Durability::Written), written_by(3, Durability::Written));
    disc.0.store(false, Ordering::SeqCst);
    assert!(slow != me || after != me, "a disc that makes its writers wait is left to the thread");
    // A thousand groups, and again as many whenever this machine lets a write wait.
    let back = (4..100_000).find(|index| written_by(*index, Durability::Written) == me).expect("for a while");
    log.close().unwrap();
    let (log, _) = RaftLog::open(dir.path(), LogOptions::default()).unwrap();
    assert_eq!(log.read(0..back + 1_000, usize::MAX).unwrap().len() as u64, back + 1);
}

#[test]
fn the_log_may_be_closed_and_dropped_in_a_callback_of_who_appends() {
    let dir = temp_dir();
    let (log, _) = RaftLog::open(dir.path(), LogOptions::default()).unwrap();
    let (inner, (tell, closed)) = (log.clone(), sync_channel(1));
    let done = move |result: Result<(), LogError>| {
        result.unwrap();
        tell.send(inner.close().is_ok()).unwrap();
    };
    log.append(vec![(entry(1, 0, b"x"), Durability::Written)], Box::new(done)).unwrap();
    assert!(closed.recv().unwrap());
    log.close().unwrap();
    drop(log);
    let (log, recovered) = RaftLog::open(dir.path(), LogOptions::default()).unwrap();
    assert_eq!(recovered.entries, 1);
    drop(log);
}

#[test]
fn an_entry_can_be_read_before_it_is_stored() {
    let (dir, disc) = (temp_dir(), Arc::new(FaultyDisc::new()));
    let (log, _) = RaftLog::open(dir.path(), LogOptions { disc: disc.clone(), ..small_options() }).unwrap();
    disc.delay_syncs(Duration::from_millis(100));
    let (tell, waiter) = waiting();
    log.append(vec![(entry(1, 0, b"x"), Durability::Synced)], tell).unwrap();
    log.save_vote("me".into(), Box::new(|_| {})).unwrap();
    assert_eq!(read_all(&log), [entry(1, 0, b"x")]);
    assert_eq!(log.vote().unwrap(), "me");
    assert_eq!(log.position_at(0), Some(Position::new(1, 0)));
    waiter.wait().unwrap();
}

#[test]
fn a_callback_may_use_the_log_even_when_the_queue_is_full() {
    for in_memory in [false, true] {
        let dir = temp_dir();
        let options = LogOptions { queue_bytes: 1, ..small_options() };
        let log = if in_memory {
            RaftLog::in_memory(options)
        } else {
            RaftLog::open(dir.path(), options).unwrap().0
        };
        let (tell, waiter) = waiting();
        let inner = log.clone();
        let again = move |result: Result<(), LogError>| {
            result.unwrap();
            inner.append(vec![(entry(1, 1, b"y"), Durability::Synced)], Box::new(|_| {})).unwrap();
            inner.append(vec![(entry(1, 2, b"z"), Durability::Synced)], tell).unwrap();
        };
        log.append(vec![(entry(1, 0, b"x"), Durability::Synced)], Box::new(again)).unwrap();
        waiter.wait().unwrap();
        assert_eq!(read_all(&log).len(), 3);
    }
}

#[test]
fn a_log_without_a_disc_keeps_the_same_contract_and_no_files() {
    let log = RaftLog::in_memory(LogOptions { cache_bytes: 1, ..LogOptions::default() });
    append_each(&log, 1, 0..10);
    done(|tell| log.save_vote("me".into(), tell)).unwrap();
    done(|tell| log.truncate_after(Some(7), tell)).unwrap();
    done(|tell| log.purge(Position::new(1, 2), tell)).unwrap();
    log.set_committed(Position::new(1, 5));
    assert_eq!(log.committed(), Some(Position::new(1, 5)));
    let bounds = log.bounds();
    assert_eq!((bounds.purged, bounds.last), (Some(Position::new(1, 2)), Some(Position::new(1, 7))));
    assert_eq!(read_all(&log).first().unwrap().position.index, 3);
    log.close().unwrap();
    assert!(matches!(log.save_vote("x".into(), Box::new(|_| {})), Err(LogError::Closed)));
}

#[test]
fn entries_that_do_not_follow_on_are_refused_and_change_nothing() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..3);
    let gap = log.append(vec![(entry(1, 4, b""), Durability::Synced)], Box::new(|_| {}));
    assert!(matches!(gap, Err(LogError::NotContiguous { expected: 3, .. })));
    let inner_gap = vec![(entry(1, 3, b""), Durability::Synced), (entry(1, 5, b""), Durability::Synced)];
    assert!(log.append(inner_gap, Box::new(|_| {})).is_err());
    assert_eq!(log.bounds().last, Some(Position::new(1, 2)));
    done(|tell| log.purge(Position::new(1, 1), tell)).unwrap();
    let refused = log.truncate_after(Some(0), Box::new(|_| {}));
    assert!(matches!(refused, Err(LogError::TruncatesPurged { .. })));
    assert!(log.truncate_after(None, Box::new(|_| {})).is_err());
    done(|tell| log.truncate_after(Some(1), tell)).unwrap();
    assert_eq!(log.bounds().last, Some(Position::new(1, 1)));
}

#[test]
fn reads_respect_their_limit_but_bring_at_least_one_entry() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..20);
    assert_eq!(log.read(5..20, 0).unwrap().len(), 1);
    assert_eq!(log.read(5..20, 60).unwrap().len(), 3);
    assert_eq!(log.read(5..8, usize::MAX).unwrap().len(), 3);
    assert_eq!(log.read(18..90, usize::MAX).unwrap().len(), 2);
    assert!(log.read(20..90, usize::MAX).unwrap().is_empty());
    let (backwards, empty) = (std::ops::Range { start: 9, end: 2 }, 4..4);
    assert!(log.read(backwards, usize::MAX).unwrap().is_empty());
    assert!(log.read(empty, usize::MAX).unwrap().is_empty());
    done(|tell| log.purge(Position::new(1, 9), tell)).unwrap();
    assert_eq!(log.read(0..12, usize::MAX).unwrap().first().unwrap().position.index, 10);
}
