//! Kills and power losses.

use std::fs;

use tabularaft_store::Position;
use tabularaft_store::log::{
    Durability, LogError, LogOptions, RaftLog, simulate_power_loss, simulate_torn_power_loss,
};

use crate::support::{
    append_each, copy_dir, done, entry, open, read_all, segment, small_options, temp_dir, written_end,
};

fn after_a_crash() -> LogOptions {
    LogOptions { machine_crashed: true, ..small_options() }
}

#[test]
fn a_tail_torn_at_any_byte_of_the_last_frame_is_cut_and_the_log_goes_on() {
    let source = temp_dir();
    let (log, _) = open(source.path());
    append_each(&log, 1, 0..3);
    let before = written_end(&fs::read(segment(source.path(), 1)).unwrap());
    append_each(&log, 1, 3..4);
    drop(log);
    let whole = fs::read(segment(source.path(), 1)).unwrap();
    let end = written_end(&whole);
    let body_end = before + 64 + 28 + "payload of entry 3".len();
    for cut in before..end {
        for machine_crashed in [false, true] {
            let dir = temp_dir();
            let mut torn = whole.clone();
            torn[cut..].fill(0);
            fs::write(segment(dir.path(), 1), &torn).unwrap();
            let options = LogOptions { machine_crashed, ..small_options() };
            let (log, recovered) = RaftLog::open(dir.path(), options).unwrap();
            // Only padding and the trailer follow the frame's body: without them, the entry is whole.
            let expected = if cut >= body_end { 4 } else { 3 };
            assert_eq!(recovered.entries, expected, "cut at {cut}");
            assert_eq!(recovered.cut.is_some(), expected == 3 && cut > before, "cut at {cut}");
            if let Some(tail) = recovered.cut {
                assert_eq!((tail.file, tail.offset as usize), (segment(dir.path(), 1), before));
            }
            append_each(&log, 2, expected..expected + 1);
            drop(log);
            let (log, recovered) = open(dir.path());
            assert_eq!(recovered.cut, None);
            assert_eq!(log.bounds().last, Some(Position::new(2, expected)));
        }
    }
}

#[test]
fn what_was_cut_does_not_come_back_behind_a_shorter_frame() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..2);
    let start = written_end(&fs::read(segment(dir.path(), 1)).unwrap());
    append_each(&log, 1, 2..6);
    drop(log);
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    // The frame of entry 2 is lost although the frames behind it, claiming no durability of it, are there.
    let lost = &mut bytes[start..];
    lost[..8].fill(0);
    for at in (0..lost.len()).step_by(8) {
        if lost[at..].starts_with(b"TRFm") {
            lost[at + 40..at + 48].copy_from_slice(&64u64.to_le_bytes());
            let body = u32::from_le_bytes(lost[at + 12..at + 16].try_into().unwrap()) as usize;
            let crc = crc32c::crc32c(&lost[at + 8..at + 64 + body]);
            lost[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
        }
    }
    fs::write(&path, &bytes).unwrap();
    // Nor was it noted.
    fs::remove_file(dir.path().join("end")).unwrap();
    let refused = RaftLog::open(dir.path(), small_options());
    assert!(matches!(refused, Err(LogError::Corrupt { .. })), "a killed process leaves no hole: {refused:?}");

    let (log, recovered) = RaftLog::open(dir.path(), after_a_crash()).unwrap();
    assert_eq!(recovered.entries, 2);
    assert_eq!(recovered.cut.unwrap().offset as usize, start);
    // As long as the lost one, and only written: a synced frame would bring zeros along that hide what stands behind it.
    let same_length = entry(2, 2, b"payload of entry X");
    done(|tell| log.append(vec![(same_length, Durability::Written)], tell)).unwrap();
    drop(log);
    let (log, recovered) = open(dir.path());
    assert_eq!((recovered.entries, recovered.cut), (3, None));
    assert_eq!(log.bounds().last, Some(Position::new(2, 2)));
}

