//! Values of unique indexes that entries in flight will have taken.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tabularaft_schema::TableId;

/// A value of one unique index: the table, the place of the index in its definition, and the encoded value.
pub(super) type Claimed = (TableId, usize, Bytes);

/// Who has claimed which values. It may hold claims that were given up since, so that who finds one looks at the
/// record; it never lacks one.
#[derive(Debug, Default)]
pub(super) struct Claims {
    keys: BTreeMap<Claimed, Vec<(u64, Bytes)>>,
    /// Invariant: holds exactly the claims of `keys`, by entry.
    entries: VecDeque<(u64, Claimed)>,
}

impl Claims {
    pub(super) fn add(&mut self, entry: u64, claimed: Claimed, storage_key: Bytes) {
        self.keys.entry(claimed.clone()).or_default().push((entry, storage_key));
        self.entries.push_back((entry, claimed));
    }

    /// The storage keys of records that have claimed the value.
    pub(super) fn of(&self, claimed: &Claimed) -> impl Iterator<Item = &Bytes> {
        self.keys.get(claimed).into_iter().flatten().map(|(_, key)| key)
    }

    /// Forgets what entries up to `entry` claimed: the view shows it now.
    pub(super) fn retire(&mut self, entry: u64) {
        while self.entries.front().is_some_and(|(first, _)| *first <= entry) {
            let Some((_, claimed)) = self.entries.pop_front() else { return };
            if let Some(keys) = self.keys.get_mut(&claimed) {
                keys.retain(|(of, _)| *of > entry);
                if keys.is_empty() {
                    self.keys.remove(&claimed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_lasts_until_its_entry_is_in_the_view() {
        let value: Claimed = (TableId(1), 0, Bytes::from_static(b"v"));
        let mut claims = Claims::default();
        claims.add(1, value.clone(), Bytes::from_static(b"a"));
        claims.add(2, value.clone(), Bytes::from_static(b"b"));
        claims.retire(1);
        assert_eq!(claims.of(&value).collect::<Vec<_>>(), ["b"]);
        claims.retire(2);
        assert_eq!(claims.of(&value).count(), 0);
        assert!(claims.keys.is_empty() && claims.entries.is_empty());
    }
}
