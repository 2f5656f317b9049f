//! What every peer stores: keys of 16 bytes and values of 100, as in the figures of other stores.

/// Bytes of one value.
pub const VALUE_BYTES: usize = 100;
/// Records under each key of the bag.
pub const BAG_RECORDS: u64 = 10;
/// Records that an index gives for one value.
pub const GROUP_RECORDS: u64 = 10;
/// Records of one range.
pub const RANGE_RECORDS: u64 = 1_000;
/// Keys that are made beforehand where short reads are measured.
pub const KEYS: usize = 256 * 1024;

/// Key number `number`: 16 hexadecimal digits, neighbours far apart, so that loading in order is not loading in key
/// order.
pub fn key(number: u64) -> String {
    format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Key number `number` of an ordered table: 16 digits that sort as the numbers do.
pub fn ordered_key(number: u64) -> String {
    format!("{number:016x}")
}

/// A value that differs from record to record and from write to write.
pub fn value(number: u64, stamp: u64) -> Vec<u8> {
    let mut value = Vec::with_capacity(VALUE_BYTES);
    value.extend_from_slice(&number.to_le_bytes());
    value.extend_from_slice(&stamp.to_le_bytes());
    value.resize(VALUE_BYTES, b'v');
    value
}
