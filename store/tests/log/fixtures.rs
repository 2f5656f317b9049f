//! Logs of every released format, opened by every build.
//!
//! `TABULARAFT_WRITE_FIXTURES=1 cargo test -p tabularaft-store --test log` writes the one of the present format anew;
//! that is only right before its release.

use std::fs;
use std::path::{Path, PathBuf};

use tabularaft_store::Position;
use tabularaft_store::log::{Durability, RaftLog};

use crate::support::{copy_dir, done, entry, open, read_all, segments, small_options, temp_dir};

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
