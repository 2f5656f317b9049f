//! What goes into the log and what comes out.

use std::path::PathBuf;

use bytes::Bytes;

use super::LogError;
use crate::position::Position;

/// One entry: where it stands, and its bytes, which mean nothing to the log. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Where the entry stands.
    pub position: Position,
    /// What the entry says. A slice of a larger buffer keeps that whole buffer in memory while it is cached.
    pub payload: Bytes,
}

/// When an entry counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Once it is handed to the operating system: survives the process, not the machine.
    Written,
    /// Once it is synced: survives power loss.
    Synced,
}

/// Called exactly once when the operation it was given with is stored as its class demands, or failed.
///
/// The one exception: a log that is dropped or abandoned without [`close`](super::RaftLog::close) drops the callbacks
/// that still wait without calling them, as a killed process would.
pub type OnDone = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// What a log holds. Entries `purged.index + 1 ..= last.index` are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogBounds {
    /// Up to where the log is purged.
    pub purged: Option<Position>,
    /// The last entry, or `purged` if nothing follows it. Invariant: `purged <= last`.
    pub last: Option<Position>,
}

/// What opening a log found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// How many entries the log holds.
    pub entries: u64,
    /// The first of them.
    pub first: Option<Position>,
    /// The last of them.
    pub last: Option<Position>,
    /// Up to where the log is purged.
    pub purged: Option<Position>,
    /// How many segment files there are.
    pub segments: usize,
    /// What was cut off the end: a group of writes that the crash interrupted.
    pub cut: Option<TornTail>,
}

/// The end of the log that a crash tore, and that recovery removed. None of it was ever acknowledged as synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The segment it was cut from.
    pub file: PathBuf,
    /// Where the cut was made.
    pub offset: u64,
    /// How many bytes were removed.
    pub bytes: u64,
}

/// A place in a log, as the end of what was synced: all segments before `segment`, and that one up to `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SyncedMark {
    /// The number of the segment that is being written.
    pub segment: u64,
    /// The first byte of it that may be lost.
    pub offset: u64,
}

/// What a log has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogStats {
    /// Syncs of a segment.
    pub syncs: u64,
    /// Groups of operations, each one write call.
    pub groups: u64,
    /// Bytes written in those groups.
    pub bytes: u64,
    /// Entries written.
    pub entries: u64,
}
