//! The handle.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::entry::{LogBounds, LogStats, Recovered, SyncedMark};
use super::recovery::{self, Replayed, SegmentSpan};
use super::segment::{self, Marks, SegmentHeader};
use super::shared::{Change, Phase, Shared};
use super::table::EntryTable;
use super::writer::{Writer, WriterThread, lock};
use super::{Durability, LogEntry, LogError, LogOptions, OnDone, reader};
use crate::position::Position;
use crate::threads::Running;

/// The Raft log of one node: entries, the vote, the committed position, truncations and purges, in one sequence of files.
///
/// Cheap to clone; all clones are one log. A thread of its own writes: it takes everything that waits, writes it with one
/// call, syncs once if anything in it asks for that, then runs the callbacks in order. What need not be synced is written by
/// whoever appends it, if nothing waits. Operations are visible to readers as soon as the method returns, and stored when the
/// callback says so.
///
/// When the last clone is dropped without [`close`](Self::close), the log behaves as if the process had been killed.
///
/// The directory must not be open twice; [`DataDir`](crate::data_dir::DataDir) sees to that.
///
/// # Errors
/// Methods that write return [`LogError::Poisoned`] after an I/O error and [`LogError::Closed`] after `close`. If a
/// method returns an error, nothing happened and its callback is dropped without being called.
#[derive(Clone)]
pub struct RaftLog {
    owner: Arc<Owner>,
}

/// Ends the writer thread with the last handle.
struct Owner {
    shared: Arc<Shared>,
    /// `None`: a log without a disc.
    disc: Option<OnDisc>,
}

struct OnDisc {
    writer: Arc<Mutex<Writer>>,
    thread: Box<dyn Running>,
}

impl RaftLog {
    /// Opens the log in `dir`, which is created if need be.
    ///
    /// # Errors
    /// [`LogError::Corrupt`], [`LogError::MissingSegment`] and [`LogError::NewerFormat`] if the log cannot be trusted or
    /// understood; nothing is changed then.
    pub fn open(dir: &Path, options: LogOptions) -> Result<(Self, Recovered), LogError> {
        create_dir(dir, &options)?;
        let mut replayed = recovery::recover(dir, &options)?;
        if replayed.spans.is_empty() {
            create_first_segment(dir, &options, &mut replayed)?;
        }
        let recovered = describe(&replayed);
        let marks = replayed.marks();
        let Replayed { table, vote, committed, mut spans, .. } = replayed;
        let shared = Arc::new(Shared::new(table, vote, committed, options.queue_bytes));
        let mut state = shared.lock();
        state.segments = spans.iter().map(|(&number, span)| (number, Arc::clone(&span.segment))).collect();
        state.segment_bytes = spans.values().map(|span| span.end).sum();
        let (number, current) =
            spans.pop_last().expect("the first segment was created above if there was none");
        state.synced = SyncedMark { segment: number, offset: current.end };
        state.segment_room = options.segment_bytes().saturating_sub(current.end);
        drop(state);
        let threads = Arc::clone(&options.threads);
        let mut writer = Writer::new(dir.to_owned(), options, Arc::clone(&shared), marks, current, spans);
        // A crash may have come between a purge and the removal of what it freed.
        writer.drop_purged_segments()?;
        let writer = Arc::new(Mutex::new(writer));
        let work = WriterThread { shared: Arc::clone(&shared), writer: Arc::clone(&writer) };
        let started = threads.start("raft-log", Box::new(work));
        let thread = started.map_err(|error| LogError::io(dir, "start a thread for", 0, error))?;
        let disc = OnDisc { writer, thread };
        Ok((Self { owner: Arc::new(Owner { shared, disc: Some(disc) }) }, recovered))
    }

    /// A log for a node without a disc: the same contract, but it has no files and forgets everything when it is dropped.
    /// It has no thread either: callbacks run, in order, on the threads that call it.
    #[must_use]
    pub fn in_memory(options: LogOptions) -> Self {
        let shared = Arc::new(Shared::new(EntryTable::default(), None, None, options.queue_bytes));
        Self { owner: Arc::new(Owner { shared, disc: None }) }
    }

