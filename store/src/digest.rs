//! A table's content in sixteen bytes, so that two copies can be compared without being sent.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::row::RowRef;

/// The digest of a table's records. It does not depend on the order in which they are added, so that copies which
/// hold their records in different orders have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TableDigest {
    /// How many records there are.
    pub records: u64,
    /// The wrapping sum of one XXH3-128 hash per record, over its storage key, version and value.
    pub sum: u128,
}

impl TableDigest {
    /// Adds one record of record version 1.
    pub fn add(&mut self, key: &[u8], version: u64, value: &[u8]) {
        self.add_row(key, RowRef::new(version, None, value));
    }

    /// Adds one record as it is stored, with the version of its shape.
    pub(crate) fn add_row(&mut self, key: &[u8], row: RowRef<'_>) {
        self.records += 1;
        self.sum = self.sum.wrapping_add(hash(key, row));
    }
}

/// Records up to this size are put side by side to be hashed at once.
const GATHERED_BYTES_MAX: usize = 512;

fn hash(key: &[u8], row: RowRef<'_>) -> u128 {
    // The length keeps a byte that moves from the key's end to the value's beginning from going unnoticed.
    let (key_bytes, version) = ((key.len() as u64).to_le_bytes(), row.version().to_le_bytes());
    let record_version = row.record_version().to_le_bytes();
    let record_version: &[u8] = if row.record_version() == 1 { &[] } else { &record_version };
    let parts = [&key_bytes, key, &version, row.value(), record_version];
    let mut gathered = [0; GATHERED_BYTES_MAX];
    match gather(parts, &mut gathered) {
        Some(record) => xxh3_128(record),
        None => hash_in_parts(parts),
    }
}

/// The same as hashing them side by side. Setting the hasher up takes longer than a small record's hash.
fn hash_in_parts(parts: [&[u8]; 5]) -> u128 {
    let mut hasher = Xxh3::new();
    parts.into_iter().for_each(|part| hasher.update(part));
    hasher.digest128()
}

/// The parts side by side, if there is room for them.
fn gather<'g>(parts: [&[u8]; 5], room: &'g mut [u8]) -> Option<&'g [u8]> {
    let mut end = 0;
    for part in parts {
        room.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    room.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(records: &[(&[u8], u64, &[u8])]) -> TableDigest {
        let mut digest = TableDigest::default();
        for (key, version, value) in records {
            digest.add(key, *version, value);
        }
        digest
    }

    #[test]
    fn the_order_of_records_does_not_matter() {
        let forwards = digest_of(&[(b"a", 1, b"x"), (b"b", 2, b"y")]);
        let backwards = digest_of(&[(b"b", 2, b"y"), (b"a", 1, b"x")]);
        assert_eq!(forwards, backwards);
    }

    #[test]
    fn every_part_of_a_record_matters() {
        let one = digest_of(&[(b"ab", 1, b"c")]);
        assert_ne!(one, digest_of(&[(b"a", 1, b"bc")]), "the border between key and value");
        assert_ne!(one, digest_of(&[(b"ab", 2, b"c")]), "the version");
        assert_ne!(one, digest_of(&[(b"ab", 1, b"d")]), "the value");
        assert_ne!(one, TableDigest::default(), "the record being there");
    }

    #[test]
    fn the_digest_of_a_record_stays_as_it_was_released() {
        let digest = digest_of(&[(b"key", 7, b"value")]);
        assert_eq!(
            digest.sum, 252_290_978_601_509_190_595_907_634_532_080_202_402,
            "peers of different releases compare these"
        );
    }

    #[test]
    fn a_record_has_one_digest_whether_it_is_hashed_at_once_or_in_parts() {
        for value_bytes in [0, 1, 100, 200, 300, 480, 481, 490, 2000] {
            let value = vec![7; value_bytes];
            for record_version in [1, 2] {
                let row = RowRef::new(9, None, &value).with_record_version(record_version);
                let record_version = record_version.to_le_bytes();
                let last: &[u8] = if row.record_version() == 1 { &[] } else { &record_version };
                let key_bytes = 3_u64.to_le_bytes();
                let parts: [&[u8]; 5] = [&key_bytes, b"key", &9_u64.to_le_bytes(), &value, last];
                assert_eq!(hash(b"key", row), hash_in_parts(parts), "{value_bytes} bytes");
            }
        }
    }
}
