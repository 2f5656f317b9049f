//! What writes a log: group by group, one write and at most one sync each. A thread does it, or, where a write is all
//! there is to do and nothing else waits, whoever asks for it: two threads need not wake each other then.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::end_mark::{EndMark, Reach};
use super::entry::SyncedMark;
use super::frame::{FrameBuilder, FrameHeader};
use super::outline::Outline;
use super::record::Record;
use super::recovery::SegmentSpan;
use super::segment::{self, Marks, SegmentHeader};
use super::shared::{Change, Group, Operation, Shared, Taken};
use super::{LogError, LogOptions};
use crate::disc::DiscUse;
use crate::position::Position;
use crate::threads::{Turn, Worker};

/// Groups up to this size get zeros written ahead of them.
const ZERO_AHEAD_FRAME_BYTES_MAX: u64 = 64 * 1024;
/// How far ahead. Reserved but never written space costs a metadata update at each sync; space that holds zeros does
/// not. Writing zeros in large steps makes small synced groups about a third faster; large groups would not gain.
const ZERO_AHEAD_BYTES: u64 = 1024 * 1024;

/// A write in a caller's thread that takes longer shows that the disc makes its writers wait.
const SLOW: Duration = Duration::from_millis(2);
/// So many groups are then left to the writer thread.
const SLOW_GROUPS: u32 = 1_000;

/// The only one that touches the files' content, on behalf of whoever has taken a group.
pub(super) struct Writer {
    dir: PathBuf,
    options: LogOptions,
    shared: Arc<Shared>,
    frame: FrameBuilder,
    /// The state of the log up to the last group written; the handles may be ahead of it.
    marks: Marks,
    /// Finished segments that are still needed, by number.
    finished: BTreeMap<u64, SegmentSpan>,
    current: SegmentSpan,
    capacity: u64,
    /// Up to where the current segment is synced. Invariant: `synced_to <= current.end`.
    synced_to: u64,
    /// Up to where zeros (or frames) are known to have been written. Invariant: `current.end <= zeroed_to`.
    zeroed_to: u64,
    end_mark: EndMark,
}

/// An entry of the group in hand, and where in its frame it begins.
struct Placed {
    operation: u64,
    index: u64,
    at: u64,
}

impl Writer {
    pub(super) fn new(
        dir: PathBuf,
        options: LogOptions,
        shared: Arc<Shared>,
        marks: Marks,
        current: SegmentSpan,
        finished: BTreeMap<u64, SegmentSpan>,
    ) -> Self {
        let end = current.end;
        let capacity = options.segment_bytes();
        let frame = FrameBuilder::default();
        let reached = SyncedMark { segment: current.segment.number, offset: end };
        let reach = Reach { written: reached, synced: reached };
        let end_mark = EndMark::open(&dir, options.disc.as_ref(), reach);
        Self {
            dir,
            options,
            shared,
            frame,
            marks,
            finished,
            current,
            capacity,
            synced_to: end,
            zeroed_to: end,
            end_mark,
        }
    }

    /// Writes a group and runs its callbacks in order. Panics of callbacks are caught one by one, so one here would be a
    /// bug of ours. Nobody may wait for ever then: dropping the callbacks wakes whoever waits for them.
    pub(super) fn write_taken(&mut self, group: Group) -> Result<(), LogError> {
        let written = catch_unwind(AssertUnwindSafe(|| self.write(group))).unwrap_or_else(|_| {
            self.shared.fail(LogError::WriterPanicked);
            drop(self.shared.take_all());
            Err(LogError::WriterPanicked)
        });
        self.shared.written();
        written
    }

    /// As [`Writer::write_taken`], in the thread of whoever asked for it. A disc that makes that wait is left to the
    /// writer thread for a while.
    pub(super) fn write_in_callers_thread(&mut self, group: Group) {
        let began = Instant::now();
        let written = self.write_taken(group);
        if written.is_ok() && began.elapsed() > SLOW {
            self.shared.lock().slow_groups = SLOW_GROUPS;
        }
    }

