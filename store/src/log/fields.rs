//! Little-endian fields at known places: reading that cannot run past the end.

use crate::position::Position;

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn position_at(bytes: &[u8], at: usize) -> Option<Position> {
    Some(Position { term: u64_at(bytes, at)?, index: u64_at(bytes, at.checked_add(8)?)? })
}

/// Overwrites the bytes from `at` on; the callers' buffers have the space by construction.
pub(super) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    let space =
        bytes.get_mut(at..at + field.len()).expect("headers are allocated before their fields are filled in");
    space.copy_from_slice(field);
}

/// The checksum of a header that has it in its bytes 12..16, over all of its other bytes.
pub(super) fn header_crc(header: &[u8]) -> u32 {
    let part = |range| header.get(range).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c(part(0..12)), part(16..header.len()))
}

/// The next multiple of 8.
pub(super) const fn align(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}
