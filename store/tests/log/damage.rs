//! Bit rot: reported, with file and offset, or harmless. Never a panic, never a silently shorter log.

use std::fs;
use std::path::Path;

use tabularaft_store::log::{LogEntry, LogError, LogOptions, RaftLog};

use crate::support::{
    append_each, copy_dir, done, flip_bit, open, read_all, segment, small_options, temp_dir, written_end,
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
