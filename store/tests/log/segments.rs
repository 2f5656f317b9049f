//! Segments: rolling over, purging, reading from files.

use std::fs;
use std::sync::Arc;

use tabularaft_store::Position;
use tabularaft_store::disc::FaultyDisc;
use tabularaft_store::log::{Durability, LogError, LogOptions, RaftLog};

use crate::support::{
    append_each, done, entry, flip_bit, open, read_all, segment, segments, small_options, temp_dir,
};

#[test]
fn a_log_goes_on_over_many_segments_and_reopens_whole() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..200);
    let before = read_all(&log);
    log.close().unwrap();
    assert!(segments(dir.path()).len() > 5, "{:?}", segments(dir.path()));
    let (log, recovered) = open(dir.path());
    assert_eq!(recovered.entries, 200);
    assert_eq!(recovered.cut, None);
    assert_eq!((recovered.first, recovered.last), (Some(Position::new(1, 0)), Some(Position::new(1, 199))));
    assert_eq!(read_all(&log), before);
    append_each(&log, 2, 200..210);
}

#[test]
fn an_entry_larger_than_a_segment_gets_one_of_its_own() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..3);
    let large = entry(1, 3, &vec![7; 20_000]);
    done(|tell| log.append(vec![(large.clone(), Durability::Synced)], tell)).unwrap();
    append_each(&log, 1, 4..8);
    log.close().unwrap();
    let (log, _) = open(dir.path());
    assert_eq!(read_all(&log)[3], large);
    assert_eq!(log.bounds().last, Some(Position::new(1, 7)));
}

#[test]
fn a_large_vote_fits_the_opening_of_the_next_segment() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    let vote = vec![3; 10_000];
    done(|tell| log.save_vote(vote.clone().into(), tell)).unwrap();
    append_each(&log, 1, 0..100);
    drop(log);
    let (log, _) = open(dir.path());
    assert_eq!(log.vote().unwrap(), vote);
    assert_eq!(log.bounds().last, Some(Position::new(1, 99)));
}

#[test]
fn purging_deletes_whole_segments_and_keeps_vote_and_position() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    log.set_committed(Position::new(1, 0));
    done(|tell| log.save_vote("early vote".into(), tell)).unwrap();
    append_each(&log, 1, 0..200);
    let (files, bytes) = (segments(dir.path()).len(), log.size_bytes());
    done(|tell| log.purge(Position::new(1, 150), tell)).unwrap();
    done(|tell| log.sync(tell)).unwrap();
    assert!(segments(dir.path()).len() <= files / 2, "{files} before, {:?} after", segments(dir.path()));
    assert!(log.size_bytes() < bytes / 2);
    drop(log);
    for _ in 0..2 {
        let (log, recovered) = open(dir.path());
        assert_eq!(recovered.purged, Some(Position::new(1, 150)));
        assert_eq!(recovered.first, Some(Position::new(1, 151)));
        assert_eq!(log.position_at(150), Some(Position::new(1, 150)));
        assert_eq!(log.position_at(149), None);
        assert_eq!(log.vote().unwrap(), "early vote");
        assert_eq!(log.committed(), Some(Position::new(1, 0)));
        log.close().unwrap();
    }
}

#[test]
fn a_purge_beyond_the_end_and_a_reset_leave_an_empty_log_that_goes_on_there() {
    for reset in [false, true] {
        let dir = temp_dir();
        let (log, _) = open(dir.path());
        append_each(&log, 1, 0..100);
        let target = Position::new(3, 500);
        done(|tell| if reset { log.reset(target, tell) } else { log.purge(target, tell) }).unwrap();
        assert!(log.append(vec![(entry(3, 100, b""), Durability::Synced)], Box::new(|_| {})).is_err());
        append_each(&log, 3, 501..510);
        drop(log);
        let (log, recovered) = open(dir.path());
        assert_eq!((recovered.purged, recovered.entries), (Some(target), 9));
        assert_eq!(segments(dir.path()).len(), 1);
        assert_eq!(log.position_at(500), Some(target));
    }
}

#[test]
fn a_reset_may_also_go_back() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..100);
    done(|tell| log.reset(Position::new(2, 50), tell)).unwrap();
    append_each(&log, 2, 51..60);
    drop(log);
    let (log, recovered) = open(dir.path());
    assert_eq!(recovered.first, Some(Position::new(2, 51)));
    assert_eq!(log.bounds().last, Some(Position::new(2, 59)));
}

