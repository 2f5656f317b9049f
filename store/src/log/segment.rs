//! The files of the log: `00000001.log`, `00000002.log`, …, each preallocated and then overwritten from front to back.
//!
//! ```text
//! 0  magic, 8 bytes
//! 8  format version u32
//! 12 crc32c u32 over bytes 0..12 and 16..64    the first 64 bytes keep this shape in every version
//! 16 segment number u64
//! 24 1 if the next field counts, else 0, u64
//! 32 index of the next entry when the segment began u64
//! 40 where the previous segment ends u64 (0 for segment 1)
//! 48 zeros
//! 64 the opening frame: vote, purge and committed position as they were when the segment began
//! ```
//!
//! Because a segment opens with everything that still matters of its predecessors, they can simply be deleted once
//! their entries are purged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::LogError;
use super::fields::{header_crc, put, u32_at, u64_at};
use super::frame::{FORMAT_VERSION, FrameBuilder, FrameHeader};
use super::outline::Outline;
use super::record::Record;
use crate::disc::{DiscControl, DiscUse};
use crate::files::{DiscFile, FileSystem, Opening};
use crate::position::Position;

/// Bytes of a segment before its opening frame.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;

// Persistent: add, never change or reuse.
const SEGMENT_MAGIC: [u8; 8] = *b"TabRaftL";
const SUFFIX: &str = "log";
const UNFINISHED_SUFFIX: &str = "log.new";

/// An open segment file. Readers keep it alive after a purge has deleted its name.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiscFile>,
}

/// Everything of the log's state that is not an entry, as far as it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    pub(super) outline: Outline,
    pub(super) vote: Option<Bytes>,
    pub(super) committed: Option<Position>,
}

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) number: u64,
    pub(super) next_index: Option<u64>,
    pub(super) previous_end: u64,
}

impl SegmentHeader {
    fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        put(&mut bytes, 0, &SEGMENT_MAGIC);
        put(&mut bytes, 8, &u32::from(FORMAT_VERSION).to_le_bytes());
        put(&mut bytes, 16, &self.number.to_le_bytes());
        put(&mut bytes, 24, &u64::from(self.next_index.is_some()).to_le_bytes());
        put(&mut bytes, 32, &self.next_index.unwrap_or(0).to_le_bytes());
        put(&mut bytes, 40, &self.previous_end.to_le_bytes());
        let crc = header_crc(&bytes);
        put(&mut bytes, 12, &crc.to_le_bytes());
        bytes
    }

    /// Reads and verifies the header of the segment `path` whose bytes are given.
    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, LogError> {
        let damaged = |reason: &str| LogError::corrupt(path, 0, reason);
        let header: &[u8; SEGMENT_HEADER_BYTES] =
            bytes.first_chunk().ok_or_else(|| damaged("the segment's header is cut off"))?;
        if !header.starts_with(&SEGMENT_MAGIC) {
            return Err(damaged("not a segment of this log: its first bytes are wrong"));
        }
        let field = |at| u64_at(header, at).unwrap_or_default();
        if u32_at(header, 12) != Some(header_crc(header)) {
            return Err(damaged("the checksum of the segment's header does not match"));
        }
        let (found, known) = (u32_at(header, 8).unwrap_or_default(), u32::from(FORMAT_VERSION));
        if found > known {
            return Err(LogError::NewerFormat { file: path.to_owned(), found, known });
        }
        let next_index = (field(24) != 0).then_some(field(32));
        Ok(Self { number: field(16), next_index, previous_end: field(40) })
    }
}

/// Creates the segment that continues the log, and says where its first group goes.
///
/// The unsafe order is to create the file under its name and then fill it: a crash leaves a segment without a header,
/// which cannot be told from a damaged one. The safe order: write header and opening frame under a temporary name, sync
/// the file, rename it, sync the directory. A segment that has its name is whole; only then may the log use it.
pub(super) fn create(
    dir: &Path,
    header: SegmentHeader,
    marks: &Marks,
    capacity: u64,
    disc: &dyn DiscControl,
) -> Result<(Segment, u64), LogError> {
    let opening = opening(header, marks);
    let (path, unfinished) = (path(dir, header.number, SUFFIX), path(dir, header.number, UNFINISHED_SUFFIX));
    let fail = |doing, error| LogError::io(&path, doing, capacity, error);
    disc.before_write(DiscUse::Segment, opening.len()).map_err(|error| fail("create", error))?;
    let files = disc.files();
    let file = files.open(&unfinished, Opening::Emptied).map_err(|error| fail("create", error))?;
    file.reserve(capacity).map_err(|error| fail("preallocate", error))?;
    file.write_all_at(&opening, 0).map_err(|error| fail("write", error))?;
    disc.before_sync(DiscUse::Segment).and_then(|()| file.sync_all()).map_err(|error| fail("sync", error))?;
    files.rename(&unfinished, &path).map_err(|error| fail("rename", error))?;
    sync_dir(dir, disc)?;
    Ok((Segment { number: header.number, path, file }, opening.len() as u64))
}

/// Header and opening frame.
fn opening(header: SegmentHeader, marks: &Marks) -> Vec<u8> {
    let mut frame = FrameBuilder::default();
    frame.clear();
    if let Some(vote) = &marks.vote {
        frame.push(&Record::Vote(vote));
    }
    if let Some(purged) = marks.outline.purged {
        frame.push(&Record::Purged(purged));
    }
    let offset = SEGMENT_HEADER_BYTES as u64;
    let header_bytes = header.encode();
    let frame = frame.finish(&FrameHeader {
        segment: header.number,
        offset,
        durable_to: offset,
        committed: marks.committed,
        synced: true,
    });
    [&header_bytes, frame].concat()
}

/// Opens an existing segment for reading and writing.
pub(super) fn open(dir: &Path, number: u64, disc: &dyn DiscControl) -> Result<Segment, LogError> {
    let path = path(dir, number, SUFFIX);
    let opened = disc.files().open(&path, Opening::Existing);
    let file = opened.map_err(|error| LogError::io(&path, "open", 0, error))?;
    Ok(Segment { number, path, file })
}

/// The numbers of all segments in ascending order; removes what an interrupted [`create`] left behind.
pub(super) fn list(dir: &Path, files: &dyn FileSystem) -> Result<Vec<u64>, LogError> {
    let fail = |doing, error| LogError::io(dir, doing, 0, error);
    let mut numbers = Vec::new();
    for name in files.names(dir).map_err(|error| fail("list", error))? {
        let Some((stem, suffix)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
        match (stem.parse::<u64>(), suffix) {
            (Ok(number), SUFFIX) => numbers.push(number),
            (Ok(_), UNFINISHED_SUFFIX) => {
                files.remove_file(&dir.join(&name)).map_err(|error| fail("clean up", error))?
            }
            _ => {}
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Deletes a segment's file. The caller syncs the directory afterwards.
pub(super) fn remove(segment: &Segment, files: &dyn FileSystem) -> Result<(), LogError> {
    files.remove_file(&segment.path).map_err(|error| LogError::io(&segment.path, "remove", 0, error))
}

pub(super) fn sync_dir(dir: &Path, disc: &dyn DiscControl) -> Result<(), LogError> {
    disc.before_sync(DiscUse::Segment)
        .and_then(|()| disc.files().sync_dir(dir))
        .map_err(|error| LogError::io(dir, "sync", 0, error))
}

pub(super) fn path(dir: &Path, number: u64, suffix: &str) -> PathBuf {
    dir.join(format!("{number:08}.{suffix}"))
}

/// The path of a finished or current segment.
pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    path(dir, number, SUFFIX)
}
