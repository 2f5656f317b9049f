//! A table's content in sixteen bytes, so that two copies can be compared without being sent.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

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
        let mut hasher = Xxh3::new();
        // The length keeps a byte that moves from the key's end to the value's beginning from going unnoticed.
        hasher.update(&(key.len() as u64).to_le_bytes());
        hasher.update(key);
        hasher.update(&row.version().to_le_bytes());
        hasher.update(row.value());
        if row.record_version() != 1 {
            hasher.update(&row.record_version().to_le_bytes());
        }
        self.records += 1;
        self.sum = self.sum.wrapping_add(hasher.digest128());
    }
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
}
