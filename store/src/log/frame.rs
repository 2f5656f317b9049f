//! One frame: a group of records that was written by one write call.
//!
//! ```text
//! 0  magic u32
//! 4  crc32c u32 over bytes 8 .. header length + body length
//! 8  format version u16
//! 10 header length u16
//! 12 body length u32            bytes 0..16 keep this shape in every version
//! 16 flags u32                  1 = synced group, 2 = has a committed position
//! 20 number of records u32
//! 24 segment number u64
//! 32 offset in the segment u64
//! 40 durable_to u64
//! 48 committed term u64, index u64
//! 64 body, then zeros up to a multiple of 8
//!    trailer: low half of the offset u32, trailer magic u32
//! ```
//!
//! A frame says where it stands, so that a copy of one inside an entry's payload is never taken for a frame.
//! `durable_to` says up to where this segment was synced when the frame was written. Damage before it cannot come from
//! a crash: that is how recovery tells a torn tail from a damaged log.
//! The trailer is not covered by the checksum; it only shows that the write of the frame came to its end.

use super::fields::{align, position_at, put, u16_at, u32_at, u64_at};
use super::record::Record;
use crate::position::Position;

/// The newest format this release reads, and the one it writes.
pub(super) const FORMAT_VERSION: u16 = 1;
/// Bytes of a frame before its first record.
pub(super) const FRAME_HEADER_BYTES: usize = 64;

const TRAILER_BYTES: usize = 8;
// Persistent: add, never change or reuse.
const FRAME_MAGIC: [u8; 4] = *b"TRFm";
const TRAILER_MAGIC: [u8; 4] = *b"TRFe";
const FLAG_SYNCED: u32 = 1;
const FLAG_COMMITTED: u32 = 2;

/// What a frame says beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// Invariant: `durable_to <= offset`.
    pub(super) durable_to: u64,
    pub(super) committed: Option<Position>,
    /// Whether the group was followed by a sync. For inspection only: recovery must not trust it.
    pub(super) synced: bool,
}

/// Gathers the records of one group. Its buffer is kept from group to group.
#[derive(Debug, Default)]
pub(super) struct FrameBuilder {
    bytes: Vec<u8>,
    records: u32,
}

impl FrameBuilder {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(FRAME_HEADER_BYTES, 0);
        self.records = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Adds a record and says where in the frame it begins.
    pub(super) fn push(&mut self, record: &Record<'_>) -> u64 {
        let at = self.bytes.len() as u64;
        record.write(&mut self.bytes);
        self.records += 1;
        at
    }

    /// What the frame will weigh once finished.
    pub(super) fn frame_bytes(&self) -> u64 {
        (align(self.bytes.len()) + TRAILER_BYTES) as u64
    }

    /// Completes the frame for the place where it will be written.
    pub(super) fn finish(&mut self, header: &FrameHeader) -> &[u8] {
        let body_bytes = (self.bytes.len() - FRAME_HEADER_BYTES) as u32;
        let flags =
            u32::from(header.synced) * FLAG_SYNCED + u32::from(header.committed.is_some()) * FLAG_COMMITTED;
        let committed = header.committed.unwrap_or_default();
        let bytes = self.bytes.as_mut_slice();
        put(bytes, 0, &FRAME_MAGIC);
        put(bytes, 8, &FORMAT_VERSION.to_le_bytes());
        put(bytes, 10, &(FRAME_HEADER_BYTES as u16).to_le_bytes());
        put(bytes, 12, &body_bytes.to_le_bytes());
        put(bytes, 16, &flags.to_le_bytes());
        put(bytes, 20, &self.records.to_le_bytes());
        put(bytes, 24, &header.segment.to_le_bytes());
        put(bytes, 32, &header.offset.to_le_bytes());
        put(bytes, 40, &header.durable_to.to_le_bytes());
        put(bytes, 48, &committed.term.to_le_bytes());
        put(bytes, 56, &committed.index.to_le_bytes());
        let crc = crc32c::crc32c(bytes.get(8..).unwrap_or_default());
        put(bytes, 4, &crc.to_le_bytes());
        self.bytes.resize(align(self.bytes.len()), 0);
        self.bytes.extend_from_slice(&trailer(header.offset));
        &self.bytes
    }
}

fn trailer(offset: u64) -> [u8; TRAILER_BYTES] {
    let mut trailer = [0; TRAILER_BYTES];
    put(&mut trailer, 0, &(offset as u32).to_le_bytes());
    put(&mut trailer, 4, &TRAILER_MAGIC);
    trailer
}

/// Whether `bytes`, which run from `offset` to the last byte of the segment that is not zero, end as a completely
/// written frame does. Says nothing about the frame's content.
pub(super) fn ends_with_trailer(bytes: &[u8], offset: u64) -> bool {
    bytes.ends_with(&trailer(offset))
}

/// Why there is no frame at some place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameFault {
    Invalid(&'static str),
    /// A whole frame, but of a newer format.
    Newer(u16),
}

/// A verified frame inside the bytes of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) header: FrameHeader,
    body: &'a [u8],
    records: u32,
    /// Where the next frame begins.
    pub(super) end: u64,
}

