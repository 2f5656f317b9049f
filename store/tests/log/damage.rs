//! Bit rot: reported, with file and offset, or harmless. Never a panic, never a silently shorter log.

use std::fs;
use std::path::Path;

use tabularaft_store::log::{Durability, LogEntry, LogError, LogOptions, RaftLog, simulate_power_loss};

use crate::support::{
    append_each, copy_dir, done, entry, flip_bit, open, read_all, segment, segments, small_options, temp_dir,
    wait_for_end_mark, written_end,
};

/// Opens a damaged copy: either the log is what it was, or the damage is reported for that file.
fn is_reported_or_harmless(dir: &Path, file: &Path, machine_crashed: bool, whole: &[LogEntry]) -> bool {
    let options = LogOptions { machine_crashed, cache_bytes: 0, ..small_options() };
    let opened = RaftLog::open(dir, options).and_then(|(log, _)| log.read(0..u64::MAX, usize::MAX));
    match opened {
        Ok(entries) => entries == whole,
        Err(LogError::Corrupt { file: reported, .. } | LogError::NewerFormat { file: reported, .. }) => {
            reported == file || file == segment(dir, 1)
        }
        Err(LogError::MissingSegment { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Flips some bit of every byte that was written, in a copy of `source`.
fn flip_everywhere(source: &Path, number: u64, machine_crashed: bool, whole: &[LogEntry]) {
    let bytes = fs::read(segment(source, number)).unwrap();
    let dir = temp_dir();
    for byte in 0..written_end(&bytes) {
        copy_dir(source, dir.path());
        let file = segment(dir.path(), number);
        let bit = byte as u32 % 8;
        flip_bit(&file, byte, bit);
        assert!(
            is_reported_or_harmless(dir.path(), &file, machine_crashed, whole),
            "segment {number}, byte {byte}, bit {bit}, machine_crashed {machine_crashed}"
        );
    }
}

#[test]
fn no_bit_flipped_in_a_closed_log_goes_unnoticed_even_if_the_machine_crashed() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..40);
    done(|tell| log.save_vote("me".into(), tell)).unwrap();
    let whole = read_all(&log);
    log.close().unwrap();
    flip_everywhere(dir.path(), 1, true, &whole);
    flip_everywhere(dir.path(), 2, true, &whole);
}

#[test]
fn no_bit_flipped_goes_unnoticed_after_a_kill_not_even_in_the_last_frame() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..6);
    let whole = read_all(&log);
    drop(log);
    flip_everywhere(dir.path(), 1, false, &whole);
}

#[test]
fn damage_before_the_durable_mark_is_reported_with_file_and_offset() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..2);
    let third = written_end(&fs::read(segment(dir.path(), 1)).unwrap());
    append_each(&log, 1, 2..5);
    drop(log);
    flip_bit(&segment(dir.path(), 1), third + 80, 3);
    let options = LogOptions { machine_crashed: true, ..small_options() };
    match RaftLog::open(dir.path(), options) {
        Err(LogError::Corrupt { file, offset, reason }) => {
            assert_eq!((file, offset as usize), (segment(dir.path(), 1), third));
            assert!(reason.contains("later frame"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_earlier_segment_that_lost_its_end_is_reported() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..100);
    log.close().unwrap();
    let file = fs::OpenOptions::new().write(true).open(segment(dir.path(), 2)).unwrap();
    file.set_len(file.metadata().unwrap().len() - 100).unwrap();
    let options = LogOptions { machine_crashed: true, ..small_options() };
    match RaftLog::open(dir.path(), options) {
        Err(LogError::Corrupt { file, .. }) => assert_eq!(file, segment(dir.path(), 2)),
        other => panic!("{other:?}"),
    }
}

/// Sets the sector that holds the middle of the last frame's header, and what follows, to zeros, and says where it begins.
fn lose_last_sector(file: &Path) -> u64 {
    let mut bytes = fs::read(file).unwrap();
    let start = (written_end(&bytes) - 32) / 512 * 512;
    bytes[start..].fill(0);
    fs::write(file, bytes).unwrap();
    start as u64
}

/// Opening it names the last segment, and a place in or before the sector.
fn is_reported(dir: &Path, machine_crashed: bool, sector: u64) {
    let last = dir.join(segments(dir).pop().unwrap());
    match RaftLog::open(dir, LogOptions { machine_crashed, ..small_options() }) {
        Err(LogError::Corrupt { file, offset, reason }) => {
            assert_eq!(file, last);
            assert!(offset > sector - 512 && offset < sector + 512, "{offset}, not at {sector}: {reason}");
        }
        other => panic!("machine_crashed {machine_crashed}: {other:?}"),
    }
}

#[test]
fn a_closed_log_whose_last_sector_was_lost_is_not_taken_for_a_shorter_one() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..40);
    log.close().unwrap();
    let sector = lose_last_sector(&segment(dir.path(), 2));
    is_reported(dir.path(), false, sector);
    is_reported(dir.path(), true, sector);
}

#[test]
fn the_log_of_a_killed_process_whose_last_sector_was_lost_is_not_taken_for_a_shorter_one() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..11);
    wait_for_end_mark(dir.path());
    drop(log);
    let sector = lose_last_sector(&segment(dir.path(), 1));
    is_reported(dir.path(), false, sector);
    // These entries were synced, so that is no excuse.
    is_reported(dir.path(), true, sector);
    fs::remove_file(segment(dir.path(), 1)).unwrap();
    let opened = RaftLog::open(dir.path(), small_options());
    assert!(matches!(opened, Err(LogError::MissingSegment { number: 1, .. })), "{opened:?}");
}

#[test]
fn a_crash_of_the_machine_may_take_what_was_only_written_and_then_the_log_goes_on() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..3);
    let mark = log.synced();
    let unsynced = (3..8).map(|index| (entry(1, index, b"not synced"), Durability::Written)).collect();
    done(|tell| log.append(unsynced, tell)).unwrap();
    // The turn of the log's thread, which notes the end when it has nothing more to do.
    done(|tell| log.append(Vec::new(), tell)).unwrap();
    wait_for_end_mark(dir.path());
    drop(log);
    simulate_power_loss(dir.path(), mark).unwrap();
    let crashed = LogOptions { machine_crashed: true, ..small_options() };
    let (log, recovered) = RaftLog::open(dir.path(), crashed).unwrap();
    assert_eq!(recovered.entries, 3);
    drop(log);
    // What was noted before the crash must not be held against the shorter log that was accepted.
    let (log, recovered) = open(dir.path());
    assert_eq!(recovered.entries, 3);
    append_each(&log, 2, 3..4);
    log.close().unwrap();
    assert_eq!(open(dir.path()).1.entries, 4);
}

#[test]
fn a_file_that_is_no_segment_at_all_is_reported() {
    for content in [&b""[..], b"short", &[0xFF; 5000], &[0; 5000]] {
        let dir = temp_dir();
        fs::write(segment(dir.path(), 1), content).unwrap();
        let result = RaftLog::open(dir.path(), small_options());
        assert!(matches!(result, Err(LogError::Corrupt { offset: 0, .. })), "{result:?}");
        assert_eq!(fs::read(segment(dir.path(), 1)).unwrap(), content, "nothing was touched");
    }
}
