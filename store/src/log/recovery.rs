//! Opening a log: replay every frame, tell a torn tail from damage, make what was found durable.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::end_mark;
use super::entry::{SyncedMark, TornTail};
use super::frame::{FORMAT_VERSION, Frame, FrameFault, ends_with_trailer};
use super::record::Record;
use super::segment::{self, Marks, SEGMENT_HEADER_BYTES, Segment, SegmentHeader};
use super::table::{EntryTable, Place};
use super::{LogEntry, LogError, LogOptions};
use crate::disc::DiscUse;
use crate::position::Position;

/// One segment as recovery or the writer knows it.
#[derive(Debug)]
pub(super) struct SegmentSpan {
    pub(super) segment: Arc<Segment>,
    /// Where its last frame ends.
    pub(super) end: u64,
    /// The lowest index of an entry that was ever appended in it.
    pub(super) lowest_index: Option<u64>,
}

/// What the files said.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    pub(super) table: EntryTable,
    pub(super) vote: Option<Bytes>,
    pub(super) committed: Option<Position>,
    /// By number; the last one is being written. Empty: there is no log yet.
    pub(super) spans: BTreeMap<u64, SegmentSpan>,
    pub(super) cut: Option<TornTail>,
    /// Up to where the log must reach, as was noted beside it.
    least: Option<SyncedMark>,
}

impl Replayed {
    pub(super) fn marks(&self) -> Marks {
        Marks { outline: self.table.outline(), vote: self.vote.clone(), committed: self.committed }
    }
}

/// Replays the log in `dir`. Afterwards everything that was found is durable: what a killed process had written but
/// not synced was seen by this recovery, hence may be acted on, so it must not vanish later.
pub(super) fn recover(dir: &Path, options: &LogOptions) -> Result<Replayed, LogError> {
    let numbers = segment::list(dir, options.disc.files())?;
    for (number, following) in numbers.iter().zip(numbers.iter().skip(1)) {
        if number + 1 != *following {
            return Err(LogError::MissingSegment { dir: dir.to_owned(), number: number + 1 });
        }
    }
    let least = end_mark::least(dir, options)?;
    if let Some(SyncedMark { segment: number, .. }) = least
        && numbers.last().is_none_or(|last| *last < number)
    {
        return Err(LogError::MissingSegment { dir: dir.to_owned(), number });
    }
    let mut replayed = Replayed { least, ..Replayed::default() };
    let mut files = numbers.iter().map(|&number| load(dir, number, options)).peekable();
    while let Some(file) = files.next() {
        let file = file?;
        // A segment's successor says where it ends; one read ahead is one segment more in memory.
        let must_end = match files.peek() {
            Some(Ok(successor)) => Some(successor.header.previous_end),
            Some(Err(error)) => return Err(error.clone()),
            None => None,
        };
        replayed.replay(file, must_end, options)?;
    }
    if let (Some(&first), Some(missing)) =
        (numbers.first(), numbers.first().and_then(|first| first.checked_sub(1)))
        && !replayed.reaches_back_far_enough(first)
    {
        return Err(LogError::MissingSegment { dir: dir.to_owned(), number: missing });
    }
    Ok(replayed)
}

struct LoadedSegment {
    segment: Segment,
    header: SegmentHeader,
    bytes: Vec<u8>,
}

fn load(dir: &Path, number: u64, options: &LogOptions) -> Result<LoadedSegment, LogError> {
    let segment = segment::open(dir, number, options.disc.as_ref())?;
    if options.machine_crashed {
        // The disc may have failed, and not the machine: then the cache holds what the disc does not.
        segment.file.drop_cache().map_err(|error| LogError::io(&segment.path, "read", 1, error))?;
    }
    let bytes = options
        .disc
        .files()
        .read(&segment.path)
        .map_err(|error| LogError::io(&segment.path, "read", 0, error))?;
    let header = SegmentHeader::decode(&segment.path, &bytes)?;
    if header.number != number {
        let reason = format!("the file's name says segment {number}, its header says {}", header.number);
        return Err(LogError::corrupt(&segment.path, 0, reason));
    }
    Ok(LoadedSegment { segment, header, bytes })
}

