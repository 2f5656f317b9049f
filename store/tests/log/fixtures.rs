//! Logs of every released format, opened by every build.
//!
//! `TABULARAFT_WRITE_FIXTURES=1 cargo test -p tabularaft-store --test log` writes the one of the present format anew;
//! that is only right before its release.

use std::fs;
use std::path::{Path, PathBuf};

use tabularaft_store::Position;
use tabularaft_store::log::{Durability, LogError, RaftLog};

use crate::support::{
    copy_dir, done, entry, open, read_all, segment, segments, small_options, temp_dir, written_end,
};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/log-v1")
}

/// One of each record, over two segments.
fn write_log(dir: &Path) {
    let (log, _) = RaftLog::open(dir, small_options()).unwrap();
    done(|tell| log.save_vote("vote of node 1".into(), tell)).unwrap();
    for index in 0..30 {
        let entry = entry(1 + index / 10, index, format!("effects of entry {index}").as_bytes());
        done(|tell| log.append(vec![(entry, Durability::Synced)], tell)).unwrap();
    }
    done(|tell| log.truncate_after(Some(24), tell)).unwrap();
    done(|tell| log.purge(Position::new(1, 4), tell)).unwrap();
    done(|tell| log.append(vec![(entry(4, 25, b"after the truncation"), Durability::Written)], tell))
        .unwrap();
    log.set_committed(Position::new(3, 23));
    done(|tell| log.save_vote("vote of node 2".into(), tell)).unwrap();
    log.close().unwrap();
}

#[test]
fn a_log_of_format_1_opens() {
    if std::env::var_os("TABULARAFT_WRITE_FIXTURES").is_some() {
        drop(fs::remove_dir_all(fixture()));
        write_log(&fixture());
    }
    let dir = temp_dir();
    copy_dir(&fixture(), dir.path());
    let (log, recovered) = open(dir.path());
    assert_eq!(recovered.cut, None);
    assert_eq!(recovered.segments, 2);
    assert_eq!(recovered.purged, Some(Position::new(1, 4)));
    assert_eq!((recovered.first, recovered.last), (Some(Position::new(1, 5)), Some(Position::new(4, 25))));
    assert_eq!(log.vote().unwrap(), "vote of node 2");
    assert_eq!(log.committed(), Some(Position::new(3, 23)));
    let entries = read_all(&log);
    assert_eq!(entries[0], entry(1, 5, b"effects of entry 5"));
    assert_eq!(entries.last().unwrap(), &entry(4, 25, b"after the truncation"));
}

/// The note of where the log of format 1 ends, as this release writes it beside the segments.
fn end_fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/log-end-v1")
}

#[test]
fn a_log_is_held_against_a_note_of_its_end_of_format_1() {
    if std::env::var_os("TABULARAFT_WRITE_FIXTURES").is_some() {
        let written = temp_dir();
        write_log(written.path());
        fs::create_dir_all(end_fixture()).unwrap();
        fs::copy(written.path().join("end"), end_fixture().join("end")).unwrap();
    }
    let dir = temp_dir();
    copy_dir(&fixture(), dir.path());
    copy_dir(&end_fixture(), dir.path());
    open(dir.path());

    copy_dir(&fixture(), dir.path());
    copy_dir(&end_fixture(), dir.path());
    let last = segment(dir.path(), 2);
    let mut bytes = fs::read(&last).unwrap();
    let end = written_end(&bytes);
    // The empty frame that closes a log: 64 bytes and the 8 that end it.
    bytes[end - 72..].fill(0);
    fs::write(&last, bytes).unwrap();
    match RaftLog::open(dir.path(), small_options()) {
        Err(LogError::Corrupt { file, offset, reason }) => {
            assert_eq!((file, offset as usize), (last, end - 72));
            assert!(reason.contains(&format!("written up to byte {end}")), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_present_format_is_still_format_1_byte_for_byte() {
    let dir = temp_dir();
    write_log(dir.path());
    assert_eq!(segments(dir.path()), segments(&fixture()));
    for name in segments(dir.path()) {
        let (now, then) =
            (fs::read(dir.path().join(&name)).unwrap(), fs::read(fixture().join(&name)).unwrap());
        assert!(now == then, "{name} differs: a changed format needs a new version number and a new fixture");
    }
}