    /// Writes a group and runs its callbacks in order. Fails only after everyone concerned has been told.
    fn write(&mut self, group: Group) -> Result<(), LogError> {
        let purges =
            group.operations.iter().any(|op| matches!(op.change, Change::Purge(_) | Change::Reset(_)));
        let Group { mut operations, committed } = group;
        let written = self.write_frame(&operations, committed);
        self.report(&written, &mut operations, |operation| operation.needs_sync)?;
        if operations.is_empty() {
            return Ok(());
        }
        let synced = self.sync().and_then(|()| self.mark_close(&operations));
        self.report(&synced, &mut operations, |_| false)?;
        if purges {
            let dropped = self.drop_purged_segments();
            self.report(&dropped, &mut operations, |_| false)?;
        }
        Ok(())
    }

    /// Runs the callbacks of all operations before the first that must wait longer. If a step failed nobody waits
    /// longer: the group is told why, what is queued behind it learns that the log is poisoned.
    fn report(
        &self,
        outcome: &Result<(), LogError>,
        operations: &mut Vec<Operation>,
        must_wait: fn(&Operation) -> bool,
    ) -> Result<(), LogError> {
        let ready = match outcome {
            Ok(()) => operations.iter().position(must_wait).unwrap_or(operations.len()),
            Err(_) => operations.len(),
        };
        if let Err(error) = outcome {
            // The failure is visible before the first callback runs, so that none of them finds the log still working.
            self.shared.fail(error.clone());
        }
        let mut all_returned = true;
        for operation in operations.drain(..ready) {
            all_returned &= tell(operation, outcome.clone());
        }
        let failure = outcome.clone().err().or_else(|| (!all_returned).then_some(LogError::CallbackPanicked));
        let Some(error) = failure else { return Ok(()) };
        self.shared.fail(error.clone());
        let poisoned = LogError::Poisoned { cause: Arc::new(error.clone()) };
        for operation in operations.drain(..).chain(self.shared.take_all()) {
            tell(operation, Err(poisoned.clone()));
        }
        Err(error)
    }

    /// One write call for the whole group.
    fn write_frame(&mut self, operations: &[Operation], committed: Option<Position>) -> Result<(), LogError> {
        let placed = self.encode(operations);
        // A group without content still carries a committed position that no frame has carried yet.
        if self.frame.is_empty() && committed == self.marks.committed {
            return Ok(());
        }
        let synced = operations.iter().any(|operation| operation.needs_sync);
        let offset = self.put_frame(committed, synced)?;
        for operation in operations {
            follow(&mut self.marks, &operation.change);
        }
        self.marks.committed = committed;
        if let Some(lowest) = placed.iter().map(|entry| entry.index).min() {
            self.current.lowest_index = Some(self.current.lowest_index.unwrap_or(u64::MAX).min(lowest));
        }
        let mut state = self.shared.lock();
        for entry in &placed {
            state.table.stored(entry.operation, entry.index, self.current.segment.number, offset + entry.at);
        }
        state.table.evict(self.options.cache_bytes);
        state.stats.entries += placed.len() as u64;
        Ok(())
    }

    /// Fills the frame with the group's records.
    fn encode(&mut self, operations: &[Operation]) -> Vec<Placed> {
        self.frame.clear();
        let mut placed = Vec::new();
        for operation in operations {
            match &operation.change {
                Change::Append(entries) => {
                    for (entry, _) in entries {
                        let record = Record::Entry { position: entry.position, payload: &entry.payload };
                        let at = self.frame.push(&record);
                        placed.push(Placed { operation: operation.number, index: entry.position.index, at });
                    }
                }
                Change::Vote(vote) => _ = self.frame.push(&Record::Vote(vote)),
                Change::TruncateAfter(kept) => _ = self.frame.push(&Record::TruncateAfter(*kept)),
                Change::Purge(upto) => _ = self.frame.push(&Record::Purged(*upto)),
                Change::Reset(purged) => _ = self.frame.push(&Record::Reset(*purged)),
                Change::Sync | Change::Close => {}
            }
        }
        placed
    }

