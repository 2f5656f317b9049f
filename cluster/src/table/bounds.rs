//! Ranges of keys as ranges of storage keys.

use std::ops::{Bound, RangeBounds};

use tabularaft_schema::{Key, KeyFor, Record};

/// The bounds on storage keys that hold exactly the records whose keys lie in the range. Keys are prefix-free, so
/// everything that starts with a key, as a bag's records do, is under that key.
pub(crate) fn key_bounds<R: Record, K: KeyFor<R::Key>>(
    range: &impl RangeBounds<K>,
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let low = match range.start_bound() {
        Bound::Included(key) => Bound::Included(key.to_key().into_bytes()),
        Bound::Excluded(key) => {
            let key = key.to_key();
            match end_of(key.clone()) {
                Some(end) => Bound::Included(end),
                // Behind the highest key of all there is nothing, in a bag neither what is under it.
                None => return (Bound::Excluded(key.to_vec()), Bound::Excluded(key.into_bytes())),
            }
        }
        Bound::Unbounded => Bound::Unbounded,
    };
    let high = match range.end_bound() {
        Bound::Excluded(key) => Bound::Excluded(key.to_key().into_bytes()),
        Bound::Included(key) => end_of(key.to_key()).map_or(Bound::Unbounded, Bound::Excluded),
        Bound::Unbounded => Bound::Unbounded,
    };
    (low, high)
}

/// The first byte string behind everything that is under the key.
pub(super) fn end_of(key: Key) -> Option<Vec<u8>> {
    Key::successor_of_prefix(key.as_bytes()).map(Key::into_bytes)
}
