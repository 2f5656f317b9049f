//! A log in a temporary directory, and calls that wait for their callback.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tabularaft_store::Position;
use tabularaft_store::log::{Durability, LogEntry, LogError, LogOptions, OnDone, RaftLog, Recovered};
use tempfile::TempDir;

/// No callback takes longer, however slow the machine.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn small_options() -> LogOptions {
    LogOptions { segment_bytes: 4096, machine_crashed: false, ..LogOptions::default() }
}

pub(crate) fn temp_dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn open(dir: &Path) -> (RaftLog, Recovered) {
    RaftLog::open(dir, small_options()).unwrap()
}

pub(crate) fn entry(term: u64, index: u64, payload: &[u8]) -> LogEntry {
    LogEntry { position: Position::new(term, index), payload: Bytes::copy_from_slice(payload) }
}

/// A callback and the place where its result arrives.
pub(crate) fn waiting() -> (OnDone, Waiter) {
    let (tell, result) = sync_channel(1);
    (Box::new(move |outcome| drop(tell.send(outcome))), Waiter(result))
}

pub(crate) struct Waiter(Receiver<Result<(), LogError>>);

impl Waiter {
    pub(crate) fn wait(self) -> Result<(), LogError> {
        self.0.recv_timeout(DEADLINE).expect("the callback of the log was not called")
    }
}

/// Hands an operation in and waits for its callback.
pub(crate) fn done(operation: impl FnOnce(OnDone) -> Result<(), LogError>) -> Result<(), LogError> {
    let (tell, waiter) = waiting();
    operation(tell)?;
    waiter.wait()
}

/// Appends synced entries of one term, one after the other.
pub(crate) fn append_each(log: &RaftLog, term: u64, indexes: std::ops::Range<u64>) {
    for index in indexes {
        let entry = entry(term, index, format!("payload of entry {index}").as_bytes());
        done(|tell| log.append(vec![(entry, Durability::Synced)], tell)).unwrap();
    }
}

pub(crate) fn read_all(log: &RaftLog) -> Vec<LogEntry> {
    log.read(0..u64::MAX, usize::MAX).unwrap()
}

pub(crate) fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

pub(crate) fn segments(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "end");
    names.sort();
    names
}

/// Waits until the log, which has nothing to do, has noted how far it was written.
pub(crate) fn wait_for_end_mark(dir: &Path) {
    let last = segments(dir).pop().expect("a log has segments");
    let end = (written_end(&fs::read(dir.join(&last)).unwrap()) as u64).to_le_bytes();
    let deadline = Instant::now() + DEADLINE;
    // An offset of eight bytes is not found by chance.
    while !fs::read(dir.join("end")).unwrap().windows(8).any(|bytes| bytes == end) {
        assert!(Instant::now() < deadline, "the end of the log was not noted");
        std::thread::yield_now();
    }
}

/// Where the last byte that is not zero stands, plus one: the end of what was written.
pub(crate) fn written_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

pub(crate) fn flip_bit(path: &Path, byte: usize, bit: u32) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