    /// Writes the frame in hand at the end of the log, in a new segment if it does not fit, and says where it begins.
    fn put_frame(&mut self, committed: Option<Position>, synced: bool) -> Result<u64, LogError> {
        let frame_bytes = self.frame.frame_bytes();
        if self.current.end + frame_bytes > self.capacity {
            self.start_next_segment(frame_bytes)?;
        }
        let offset = self.current.end;
        let segment = &self.current.segment;
        let header =
            FrameHeader { segment: segment.number, offset, durable_to: self.synced_to, committed, synced };
        let bytes = self.frame.finish(&header);
        self.options
            .disc
            .before_write(DiscUse::Log, bytes.len())
            .and_then(|()| segment.file.write_all_at(bytes, offset))
            .map_err(|error| LogError::io(&segment.path, "write", frame_bytes, error))?;
        self.current.end += frame_bytes;
        if synced && frame_bytes <= ZERO_AHEAD_FRAME_BYTES_MAX {
            self.zero_ahead()?;
        }
        self.zeroed_to = self.zeroed_to.max(self.current.end);
        let mut state = self.shared.lock();
        state.segment_room = self.capacity.saturating_sub(self.current.end);
        state.stats.groups += 1;
        state.stats.bytes += frame_bytes;
        state.segment_bytes += frame_bytes;
        Ok(offset)
    }

    fn zero_ahead(&mut self) -> Result<(), LogError> {
        if self.current.end <= self.zeroed_to {
            return Ok(());
        }
        let end = (self.current.end + ZERO_AHEAD_BYTES).min(self.capacity);
        let zeros = vec![0; usize::try_from(end.saturating_sub(self.current.end)).unwrap_or(0)];
        let segment = &self.current.segment;
        segment
            .file
            .write_all_at(&zeros, self.current.end)
            .map_err(|error| LogError::io(&segment.path, "write", zeros.len() as u64, error))?;
        self.zeroed_to = end;
        Ok(())
    }

    /// Makes everything written so far durable; a no-op if it is. A failed sync is never tried again: the page cache may
    /// have dropped what it could not write, and the next sync would succeed without it.
    fn sync(&mut self) -> Result<(), LogError> {
        if self.synced_to == self.current.end {
            return Ok(());
        }
        let segment = &self.current.segment;
        self.options
            .disc
            .before_sync(DiscUse::Log)
            .and_then(|()| segment.file.sync_data())
            .map_err(|error| LogError::io(&segment.path, "sync", 0, error))?;
        self.synced_to = self.current.end;
        self.publish_synced();
        Ok(())
    }

    fn publish_synced(&self) {
        let mut state = self.shared.lock();
        state.stats.syncs += 1;
        state.synced = SyncedMark { segment: self.current.segment.number, offset: self.synced_to };
    }

    /// Ends the log with an empty frame, if it is being closed. It carries the committed position, and says that all
    /// before it is durable: from now on any damage there is seen to be damage and not a torn tail.
    fn mark_close(&mut self, operations: &[Operation]) -> Result<(), LogError> {
        if !operations.iter().any(|operation| matches!(operation.change, Change::Close)) {
            return Ok(());
        }
        self.frame.clear();
        let committed = self.shared.lock().committed;
        self.put_frame(committed, true)?;
        self.sync()?;
        self.note_end();
        self.end_mark.sync(self.options.disc.as_ref());
        Ok(())
    }

    fn note_end(&mut self) {
        let segment = self.current.segment.number;
        let mark = |offset| SyncedMark { segment, offset };
        self.end_mark.note(Reach { written: mark(self.current.end), synced: mark(self.synced_to) });
    }

    /// Finishes the current segment and begins the next one, large enough for a frame of the given size.
    ///
    /// The unsafe order is to begin the next one and to sync the old one some time later: after a power loss there may
    /// be a hole in the middle of the log with synced entries behind it. The safe order: cut the old one to its length
    /// and sync it; only then create the next, which repeats all marks.
    fn start_next_segment(&mut self, frame_bytes: u64) -> Result<(), LogError> {
        let old = Arc::clone(&self.current.segment);
        self.options
            .disc
            .before_sync(DiscUse::Segment)
            .and_then(|()| old.file.set_len(self.current.end))
            .and_then(|()| old.file.sync_all())
            .map_err(|error| LogError::io(&old.path, "finish", 0, error))?;
        self.synced_to = self.current.end;
        self.publish_synced();

        let header = SegmentHeader {
            number: old.number + 1,
            next_index: self.marks.outline.next,
            previous_end: self.current.end,
        };
        let vote_bytes = self.marks.vote.as_ref().map_or(0, |vote| vote.len() as u64);
        let opening_bytes_max = 512 + vote_bytes;
        self.capacity = self.options.segment_bytes().max(frame_bytes + opening_bytes_max);
        let disc = self.options.disc.as_ref();
        let (segment, end) = segment::create(&self.dir, header, &self.marks, self.capacity, disc)?;
        let segment = Arc::new(segment);
        let span = SegmentSpan { segment: Arc::clone(&segment), end, lowest_index: None };
        self.finished.insert(old.number, std::mem::replace(&mut self.current, span));
        (self.synced_to, self.zeroed_to) = (end, end);
        let mut state = self.shared.lock();
        state.synced = SyncedMark { segment: segment.number, offset: end };
        state.segments.insert(segment.number, segment);
        state.segment_bytes += end;
        Ok(())
    }