impl Replayed {
    fn replay(
        &mut self,
        file: LoadedSegment,
        must_end: Option<u64>,
        options: &LogOptions,
    ) -> Result<(), LogError> {
        let LoadedSegment { segment, header, bytes } = file;
        let path = segment.path.as_path();
        if self.spans.is_empty() {
            self.table = EntryTable::starting_at(header.next_index);
        } else if self.table.outline().next != header.next_index {
            return Err(LogError::corrupt(path, 0, "the segment does not continue its predecessor"));
        }
        let mut span =
            SegmentSpan { segment: Arc::new(segment), end: SEGMENT_HEADER_BYTES as u64, lowest_index: None };
        let path = span.segment.path.clone();
        let fault = loop {
            match Frame::at(&bytes, header.number, span.end) {
                Ok(frame) => {
                    self.replay_frame(&path, &frame, &mut span, options)?;
                    span.end = frame.end;
                }
                Err(fault) => break fault,
            }
            if must_end == Some(span.end) {
                break FrameFault::Invalid("the segment is longer than its successor says");
            }
        };
        if let FrameFault::Newer(found) = fault {
            return Err(LogError::NewerFormat {
                file: path,
                found: found.into(),
                known: FORMAT_VERSION.into(),
            });
        }
        let tail = Tail::new(&path, &bytes, header.number, span.end, fault);
        match must_end {
            Some(end) if end == span.end && tail.is_blank() => {}
            Some(_) => return Err(tail.corrupt()),
            None => {
                self.cut = tail.judge(options.machine_crashed)?;
                tail.reaches(self.least)?;
                settle(&span, bytes.len() as u64, self.cut.as_ref(), options)?;
            }
        }
        self.spans.insert(header.number, span);
        Ok(())
    }

    fn replay_frame(
        &mut self,
        path: &Path,
        frame: &Frame<'_>,
        span: &mut SegmentSpan,
        options: &LogOptions,
    ) -> Result<(), LogError> {
        for record in frame.records() {
            let (record, offset) =
                record.map_err(|reason| LogError::corrupt(path, frame.header.offset, reason))?;
            match record {
                Record::Entry { position, payload } => {
                    if self.table.outline().next.is_some_and(|next| next != position.index) {
                        return Err(LogError::corrupt(
                            path,
                            offset,
                            format!("entry {position} does not follow on"),
                        ));
                    }
                    let place = Place::Stored { segment: span.segment.number, offset };
                    self.table.push(&LogEntry { position, payload: Bytes::copy_from_slice(payload) }, place);
                    span.lowest_index = Some(span.lowest_index.unwrap_or(u64::MAX).min(position.index));
                }
                Record::Vote(vote) => self.vote = Some(Bytes::copy_from_slice(vote)),
                Record::TruncateAfter(kept) => self.table.truncate_after(kept),
                Record::Purged(upto) => self.table.purge(upto),
                Record::Reset(purged) => self.table.reset(purged),
            }
        }
        self.table.evict(options.cache_bytes);
        // A committed position may have been announced ahead of its entry; it counts from when the entry is there.
        let last = self.table.last();
        if let Some(committed) = frame.header.committed
            && last.is_some_and(|last| committed.index <= last.index)
        {
            self.committed = Some(committed);
        }
        Ok(())
    }

    /// Whether all entries that should be there are: earlier segments may only be gone if theirs are purged.
    fn reaches_back_far_enough(&self, first_segment: u64) -> bool {
        match (self.table.outline().purged, self.table.first_index()) {
            (Some(purged), Some(first)) => first == purged.index.saturating_add(1),
            _ => first_segment == 1,
        }
    }
}

/// What follows the last valid frame of a segment.
struct Tail<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    segment: u64,
    offset: u64,
    fault: FrameFault,
    /// The bytes from `offset` up to the last one that is not zero.
    written: &'a [u8],
}

impl<'a> Tail<'a> {
    fn new(path: &'a Path, bytes: &'a [u8], segment: u64, offset: u64, fault: FrameFault) -> Self {
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        Self { path, bytes, segment, offset, fault, written: without_trailing_zeros(rest) }
    }

    fn is_blank(&self) -> bool {
        self.written.is_empty()
    }

    fn corrupt(&self) -> LogError {
        self.corrupt_because("")
    }