#[test]
fn a_power_loss_takes_what_was_only_written_and_leaves_what_was_synced() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..10);
    done(|tell| log.save_vote("synced vote".into(), tell)).unwrap();
    for index in 10..20 {
        done(|tell| log.append(vec![(entry(1, index, b"ram"), Durability::Written)], tell)).unwrap();
    }
    let mark = log.synced();
    drop(log);
    let killed = temp_dir();
    copy_dir(dir.path(), killed.path());
    assert_eq!(open(killed.path()).1.entries, 20, "a kill loses nothing that was written");

    simulate_power_loss(dir.path(), mark).unwrap();
    let (log, recovered) = RaftLog::open(dir.path(), after_a_crash()).unwrap();
    assert_eq!(recovered.entries, 10);
    assert_eq!(log.vote().unwrap(), "synced vote");
    append_each(&log, 2, 10..12);
}

#[test]
fn a_torn_power_loss_leaves_a_prefix_at_least_as_long_as_what_was_synced() {
    for seed in 0..200 {
        let dir = temp_dir();
        let options = LogOptions { segment_bytes: 16 * 1024, ..small_options() };
        let (log, _) = RaftLog::open(dir.path(), options).unwrap();
        append_each(&log, 1, 0..4);
        for index in 4..30 {
            let payload = vec![index as u8; 150];
            done(|tell| log.append(vec![(entry(1, index, &payload), Durability::Written)], tell)).unwrap();
        }
        let mark = log.synced();
        drop(log);
        simulate_torn_power_loss(dir.path(), mark, seed).unwrap();
        let (log, recovered) = RaftLog::open(dir.path(), after_a_crash()).unwrap();
        assert!((4..=30).contains(&recovered.entries), "seed {seed}: {recovered:?}");
        for (entry, index) in read_all(&log).iter().zip(0..) {
            assert_eq!(entry.position, Position::new(1, index));
            assert!(index < 4 || entry.payload == vec![index as u8; 150]);
        }
    }
}

#[test]
fn what_a_reopened_log_shows_is_durable_even_if_it_was_not_synced_before_the_kill() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    done(|tell| log.append(vec![(entry(1, 0, b"ram"), Durability::Written)], tell)).unwrap();
    drop(log);
    let (log, recovered) = open(dir.path());
    assert_eq!(recovered.entries, 1);
    let mark = log.synced();
    drop(log);
    simulate_power_loss(dir.path(), mark).unwrap();
    assert_eq!(RaftLog::open(dir.path(), after_a_crash()).unwrap().1.entries, 1);
}

#[test]
fn the_committed_position_is_never_newer_than_what_was_set_and_exact_after_a_close() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..5);
    log.set_committed(Position::new(1, 2));
    append_each(&log, 1, 5..6);
    log.set_committed(Position::new(1, 5));
    drop(log);
    let (log, _) = open(dir.path());
    assert_eq!(log.committed(), Some(Position::new(1, 2)), "it had not been written when the kill came");
    log.set_committed(Position::new(1, 4));
    log.close().unwrap();
    let (log, _) = open(dir.path());
    assert_eq!(log.committed(), Some(Position::new(1, 4)));
    // Announced ahead of its entry: it must not count before the entry is there.
    log.set_committed(Position::new(1, 9));
    append_each(&log, 1, 6..8);
    drop(log);
    assert_eq!(open(dir.path()).0.committed(), Some(Position::new(1, 4)));
}

#[test]
fn an_abandoned_log_refuses_everything_and_calls_nobody() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..3);
    let other = log.clone();
    log.abandon();
    assert!(matches!(other.save_vote("x".into(), Box::new(|_| {})), Err(LogError::Closed)));
    assert_eq!(read_all(&other).len(), 3);
    assert_eq!(open(dir.path()).1.entries, 3);
}

#[test]
fn closing_twice_or_closing_a_clone_is_harmless() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    let clone = log.clone();
    for index in 0..50 {
        log.append(vec![(entry(1, index, b"x"), Durability::Written)], Box::new(|_| {})).unwrap();
    }
    log.close().unwrap();
    clone.close().unwrap();
    drop((log, clone));
    assert_eq!(open(dir.path()).1.entries, 50, "close writes what waits");
}
