//! Reading entries that are not in memory any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::record::{RECORD_HEADER_BYTES, Record};
use super::segment::Segment;
use super::table::{Found, Place};
use super::{LogEntry, LogError};

/// One read of the file covers at most this much, unless a single entry is larger.
const RUN_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What may lie between two records of one run: the end of one frame and the beginning of the next.
const GAP_BYTES_MAX: u64 = 4 * 1024;

/// Consecutive entries that one read brings.
struct Run {
    segment: Arc<Segment>,
    start: u64,
    end: u64,
    /// Payloads of the run; `at` counts from the run's start.
    bytes: Bytes,
}

/// Completes what was found in memory with what is only in the files.
pub(super) fn load(
    found: Vec<Found>,
    segments: &BTreeMap<u64, Arc<Segment>>,
) -> Result<Vec<LogEntry>, LogError> {
    let mut entries = Vec::with_capacity(found.len());
    let mut run: Option<Run> = None;
    for (at, entry) in found.iter().enumerate() {
        let position = entry.position;
        if let Some(payload) = &entry.payload {
            entries.push(LogEntry { position, payload: payload.clone() });
            continue;
        }
        let Some((segment, offset)) = stored(entry) else {
            unreachable!("an entry gives up its payload only once it is stored");
        };
        if !run.as_ref().is_some_and(|run| {
            run.segment.number == segment && run.start <= offset && end_of(entry) <= Some(run.end)
        }) {
            let file = segments.get(&segment).ok_or(LogError::Closed)?;
            run = Some(read_run(file, found.get(at..).unwrap_or_default())?);
        }
        if let Some(run) = &run {
            entries.push(LogEntry { position, payload: run.payload(entry, offset)? });
        }
    }
    Ok(entries)
}

fn stored(entry: &Found) -> Option<(u64, u64)> {
    match entry.place {
        Place::Stored { segment, offset } => Some((segment, offset)),
        Place::Waiting(_) => None,
    }
}

fn end_of(entry: &Found) -> Option<u64> {
    let (_, offset) = stored(entry)?;
    Some(offset + RECORD_HEADER_BYTES as u64 + u64::from(entry.payload_bytes))
}

/// Reads the first of `entries` and those that follow it closely in the same segment.
fn read_run(segment: &Arc<Segment>, entries: &[Found]) -> Result<Run, LogError> {
    let mut range: Option<(u64, u64)> = None;
    for entry in entries {
        let (Some((number, offset)), Some(end)) = (stored(entry), end_of(entry)) else { break };
        if entry.payload.is_some() || number != segment.number {
            break;
        }
        range = match range {
            None => Some((offset, end)),
            Some((start, before))
                if offset >= before && offset - before <= GAP_BYTES_MAX && end - start <= RUN_BYTES_MAX =>
            {
                Some((start, end))
            }
            Some(_) => break,
        };
    }
    let (start, end) = range.unwrap_or_default();
    let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0)];
    segment.file.read_exact_at(&mut bytes, start).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            LogError::corrupt(&segment.path, start, "the segment ends early")
        }
        _ => LogError::io(&segment.path, "read", 0, error),
    })?;
    Ok(Run { segment: Arc::clone(segment), start, end, bytes: Bytes::from(bytes) })
}

impl Run {
    /// Verifies the record of an entry and cuts its payload out.
    fn payload(&self, entry: &Found, offset: u64) -> Result<Bytes, LogError> {
        let damaged = |reason: &str| LogError::corrupt(&self.segment.path, offset, reason);
        let at = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let record = self.bytes.get(at..).ok_or_else(|| damaged("the segment ends early"))?;
        match Record::read(record).map_err(damaged)? {
            (Record::Entry { position, payload }, _) if position == entry.position => {
                Ok(self.bytes.slice_ref(payload))
            }
            _ => Err(damaged("another record stands where the entry was written")),
        }
    }
}
