//! What the handles of a log and whoever writes it share, and the queue between them.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use bytes::Bytes;

use super::entry::{LogStats, SyncedMark};
use super::record::{PAYLOAD_BYTES_MAX, RECORD_HEADER_BYTES};
use super::segment::Segment;
use super::table::{EntryTable, Place};
use super::{Durability, LogEntry, LogError, OnDone};
use crate::position::Position;
use crate::threads::Running;

/// One group takes operations until it weighs this much; a single larger operation is a group of its own.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What an operation weighs in the queue beside its payload, so that empty ones are bounded too.
const OPERATION_BYTES: usize = 256;

/// Groups up to this size are written by whoever asks for them, if nothing else is to be waited for.
const WRITTEN_AT_ONCE_BYTES_MAX: usize = 128 * 1024;
/// More than what a frame needs beside its records.
const FRAME_BYTES: usize = 512;

/// What a caller asked for.
#[derive(Debug)]
pub(super) enum Change {
    Append(Vec<(LogEntry, Durability)>),
    Vote(Bytes),
    TruncateAfter(Option<u64>),
    Purge(Position),
    Reset(Position),
    /// Nothing but a place in the order: everything before it is to be synced.
    Sync,
    Close,
}

impl Change {
    /// Whether the caller waits for a sync and not only for a write.
    fn needs_sync(&self) -> bool {
        match self {
            Self::Append(entries) => entries.iter().any(|(_, durability)| *durability == Durability::Synced),
            Self::Vote(_)
            | Self::TruncateAfter(_)
            | Self::Purge(_)
            | Self::Reset(_)
            | Self::Sync
            | Self::Close => true,
        }
    }

    fn queue_bytes(&self) -> usize {
        let payload = match self {
            Self::Append(entries) => {
                entries.iter().map(|(entry, _)| entry.payload.len() + RECORD_HEADER_BYTES).sum::<usize>()
            }
            Self::Vote(vote) => vote.len(),
            _ => 0,
        };
        OPERATION_BYTES + payload
    }
}

/// A change on its way to whoever writes. In memory it has happened already.
pub(super) struct Operation {
    /// Counts up; ties entries in memory to the write that stores them.
    pub(super) number: u64,
    pub(super) change: Change,
    pub(super) needs_sync: bool,
    pub(super) done: OnDone,
    queue_bytes: usize,
}

/// What the writer writes at once.
pub(super) struct Group {
    pub(super) operations: Vec<Operation>,
    /// The committed position when the group was taken.
    pub(super) committed: Option<Position>,
}

/// What the writer finds when it looks for work.
pub(super) enum Taken {
    Group(Group),
    Nothing,
    /// Nothing is to be written any more: the log was abandoned, or has failed.
    Abandoned,
}

/// Where a log is in its life. Only ever moves downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    /// `close` was called; what waits is still written.
    Closing,
    /// Dropped or abandoned; what waits is lost, as in a kill.
    Abandoned,
}

pub(super) struct State {
    pub(super) table: EntryTable,
    pub(super) vote: Option<Bytes>,
    pub(super) committed: Option<Position>,
    pub(super) phase: Phase,
    /// The error that stopped the log.
    pub(super) failure: Option<Arc<LogError>>,
    pub(super) stats: LogStats,
    pub(super) synced: SyncedMark,
    /// By number, for readers.
    pub(super) segments: BTreeMap<u64, Arc<Segment>>,
    /// The sum of what is written in all segments.
    pub(super) segment_bytes: u64,
    queue: VecDeque<Operation>,
    queue_bytes: usize,
    operations: u64,
    /// A log without a disc: whether somebody is running callbacks already.
    running_callbacks: bool,
    /// Who has taken a group and is not done with it: nobody else takes one meanwhile, so groups are written in order.
    writing: Option<ThreadId>,
    /// What still fits into the current segment.
    pub(super) segment_room: u64,
    /// How many more groups only the writer thread writes, since the disc was slow.
    pub(super) slow_groups: u32,
}

/// See the module. Lock order: there is one lock, and no callback runs under it.
pub(super) struct Shared {
    state: Mutex<State>,
    /// There is something in the queue, or the phase has changed.
    work: Condvar,
    /// There is room in the queue again, or the phase has changed.
    room: Condvar,
    queue_bytes_max: usize,
}