    fn corrupt_because(&self, evidence: &str) -> LogError {
        let reason = match self.fault {
            FrameFault::Invalid(reason) => reason,
            FrameFault::Newer(_) => "the frame has a newer format",
        };
        LogError::corrupt(self.path, self.offset, format!("{reason}{evidence}"))
    }

    /// Decides whether the last segment ends here cleanly (`None`), in a torn write, or in damage.
    ///
    /// A crash may lose or tear what was written since the last sync, in any pattern. It cannot touch what a later frame
    /// calls durable, nor the opening frame, which was synced before the segment got its name. And if only the process
    /// was killed, what it wrote is a prefix: nothing complete can stand behind a hole.
    fn judge(&self, machine_crashed: bool) -> Result<Option<TornTail>, LogError> {
        if self.offset == SEGMENT_HEADER_BYTES as u64 {
            return Err(self.corrupt_because(", although the segment's opening frame was synced"));
        }
        for frame in self.later_frames() {
            if frame.header.durable_to > self.offset {
                return Err(self.corrupt_because(", although a later frame says that this one was synced"));
            }
            if !machine_crashed {
                return Err(
                    self.corrupt_because(", although the machine did not crash and a later frame is whole")
                );
            }
        }
        if !machine_crashed && ends_with_trailer(self.written, self.offset) {
            return Err(
                self.corrupt_because(", although it was written to its end and the machine did not crash")
            );
        }
        let bytes = self.written.len() as u64;
        Ok((bytes > 0).then(|| TornTail { file: self.path.to_owned(), offset: self.offset, bytes }))
    }

    /// Refuses a log that ends before the place up to which it is known to have been written.
    fn reaches(&self, least: Option<SyncedMark>) -> Result<(), LogError> {
        match least {
            Some(least) if least > (SyncedMark { segment: self.segment, offset: self.offset }) => {
                let evidence = format!(", although the segment was written up to byte {}", least.offset);
                Err(self.corrupt_because(&evidence))
            }
            _ => Ok(()),
        }
    }

    fn later_frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let end = self.offset + self.written.len() as u64;
        let mut at = self.offset;
        std::iter::from_fn(move || {
            // Frames begin at multiples of 8.
            while at + 8 < end {
                at += 8;
                if let Ok(frame) = Frame::at(self.bytes, self.segment, at) {
                    at = frame.end - 8;
                    return Some(frame);
                }
            }
            None
        })
    }
}

/// Most of a segment may be preallocated zeros, so they are passed over a block at a time.
fn without_trailing_zeros(bytes: &[u8]) -> &[u8] {
    const BLOCK_BYTES: usize = 4096;
    let zero_blocks =
        bytes.rchunks_exact(BLOCK_BYTES).take_while(|block| **block == [0; BLOCK_BYTES]).count();
    let bytes = bytes.get(..bytes.len() - zero_blocks * BLOCK_BYTES).unwrap_or_default();
    let length = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    bytes.get(..length).unwrap_or_default()
}

/// Makes the last segment durable as it was read, and ready to be continued.
///
/// The unsafe order is to append first and to clear away the torn tail later, or never: the new frame may be shorter than
/// the torn one, and whole frames behind it, never acknowledged, would follow on and come back to life. The safe order:
/// cut, extend with zeros, sync; only then append.
fn settle(
    span: &SegmentSpan,
    file_bytes: u64,
    cut: Option<&TornTail>,
    options: &LogOptions,
) -> Result<(), LogError> {
    let Segment { path, file, .. } = span.segment.as_ref();
    let fail = |doing, error| LogError::io(path, doing, options.segment_bytes(), error);
    if let Some(cut) = cut {
        tracing::warn!(file = %path.display(), offset = cut.offset, bytes = cut.bytes, "torn tail of the log cut off");
        options.disc.before_write(DiscUse::Segment, 0).map_err(|error| fail("cut", error))?;
        file.set_len(span.end).map_err(|error| fail("cut", error))?;
    }
    if cut.is_some() || file_bytes < options.segment_bytes() {
        let capacity = options.segment_bytes().max(span.end);
        file.reserve(capacity).map_err(|error| fail("preallocate", error))?;
    }
    options
        .disc
        .before_sync(DiscUse::Segment)
        .and_then(|()| file.sync_all())
        .map_err(|error| fail("sync", error))
}