impl<'a> Frame<'a> {
    /// The frame at `offset` of `segment`, whose bytes from its very beginning are given.
    pub(super) fn at(bytes: &'a [u8], segment: u64, offset: u64) -> Result<Self, FrameFault> {
        let start = usize::try_from(offset).map_err(|_| FrameFault::Invalid("offset out of range"))?;
        let bytes = bytes.get(start..).unwrap_or_default();
        if !bytes.starts_with(&FRAME_MAGIC) {
            return Err(FrameFault::Invalid("no frame begins here"));
        }
        Self::parse(bytes, segment, offset)
            .ok_or(FrameFault::Invalid("the frame ends early or its checksum does not match"))?
    }

    /// `None`: short, or a checksum that does not match.
    fn parse(bytes: &'a [u8], segment: u64, offset: u64) -> Option<Result<Self, FrameFault>> {
        let (version, header_bytes) = (u16_at(bytes, 8)?, usize::from(u16_at(bytes, 10)?));
        let length = header_bytes.checked_add(u32_at(bytes, 12)? as usize)?;
        let covered = bytes.get(8..length)?;
        if crc32c::crc32c(covered) != u32_at(bytes, 4)? {
            return None;
        }
        if version > FORMAT_VERSION {
            return Some(Err(FrameFault::Newer(version)));
        }
        if version == 0 || header_bytes != FRAME_HEADER_BYTES {
            return Some(Err(FrameFault::Invalid("the frame's header has an unknown shape")));
        }
        let flags = u32_at(bytes, 16)?;
        let committed = (flags & FLAG_COMMITTED != 0).then_some(position_at(bytes, 48)?);
        let header = FrameHeader {
            segment: u64_at(bytes, 24)?,
            offset: u64_at(bytes, 32)?,
            durable_to: u64_at(bytes, 40)?,
            committed,
            synced: flags & FLAG_SYNCED != 0,
        };
        if header.segment != segment || header.offset != offset {
            return Some(Err(FrameFault::Invalid("the frame belongs to another place")));
        }
        let frame_bytes = align(length) + TRAILER_BYTES;
        if bytes.len() < frame_bytes {
            return None;
        }
        let body = bytes.get(header_bytes..length)?;
        Some(Ok(Self { header, body, records: u32_at(bytes, 20)?, end: offset + frame_bytes as u64 }))
    }

    /// The records with their offsets in the segment.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<(Record<'a>, u64), &'static str>> + use<'a> {
        let (mut rest, mut at, mut left) =
            (self.body, self.header.offset + FRAME_HEADER_BYTES as u64, self.records);
        std::iter::from_fn(move || {
            if left == 0 {
                return (!std::mem::take(&mut rest).is_empty())
                    .then_some(Err("a frame has bytes behind its last record"));
            }
            left -= 1;
            Some(Record::read(rest).map(|(record, bytes)| {
                let place = at;
                rest = rest.get(bytes..).unwrap_or_default();
                at += bytes as u64;
                (record, place)
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: FrameHeader = FrameHeader {
        segment: 7,
        offset: 128,
        durable_to: 64,
        committed: Some(Position::new(1, 2)),
        synced: true,
    };

    fn segment_with_frame() -> Vec<u8> {
        let mut builder = FrameBuilder::default();
        builder.clear();
        builder.push(&Record::Entry { position: Position::new(1, 3), payload: b"abc" });
        builder.push(&Record::Vote(b"me"));
        let mut segment = vec![0; 128];
        segment.extend_from_slice(builder.finish(&HEADER));
        segment
    }

    #[test]
    fn a_frame_reads_back_with_the_places_of_its_records() {
        let segment = segment_with_frame();
        let frame = Frame::at(&segment, 7, 128).unwrap();
        assert_eq!(frame.header, HEADER);
        assert_eq!(frame.end as usize, segment.len());
        let records: Vec<_> = frame.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(records[1], (Record::Vote(b"me"), 128 + 64 + 28 + 3));
        assert_eq!(Record::read(&segment[192..]).unwrap().0, records[0].0);
    }

    #[test]
    fn a_frame_copied_elsewhere_is_not_a_frame() {
        let segment = segment_with_frame();
        assert!(Frame::at(&segment, 8, 128).is_err());
        let mut moved = vec![0; 8];
        moved.extend_from_slice(&segment);
        assert!(Frame::at(&moved, 7, 136).is_err());
    }

    #[test]
    fn every_flipped_bit_is_noticed_or_harmless() {
        let segment = segment_with_frame();
        for at in 128..segment.len() {
            for bit in 0..8 {
                let mut flipped = segment.clone();
                flipped[at] ^= 1 << bit;
                if let Ok(frame) = Frame::at(&flipped, 7, 128) {
                    assert!(
                        at >= segment.len() - 8 - 5,
                        "only padding and trailer may change unnoticed, not {at}"
                    );
                    assert_eq!(frame.header, HEADER);
                    assert_eq!(frame.records().count(), 2);
                }
            }
        }
    }

    #[test]
    fn a_newer_frame_is_told_from_a_broken_one() {
        let mut segment = segment_with_frame();
        put(&mut segment, 128 + 8, &2u16.to_le_bytes());
        assert!(matches!(Frame::at(&segment, 7, 128), Err(FrameFault::Invalid(_))));
        let end = 128 + 64 + 28 + 3 + 28 + 2;
        let crc = crc32c::crc32c(&segment[136..end]);
        put(&mut segment, 128 + 4, &crc.to_le_bytes());
        assert_eq!(Frame::at(&segment, 7, 128).unwrap_err(), FrameFault::Newer(2));
    }
}