    /// Appends entries, which must follow on. Readable when it returns; `done` is called when they are stored as their class
    /// demands, and never before the callback of an operation that came earlier: by the log's thread, or by this one before
    /// this returns, so the caller holds no lock that `done` takes. An empty list is a place in that order.
    ///
    /// # Errors
    /// [`LogError::NotContiguous`], [`LogError::TooLarge`].
    pub fn append(&self, entries: Vec<(LogEntry, Durability)>, done: OnDone) -> Result<(), LogError> {
        self.submit(Change::Append(entries), done)
    }

    /// Saves the vote. Visible when it returns; `done` is called when it is synced.
    ///
    /// # Errors
    /// [`LogError::TooLarge`].
    pub fn save_vote(&self, vote: Bytes, done: OnDone) -> Result<(), LogError> {
        self.submit(Change::Vote(vote), done)
    }

    /// The last vote handed to [`save_vote`](Self::save_vote), synced or not.
    #[must_use]
    pub fn vote(&self) -> Option<Bytes> {
        self.lock().vote.clone()
    }

    /// Notes up to where the log is committed. Costs nothing: it rides in the next group that is written, and is written on
    /// close, or with an empty [`append`](Self::append). After a crash [`committed`](Self::committed) may be older than this, never newer.
    pub fn set_committed(&self, committed: Position) {
        self.lock().committed = Some(committed);
    }

    /// The last committed position noted, or recovered.
    #[must_use]
    pub fn committed(&self) -> Option<Position> {
        self.lock().committed
    }

    /// Removes all entries behind index `last`, or all entries. `done` is called when that is synced.
    ///
    /// # Errors
    /// [`LogError::TruncatesPurged`].
    pub fn truncate_after(&self, last: Option<u64>, done: OnDone) -> Result<(), LogError> {
        self.submit(Change::TruncateAfter(last), done)
    }

    /// Gives up all entries up to `upto`, which may lie behind the last one. Whole segments are deleted when nothing in them
    /// is needed any more; the position itself is exact. `done` is called when it is synced. Purging less than is
    /// purged already changes nothing.
    ///
    /// # Errors
    /// See the type.
    pub fn purge(&self, upto: Position, done: OnDone) -> Result<(), LogError> {
        self.submit(Change::Purge(upto), done)
    }

    /// Drops all entries and goes on behind `purged`: for a snapshot that lies ahead of the log, or that contradicts it.
    /// Unlike [`purge`](Self::purge) it also drops entries behind `purged`. `done` is called when that is synced.
    ///
    /// # Errors
    /// See the type.
    pub fn reset(&self, purged: Position, done: OnDone) -> Result<(), LogError> {
        self.submit(Change::Reset(purged), done)
    }

    /// Calls `done` when everything that was handed in before is synced, whatever its class.
    ///
    /// # Errors
    /// See the type.
    pub fn sync(&self, done: OnDone) -> Result<(), LogError> {
        self.submit(Change::Sync, done)
    }