impl Shared {
    pub(super) fn new(
        table: EntryTable,
        vote: Option<Bytes>,
        committed: Option<Position>,
        queue_bytes_max: usize,
    ) -> Self {
        let state = State {
            table,
            vote,
            committed,
            phase: Phase::Open,
            failure: None,
            stats: LogStats::default(),
            synced: SyncedMark { segment: 0, offset: 0 },
            segments: BTreeMap::new(),
            segment_bytes: 0,
            queue: VecDeque::new(),
            queue_bytes: 0,
            operations: 0,
            running_callbacks: false,
            writing: None,
            segment_room: 0,
            slow_groups: 0,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), room: Condvar::new(), queue_bytes_max }
    }

    /// Nothing under the lock panics half-way through a change, so a poisoned lock still guards a whole state.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the change visible and puts it into the queue. Blocks while the queue is full, unless the caller is in a
    /// callback of whoever writes.
    ///
    /// Returns the group if the caller is to write it in its own thread, in the writer thread's place, and to call
    /// [`Shared::written`] then: nothing else waits or is being written, nothing has to be synced, and the disc is not
    /// slow. Otherwise the writer thread sees to it.
    pub(super) fn submit(
        &self,
        change: Change,
        done: OnDone,
        writer: &dyn Running,
    ) -> Result<Option<Group>, LogError> {
        let queue_bytes = change.queue_bytes();
        let mut state = self.lock();
        while state.queue_bytes > 0
            && state.queue_bytes + queue_bytes > self.queue_bytes_max
            && state.accepts().is_ok()
            && !writer.is_current()
            && state.writing != Some(thread::current().id())
        {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let writes_here = writer.may_be_stood_in_for() && state.is_written_at_once(&change, queue_bytes);
        state.accept(change, done, queue_bytes)?;
        if writes_here {
            return Ok(Some(state.take_group()));
        }
        // Whoever writes now looks at the queue when it is done.
        let is_waited_for = state.writing.is_none();
        drop(state);
        if is_waited_for {
            self.work.notify_one();
        }
        Ok(None)
    }

    /// The same for a log without a disc: there is nothing to wait for, so the caller's thread runs the callback,
    /// unless another thread, or the callback it is in, is running them in order already.
    pub(super) fn submit_in_memory(&self, change: Change, done: OnDone) -> Result<(), LogError> {
        let queue_bytes = change.queue_bytes();
        let mut state = self.lock();
        state.accept(change, done, queue_bytes)?;
        if std::mem::replace(&mut state.running_callbacks, true) {
            return Ok(());
        }
        while let Some(operation) = state.take_next() {
            drop(state);
            let returned = catch_unwind(AssertUnwindSafe(|| (operation.done)(Ok(()))));
            state = self.lock();
            if let Err(panic) = returned {
                // The caller's bug is the caller's; whoever comes next must still run the callbacks that are left.
                state.running_callbacks = false;
                drop(state);
                resume_unwind(panic);
            }
        }
        state.running_callbacks = false;
        Ok(())
    }

    /// Takes as much of the work as fits one group; waits for it if asked to.
    pub(super) fn take_group(&self, waits: bool) -> Taken {
        let mut state = self.lock();
        while waits && !state.has_work() && !state.is_over() {
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_over() {
            return Taken::Abandoned;
        }
        if !state.has_work() {
            return Taken::Nothing;
        }
        let group = state.take_group();
        drop(state);
        self.room.notify_all();
        Taken::Group(group)
    }

    /// Whether it is this thread that writes.
    pub(super) fn is_written_here(&self) -> bool {
        self.lock().writing == Some(thread::current().id())
    }

    /// Ends what began when a group was taken: the next one may be taken now.
    pub(super) fn written(&self) {
        let mut state = self.lock();
        state.writing = None;
        state.slow_groups = state.slow_groups.saturating_sub(1);
        let (has_work, is_over) = (state.has_work(), state.is_over());
        drop(state);
        if has_work || is_over {
            self.work.notify_one();
        }
        if is_over {
            self.room.notify_all();
        }
    }

    /// Takes whatever waits; after a failure.
    pub(super) fn take_all(&self) -> Vec<Operation> {
        let mut state = self.lock();
        state.queue_bytes = 0;
        let operations = state.queue.drain(..).collect();
        drop(state);
        self.room.notify_all();
        operations
    }

    /// Stops the log for good. The first failure is the one that counts.
    pub(super) fn fail(&self, cause: LogError) {
        let mut state = self.lock();
        if state.failure.is_none() {
            tracing::error!(error = %cause, "the raft log stopped");
            state.failure = Some(Arc::new(cause));
        }
        drop(state);
        self.work.notify_all();
        self.room.notify_all();
    }

    /// As if the process had been killed: what waits is dropped.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.phase = Phase::Abandoned;
        state.queue_bytes = 0;
        let lost: Vec<Operation> = state.queue.drain(..).collect();
        drop(state);
        // Dropping a callback may run code of the caller's.
        drop(lost);
        self.work.notify_all();
        self.room.notify_all();
        // Nothing may be written after this, so a group that is being written is waited for.
        let mut state = self.lock();
        while state.writing.is_some_and(|writing| writing != thread::current().id()) {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl State {
    /// Whether the log still takes changes.
    pub(super) fn accepts(&self) -> Result<(), LogError> {
        match &self.failure {
            Some(cause) => Err(LogError::Poisoned { cause: Arc::clone(cause) }),
            None if self.phase > Phase::Open => Err(LogError::Closed),
            None => Ok(()),
        }
    }

    fn accept(&mut self, change: Change, done: OnDone, queue_bytes: usize) -> Result<(), LogError> {
        self.accepts()?;
        self.check(&change)?;
        let number = self.operations;
        self.operations += 1;
        self.apply(&change, number);
        self.queue_bytes += queue_bytes;
        let needs_sync = change.needs_sync();
        self.queue.push_back(Operation { number, change, needs_sync, done, queue_bytes });
        Ok(())
    }

    /// Whether nothing is to be written any more.
    fn is_over(&self) -> bool {
        self.phase == Phase::Abandoned || self.failure.is_some()
    }

    /// Whether whoever asks for it can write it: it has nobody to wait for, and does not wait for the disc. An empty
    /// append, which writes down the committed position after a silence, is the thread's: it notes the log's end too.
    fn is_written_at_once(&self, change: &Change, queue_bytes: usize) -> bool {
        matches!(change, Change::Append(entries) if !entries.is_empty())
            && !change.needs_sync()
            && self.queue.is_empty()
            && self.writing.is_none()
            && self.phase == Phase::Open
            && self.slow_groups == 0
            && queue_bytes <= WRITTEN_AT_ONCE_BYTES_MAX
            && (queue_bytes + FRAME_BYTES) as u64 <= self.segment_room
    }

    /// Whether there is something to be written, and nobody writes.
    fn has_work(&self) -> bool {
        !self.queue.is_empty() && self.writing.is_none()
    }

    /// Takes as much of the queue as fits one group, to be written by this thread.
    fn take_group(&mut self) -> Group {
        let mut operations = Vec::new();
        let mut bytes = 0;
        while self.queue.front().is_some_and(|next| bytes == 0 || bytes + next.queue_bytes <= GROUP_BYTES_MAX)
        {
            let Some(operation) = self.take_next() else { break };
            bytes += operation.queue_bytes;
            operations.push(operation);
        }
        self.writing = Some(thread::current().id());
        Group { operations, committed: self.committed }
    }

    fn take_next(&mut self) -> Option<Operation> {
        let operation = self.queue.pop_front()?;
        self.queue_bytes -= operation.queue_bytes;
        Some(operation)
    }

    /// Refuses what the log's order forbids, before anything has changed.
    fn check(&self, change: &Change) -> Result<(), LogError> {
        match change {
            Change::Append(entries) => {
                let mut next = self.table.outline().next;
                for (entry, _) in entries {
                    let found = entry.position;
                    check_bytes(&entry.payload)?;
                    if let Some(expected) = next.filter(|&next| next != found.index) {
                        return Err(LogError::NotContiguous { expected, found });
                    }
                    next = Some(found.index.saturating_add(1));
                }
                Ok(())
            }
            Change::Vote(vote) => check_bytes(vote),
            Change::TruncateAfter(kept) => match (self.table.outline().purged, *kept) {
                (Some(purged), kept) if kept.is_none_or(|kept| kept < purged.index) => {
                    Err(LogError::TruncatesPurged { kept, purged })
                }
                _ => Ok(()),
            },
            Change::Purge(_) | Change::Reset(_) | Change::Sync | Change::Close => Ok(()),
        }
    }

    fn apply(&mut self, change: &Change, number: u64) {
        match change {
            Change::Append(entries) => {
                for (entry, _) in entries {
                    self.table.push(entry, Place::Waiting(number));
                }
            }
            Change::Vote(vote) => self.vote = Some(vote.clone()),
            Change::TruncateAfter(kept) => self.table.truncate_after(*kept),
            Change::Purge(upto) => self.table.purge(*upto),
            Change::Reset(purged) => self.table.reset(*purged),
            Change::Sync => {}
            Change::Close => self.phase = Phase::Closing,
        }
    }
}

fn check_bytes(payload: &Bytes) -> Result<(), LogError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(LogError::TooLarge { bytes: payload.len() as u64, bytes_max: PAYLOAD_BYTES_MAX as u64 });
    }
    Ok(())
}
