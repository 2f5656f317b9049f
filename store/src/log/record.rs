//! One record inside a frame.
//!
//! ```text
//! 0  kind u8, then three zero bytes
//! 4  payload length u32
//! 8  term u64       (vote: 0;  truncation: 1 = an index is kept, 0 = nothing is)
//! 16 index u64      (vote: 0;  truncation: the last index kept)
//! 24 crc32c u32 over bytes 0..24 and the payload
//! 28 payload
//! ```
//!
//! A record has a checksum of its own although its frame has one, so that one old entry can be read and verified
//! without its neighbours.

use super::fields::{position_at, u32_at};
use crate::position::Position;

/// Bytes of a record before its payload.
pub(super) const RECORD_HEADER_BYTES: usize = 28;
/// What an entry or vote may weigh: far above any sane entry, far below what the length field holds.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 30;

const CRC_AT: usize = 24;

// Persistent: add, never change or reuse.
const KIND_ENTRY: u8 = 1;
const KIND_VOTE: u8 = 2;
const KIND_TRUNCATE_AFTER: u8 = 3;
const KIND_PURGED: u8 = 4;
const KIND_RESET: u8 = 5;

/// One fact of the log; replaying all of them in order gives the log's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Entry {
        position: Position,
        payload: &'a [u8],
    },
    Vote(&'a [u8]),
    /// Everything behind this index is gone; `None`: everything.
    TruncateAfter(Option<u64>),
    /// Everything up to here is gone.
    Purged(Position),
    /// Everything is gone, and the log goes on behind this position.
    Reset(Position),
}

impl<'a> Record<'a> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (kind, place) = match *self {
            Self::Entry { position, .. } => (KIND_ENTRY, position),
            Self::Vote(_) => (KIND_VOTE, Position::default()),
            Self::TruncateAfter(Some(index)) => (KIND_TRUNCATE_AFTER, Position { term: 1, index }),
            Self::TruncateAfter(None) => (KIND_TRUNCATE_AFTER, Position::default()),
            Self::Purged(position) => (KIND_PURGED, position),
            Self::Reset(position) => (KIND_RESET, position),
        };
        let payload = self.payload();
        let start = out.len();
        out.extend_from_slice(&[kind, 0, 0, 0]);
        out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        out.extend_from_slice(&place.term.to_le_bytes());
        out.extend_from_slice(&place.index.to_le_bytes());
        let crc = crc(out.get(start..).unwrap_or_default(), payload);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(payload);
    }

    /// Reads the record at the start of `bytes`; also says how long it is.
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Self, usize), &'static str> {
        let short = "a record ends early";
        let header = bytes.get(..CRC_AT).ok_or(short)?;
        let stored_crc = u32_at(bytes, CRC_AT).ok_or(short)?;
        let payload_bytes = u32_at(header, 4).ok_or(short)? as usize;
        let payload =
            bytes.get(RECORD_HEADER_BYTES..).and_then(|rest| rest.get(..payload_bytes)).ok_or(short)?;
        if crc(header, payload) != stored_crc {
            return Err("the checksum of a record does not match");
        }
        let place = position_at(header, 8).ok_or(short)?;
        let record = match header.first().copied() {
            Some(KIND_ENTRY) => Self::Entry { position: place, payload },
            Some(KIND_VOTE) => Self::Vote(payload),
            Some(KIND_TRUNCATE_AFTER) => Self::TruncateAfter((place.term != 0).then_some(place.index)),
            Some(KIND_PURGED) => Self::Purged(place),
            Some(KIND_RESET) => Self::Reset(place),
            _ => return Err("a record has an unknown kind"),
        };
        Ok((record, RECORD_HEADER_BYTES + payload_bytes))
    }

    fn payload(&self) -> &'a [u8] {
        match *self {
            Self::Entry { payload, .. } | Self::Vote(payload) => payload,
            Self::TruncateAfter(_) | Self::Purged(_) | Self::Reset(_) => &[],
        }
    }
}

fn crc(header: &[u8], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Record<'static>; 7] = [
        Record::Entry { position: Position::new(3, 17), payload: b"hello" },
        Record::Entry { position: Position::new(0, 0), payload: b"" },
        Record::Vote(b"vote"),
        Record::TruncateAfter(Some(0)),
        Record::TruncateAfter(None),
        Record::Purged(Position::new(1, u64::MAX)),
        Record::Reset(Position::new(2, 5)),
    ];

    #[test]
    fn every_record_reads_back_as_written() {
        for record in ALL {
            let mut bytes = Vec::new();
            record.write(&mut bytes);
            let length = bytes.len();
            bytes.extend_from_slice(b"neighbour");
            assert_eq!(Record::read(&bytes), Ok((record, length)));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_noticed() {
        for record in ALL {
            let mut bytes = Vec::new();
            record.write(&mut bytes);
            for at in 0..bytes.len() {
                assert!(Record::read(&bytes[..at]).is_err());
                for bit in 0..8 {
                    let mut flipped = bytes.clone();
                    flipped[at] ^= 1 << bit;
                    assert!(Record::read(&flipped).is_err(), "{record:?} byte {at} bit {bit}");
                }
            }
        }
    }
}