    /// The entries of `range` that are there, in order, without gaps: as many as fit `bytes_max` of payload, but at least one
    /// if there is any. Recent ones come from memory, older ones from the files, verified.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] names the file and the offset of an entry that is not what was written.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogEntry>, LogError> {
        let state = self.lock();
        if let Some(cause) = &state.failure {
            return Err(LogError::Poisoned { cause: Arc::clone(cause) });
        }
        let found = state.table.find(range, bytes_max);
        // Holding the files keeps them readable should a purge remove them meanwhile.
        let all_cached = found.iter().all(|entry| entry.payload.is_some());
        let segments = if all_cached { Default::default() } else { state.segments.clone() };
        drop(state);
        reader::load(found, &segments)
    }

    /// The position of the entry at an index, or of the purge if that is its index. Never reads the disc.
    #[must_use]
    pub fn position_at(&self, index: u64) -> Option<Position> {
        self.lock().table.position_at(index)
    }

    /// Which entries there are.
    #[must_use]
    pub fn bounds(&self) -> LogBounds {
        let state = self.lock();
        LogBounds { purged: state.table.outline().purged, last: state.table.last() }
    }

    /// What the log weighs, in bytes: its files up to where they are written, or its payloads in memory.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let state = self.lock();
        if self.owner.disc.is_some() { state.segment_bytes } else { state.table.payload_bytes() }
    }

    /// The error that has stopped the log, if there was one.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<LogError>> {
        self.lock().failure.clone()
    }

    /// What the log has done since it was opened.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        self.lock().stats
    }

    /// Up to where the files are synced. For crash tests, with
    /// [`simulate_power_loss`](super::simulate_power_loss).
    #[doc(hidden)]
    #[must_use]
    pub fn synced(&self) -> SyncedMark {
        self.lock().synced
    }

    /// Writes and syncs what waits, ends the log with a mark and stops the writer thread. Further calls do nothing.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] if the log had failed before, or fails now.
    pub fn close(&self) -> Result<(), LogError> {
        match self.submit(Change::Close, Box::new(|_| {})) {
            Ok(()) | Err(LogError::Closed | LogError::Poisoned { .. }) => {}
            Err(error) => return Err(error),
        }
        self.owner.join();
        match &self.lock().failure {
            Some(cause) => Err(LogError::Poisoned { cause: Arc::clone(cause) }),
            None => Ok(()),
        }
    }

    /// Stops the log as if the process had been killed, although other handles still exist: what waits is lost, callbacks
    /// are not called, and further writes are refused. For crash tests.
    #[doc(hidden)]
    pub fn abandon(&self) {
        self.owner.shared.abandon();
        self.owner.join();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, super::shared::State> {
        self.owner.shared.lock()
    }

    fn submit(&self, change: Change, done: OnDone) -> Result<(), LogError> {
        let Some(disc) = &self.owner.disc else { return self.owner.shared.submit_in_memory(change, done) };
        if let Some(group) = self.owner.shared.submit(change, done, disc.thread.as_ref())? {
            lock(&disc.writer).write_in_callers_thread(group);
        }
        Ok(())
    }
}

impl fmt::Debug for RaftLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftLog").field("bounds", &self.bounds()).finish_non_exhaustive()
    }
}

impl Owner {
    /// Waits for the end of the writer thread, unless this thread is the one that writes, in a callback.
    fn join(&self) {
        if let Some(disc) = self.disc.as_ref().filter(|_| !self.shared.is_written_here()) {
            disc.thread.join();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.shared.lock().phase == Phase::Open {
            self.shared.abandon();
        }
        self.join();
    }
}

fn create_dir(dir: &Path, options: &LogOptions) -> Result<(), LogError> {
    let files = options.disc.files();
    if files.is_dir(dir) {
        return Ok(());
    }
    files.create_dir_all(dir).map_err(|error| LogError::io(dir, "create", 0, error))?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => segment::sync_dir(parent, options.disc.as_ref()),
        None => Ok(()),
    }
}

fn create_first_segment(dir: &Path, options: &LogOptions, replayed: &mut Replayed) -> Result<(), LogError> {
    let header = SegmentHeader { number: 1, next_index: None, previous_end: 0 };
    let (segment, end) =
        segment::create(dir, header, &Marks::default(), options.segment_bytes(), options.disc.as_ref())?;
    replayed.spans.insert(1, SegmentSpan { segment: Arc::new(segment), end, lowest_index: None });
    Ok(())
}

fn describe(replayed: &Replayed) -> Recovered {
    let table = &replayed.table;
    Recovered {
        entries: table.len() as u64,
        first: table.first(),
        last: table.last().filter(|_| table.len() > 0),
        purged: table.outline().purged,
        segments: replayed.spans.len(),
        cut: replayed.cut.clone(),
    }
}
