use crate::memory::heap::HeapTally;
use crate::memory::page::Page;
use crate::row::{Row, RowRef};

use super::hashing::Hashing;
use super::iter::HashedIter;
use super::trie::{Branch, Put};

/// Records in the order of their keys' hashes: the table structure of sets.
///
/// A clone takes nanoseconds and is a version of its own: writes to either never show in the other. Keys are any bytes,
/// also none; each is stored once.
#[derive(Clone)]
pub struct HashedMap {
    root: Branch,
    hashing: Hashing,
    len: usize,
    /// Bytes of all keys and values.
    payload_bytes: usize,
    tally: HeapTally,
}

impl HashedMap {
    /// A map without records, hashing with the seed of this process.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hashing(Hashing::of_process())
    }

    /// A map without records whose order depends on nothing but `seed` and the keys.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        Self::with_hashing(Hashing::with_seed(seed))
    }

    pub(super) fn with_hashing(hashing: Hashing) -> Self {
        let root = Branch::empty();
        let mut tally = HeapTally::default();
        tally.add(root.heap_bytes() + Page::default().heap_bytes());
        Self { root, hashing, len: 0, payload_bytes: 0, tally }
    }

    pub(super) fn from_parts(
        root: Branch,
        hashing: Hashing,
        len: usize,
        payload_bytes: usize,
        tally: HeapTally,
    ) -> Self {
        Self { root, hashing, len, payload_bytes, tally }
    }

    /// A map in which keys collide, since only these bits of their hashes count.
    #[cfg(test)]
    pub(in crate::memory) fn with_hash_mask(mask: u32) -> Self {
        Self::with_hashing(Hashing::with_mask(mask))
    }

    /// Counts the heap of the map anew.
    #[cfg(test)]
    pub(in crate::memory) fn recount_heap_bytes(&self) -> usize {
        self.root.recount_heap_bytes(0)
    }

    /// How many records the map holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the map holds no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of heap this version reaches, as an estimate; what clones share is counted in each.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.tally.bytes()
    }

    /// Bytes of all keys and values, exactly.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    /// The row under `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<RowRef<'_>> {
        self.root.get(self.hashing.hash(key), key)
    }

    /// Whether there is a record under `key`.
    #[must_use]
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.get(key).is_some()
    }

    /// Puts `row` under `key` and returns the row it replaces.
    pub fn insert(&mut self, key: &[u8], row: RowRef<'_>) -> Option<Row> {
        let put = Put { hash: self.hashing.hash(key), key, row };
        let replaced = self.root.insert(put, 0, self.hashing, &mut self.tally);
        self.len += usize::from(replaced.is_none());
        self.payload_bytes += row.value().len();
        match &replaced {
            Some(replaced) => self.payload_bytes -= replaced.value().len(),
            None => self.payload_bytes += key.len(),
        }
        replaced
    }

    /// Takes the row under `key` out of the map.
    pub fn remove(&mut self, key: &[u8]) -> Option<Row> {
        // Looking first keeps a key that is not there from copying its path.
        self.get(key)?;
        let removed = self.root.remove(self.hashing.hash(key), key, 0, self.hashing, &mut self.tally);
        if let Some(removed) = &removed {
            self.len -= 1;
            self.payload_bytes -= key.len() + removed.value().len();
        }
        removed
    }

    /// All records, in the order of their keys' hashes.
    #[must_use]
    pub fn iter(&self) -> HashedIter<'_> {
        HashedIter::all(&self.root)
    }

    /// The records that follow `key` in the order of [`HashedMap::iter`].
    ///
    /// This resumes an iteration over the same version, or another clone of the same map, behind the last key it gave:
    /// a table can be sent in chunks without holding an iterator. The key itself may be gone meanwhile. The order is
    /// the same only within one process, or for one seed.
    #[must_use]
    pub fn iter_after(&self, key: &[u8]) -> HashedIter<'_> {
        HashedIter::after(&self.root, self.hashing.hash(key), key)
    }
}

impl Default for HashedMap {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for HashedMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashedMap")
            .field("len", &self.len)
            .field("heap_bytes", &self.heap_bytes())
            .finish_non_exhaustive()
    }
}

impl<'a> IntoIterator for &'a HashedMap {
    type Item = (&'a [u8], RowRef<'a>);
    type IntoIter = HashedIter<'a>;

    fn into_iter(self) -> HashedIter<'a> {
        self.iter()
    }
}