    /// Deletes the segments at the front that hold nothing but purged entries. The purge mark is durable by now: in the
    /// other order a crash would leave a log that lacks entries it does not know to be purged. Oldest first, so that a
    /// crash in between leaves no gap.
    pub(super) fn drop_purged_segments(&mut self) -> Result<(), LogError> {
        let unneeded = unneeded_segments(&self.finished, &self.current, self.marks.outline);
        if unneeded.is_empty() {
            return Ok(());
        }
        for number in unneeded {
            let Some(span) = self.finished.remove(&number) else { continue };
            self.options
                .disc
                .before_write(DiscUse::Segment, 0)
                .map_err(|error| LogError::io(&span.segment.path, "remove", 0, error))?;
            segment::remove(&span.segment, self.options.disc.files())?;
            let mut state = self.shared.lock();
            state.segments.remove(&number);
            state.segment_bytes -= span.end;
        }
        segment::sync_dir(&self.dir, self.options.disc.as_ref())
    }
}

/// The thread's part: it writes what nobody has written at once.
pub(super) struct WriterThread {
    pub(super) shared: Arc<Shared>,
    pub(super) writer: Arc<Mutex<Writer>>,
}

impl Worker for WriterThread {
    /// Writes the next group. Ends when the log is closed, abandoned or has failed.
    fn turn(&mut self, waits: bool) -> Turn {
        let mut taken = self.shared.take_group(false);
        if matches!(taken, Taken::Nothing) {
            // Nobody waits for this. While groups follow each other the next one shows that this one was written.
            lock(&self.writer).note_end();
            taken = self.shared.take_group(waits);
        }
        let group = match taken {
            Taken::Group(group) => group,
            Taken::Nothing => return Turn::Idle,
            Taken::Abandoned => return Turn::Ended,
        };
        let closing = group.operations.iter().any(|operation| matches!(operation.change, Change::Close));
        let written = lock(&self.writer).write_taken(group);
        if written.is_err() || closing { Turn::Ended } else { Turn::Worked }
    }
}

/// A panic while it was locked has stopped the log, which [`Shared`] remembers.
pub(super) fn lock(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a callback; false if it panicked. One caller's bug must not leave the others waiting for ever.
fn tell(operation: Operation, outcome: Result<(), LogError>) -> bool {
    catch_unwind(AssertUnwindSafe(|| (operation.done)(outcome))).is_ok()
}

/// The segments before the last one from which on all entries that count were appended. Entries of ascending index stand
/// in segments of ascending number, so the segment that saw the first entry that is not purged, last, is that one.
fn unneeded_segments(
    finished: &BTreeMap<u64, SegmentSpan>,
    current: &SegmentSpan,
    outline: Outline,
) -> Vec<u64> {
    let Some(purged) = outline.purged else { return Vec::new() };
    let first_live = purged.index.saturating_add(1);
    let nothing_live = outline.next == Some(first_live);
    let begins_here = |span: &SegmentSpan| span.lowest_index.is_some_and(|lowest| lowest <= first_live);
    let keep_from = std::iter::once(current)
        .chain(finished.values().rev())
        .find(|span| nothing_live || begins_here(span))
        .map_or(0, |span| span.segment.number);
    finished.range(..keep_from).map(|(&number, _)| number).collect()
}

/// Carries a written change over to the marks, which the next segment will repeat.
fn follow(marks: &mut Marks, change: &Change) {
    let outline = &mut marks.outline;
    match change {
        Change::Append(entries) => {
            if let Some((last, _)) = entries.last() {
                outline.append(last.position.index);
            }
        }
        Change::Vote(vote) => marks.vote = Some(vote.clone()),
        Change::TruncateAfter(kept) => outline.truncate_after(*kept),
        Change::Purge(upto) => outline.purge(*upto),
        Change::Reset(purged) => outline.reset(*purged),
        Change::Sync | Change::Close => {}
    }
}
