//! Which records of a table in memory the last checkpoint does not have.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use crate::changes::Changes;
use crate::table_state::RecordChange;

/// A set of half a million keys takes a tenth of a second to grow, and it grows under the writer's lock; so there are
/// many sets, which grow one by one.
const SHARD_BITS: u32 = 7;

/// The keys of changed records: only these, since the records themselves are at hand in memory.
#[derive(Default)]
pub(crate) struct ChangedKeys {
    /// Nothing of the last checkpoint counts, so that all records have to be written; there are no keys then.
    whole: bool,
    /// Empty until the first key comes.
    shards: Vec<HashSet<Box<[u8]>>>,
}

impl ChangedKeys {
    /// No checkpoint has any of the records.
    pub(crate) fn whole() -> Self {
        Self { whole: true, shards: Vec::new() }
    }

    /// The keys of a disc-only table's changes.
    pub(crate) fn of(changes: &Changes) -> Self {
        if changes.is_whole() {
            return Self::whole();
        }
        let mut changed = Self::default();
        changes.puts().iter().for_each(|(key, _)| changed.insert(key));
        changes.deleted_keys().for_each(|key| changed.insert(key));
        changed
    }

    pub(crate) fn note(&mut self, change: RecordChange<'_>) {
        match change {
            _ if self.whole => {}
            RecordChange::Put { key, .. } | RecordChange::Delete { key } => self.insert(key),
            RecordChange::Clear => *self = Self::whole(),
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(crate) fn has_keys(&self) -> bool {
        !self.shards.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.shards.iter().flatten().map(AsRef::as_ref)
    }

    fn insert(&mut self, key: &[u8]) {
        if self.shards.is_empty() {
            self.shards.resize_with(1 << SHARD_BITS, HashSet::new);
        }
        let shard = xxh3_64(key) >> (u64::BITS - SHARD_BITS);
        if let Some(shard) = self.shards.get_mut(shard as usize)
            && !shard.contains(key)
        {
            shard.insert(key.into());
        }
    }
}