#[test]
fn entries_that_left_memory_are_read_from_their_files() {
    let dir = temp_dir();
    let options = LogOptions { cache_bytes: 100, ..small_options() };
    let (log, _) = RaftLog::open(dir.path(), options.clone()).unwrap();
    append_each(&log, 1, 0..60);
    done(|tell| log.truncate_after(Some(40), tell)).unwrap();
    append_each(&log, 2, 41..150);
    let check = |log: &RaftLog| {
        let entries = read_all(log);
        assert_eq!(entries.len(), 150);
        for (entry, index) in entries.iter().zip(0..) {
            assert_eq!(entry.position, Position::new(if index <= 40 { 1 } else { 2 }, index));
            assert_eq!(entry.payload, format!("payload of entry {index}"));
        }
        assert_eq!(log.read(70..75, usize::MAX).unwrap().len(), 5);
    };
    check(&log);
    drop(log);
    check(&RaftLog::open(dir.path(), options).unwrap().0);
}

#[test]
fn a_bit_flipped_in_an_old_entry_is_reported_when_it_is_read() {
    let dir = temp_dir();
    let options = LogOptions { cache_bytes: 100, ..small_options() };
    let (log, _) = RaftLog::open(dir.path(), options).unwrap();
    append_each(&log, 1, 0..100);
    let bytes = fs::read(segment(dir.path(), 1)).unwrap();
    let payload = b"payload of entry 3";
    let at = bytes.windows(payload.len()).position(|window| window == payload).unwrap();
    // The file is changed in place, since the log holds it open.
    let file = fs::OpenOptions::new().write(true).open(segment(dir.path(), 1)).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"P", at as u64).unwrap();
    match log.read(2..5, usize::MAX) {
        Err(LogError::Corrupt { file, offset, .. }) => {
            assert_eq!(file, segment(dir.path(), 1));
            assert_eq!(offset as usize, at - 28);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(log.read(4..6, usize::MAX).unwrap().len(), 2);
}

#[test]
fn a_missing_segment_is_an_error_wherever_it_is_missing() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..100);
    log.close().unwrap();
    let hidden = dir.path().join("hidden");
    for number in [1, 2] {
        fs::rename(segment(dir.path(), number), &hidden).unwrap();
        match RaftLog::open(dir.path(), small_options()) {
            Err(LogError::MissingSegment { number: missing, .. }) => assert_eq!(missing, number),
            other => panic!("{other:?}"),
        }
        fs::rename(&hidden, segment(dir.path(), number)).unwrap();
    }
    open(dir.path()).0.close().unwrap();
}

#[test]
fn an_interrupted_creation_of_a_segment_is_cleaned_up() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..5);
    log.close().unwrap();
    fs::write(dir.path().join("00000002.log.new"), b"half").unwrap();
    let (_log, recovered) = open(dir.path());
    assert_eq!(recovered.entries, 5);
    assert_eq!(segments(dir.path()), ["00000001.log"]);
}

#[test]
fn a_crash_between_two_deletions_of_a_purge_is_made_good_at_the_next_open() {
    let (dir, disc) = (temp_dir(), Arc::new(FaultyDisc::new()));
    let (log, _) = RaftLog::open(dir.path(), LogOptions { disc: disc.clone(), ..small_options() }).unwrap();
    append_each(&log, 1, 0..200);
    // The write of the mark, its sync, then one deletion after the other.
    disc.die_at_step(5);
    drop(done(|tell| log.purge(Position::new(1, 150), tell)));
    assert!(log.close().is_err());
    assert!(disc.is_dead());
    let left = segments(dir.path()).len();
    let (_log, recovered) = open(dir.path());
    assert_eq!(recovered.purged, Some(Position::new(1, 150)));
    assert!(segments(dir.path()).len() < left);
}

#[test]
fn a_newer_format_is_named_and_left_alone() {
    let dir = temp_dir();
    let (log, _) = open(dir.path());
    append_each(&log, 1, 0..2);
    log.close().unwrap();
    let path = segment(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..64]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    match RaftLog::open(dir.path(), small_options()) {
        Err(LogError::NewerFormat { found: 9, known: 1, file }) => assert_eq!(file, path),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
    flip_bit(&path, 8, 0);
    assert!(matches!(RaftLog::open(dir.path(), small_options()), Err(LogError::Corrupt { offset: 0, .. })));
}
