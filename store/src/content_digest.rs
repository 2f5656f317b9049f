//! What a table says, in sixteen bytes, whichever writes have led to it.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// The digest of a table's records without their versions and owners. It stays the same when records are written anew,
/// by a restore or in another cluster, and it does not depend on the order in which they are added.
///
/// Two copies of one cluster are compared by the stricter [`TableDigest`](crate::TableDigest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ContentDigest {
    /// How many records there are.
    pub records: u64,
    /// The wrapping sum of one XXH3-128 hash per record, over its bytes. The key is part of the record.
    // Persistent: it stands in backups, and operators compare it between releases.
    pub sum: u128,
}

impl ContentDigest {
    /// Adds one record.
    pub fn add(&mut self, record: &[u8]) {
        self.records += 1;
        self.sum = self.sum.wrapping_add(xxh3_128(record));
    }
}

/// The digest as operators read it.
impl std::fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(records: &[&[u8]]) -> ContentDigest {
        let mut digest = ContentDigest::default();
        records.iter().for_each(|record| digest.add(record));
        digest
    }

    #[test]
    fn the_order_does_not_matter_and_every_record_does() {
        let digest = digest_of(&[b"a", b"b"]);
        assert_eq!(digest, digest_of(&[b"b", b"a"]));
        assert_ne!(digest, digest_of(&[b"a", b"c"]));
        assert_ne!(digest, digest_of(&[b"a"]));
        assert_ne!(digest, digest_of(&[b"ab"]));
    }

    #[test]
    fn the_digest_of_a_record_stays_as_it_was_released() {
        assert_eq!(digest_of(&[b"record"]).to_string(), "e53517bbc019f4994ff1f81b384e16ff");
    }
}
