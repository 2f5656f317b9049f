//! A secondary index in a view.

use std::sync::Arc;

use tabularaft_schema::{FieldType, IndexDef, IndexError, IndexKeys};

use super::entry::{IndexBounds, IndexEntries};
use super::secondary_index::BuildProgress;
use crate::memory::OrderedMap;

/// A secondary index of a [`TableView`](crate::TableView), at the same log index as the records.
#[derive(Clone)]
pub struct IndexView {
    pub(crate) def: Arc<IndexDef>,
    pub(crate) active: bool,
    pub(crate) keys: Result<Arc<IndexKeys>, Arc<IndexError>>,
    pub(crate) entries: ViewedEntries,
}

#[derive(Clone)]
pub(crate) enum ViewedEntries {
    Ready(OrderedMap),
    Building(Arc<BuildProgress>),
}

/// Whether an index can be read on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexState {
    /// It holds the entries of every record of its view.
    Ready,
    /// It is being built from the records.
    Building {
        /// How many records have been looked at.
        records: u64,
        /// How many there are to look at; 0 before that is known.
        records_total: u64,
    },
    /// This program cannot find its values.
    Unavailable {
        /// Why not.
        why: Arc<IndexError>,
    },
}

/// Values that more than one record has, where only one may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Duplicates {
    /// How many values.
    pub count: u64,
    /// The first of them, encoded, each with the storage keys of some of its records.
    pub first: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
}

/// Storage keys listed for one value that occurs more than once.
const KEYS_LISTED_MAX: usize = 4;

impl Duplicates {
    /// Those of values and storage keys that come in order, of which the first `limit` values are listed.
    pub fn among<'a>(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>, limit: usize) -> Self {
        let mut found = Self::default();
        let mut before: Option<(&[u8], &[u8])> = None;
        let mut again = false;
        for (value, key) in entries {
            let same = before.filter(|(before, _)| *before == value);
            if let Some((_, first)) = same {
                if !again {
                    found.count += 1;
                    if found.first.len() < limit {
                        found.first.push((value.to_vec(), vec![first.to_vec()]));
                    }
                }
                let listed = found.first.last_mut().filter(|(listed, _)| listed == value);
                if let Some((_, keys)) = listed.filter(|(_, keys)| keys.len() < KEYS_LISTED_MAX) {
                    keys.push(key.to_vec());
                }
            }
            again = same.is_some();
            before = Some((value, key));
        }
        found
    }
}

impl IndexView {
    /// Its definition.
    #[must_use]
    pub fn def(&self) -> &Arc<IndexDef> {
        &self.def
    }

    /// Whether the cluster may rest on it: an index that was added at run time is active once every node has built it.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Whether it forbids two records with one value.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.active && self.def.unique
    }

    /// Whether it can be read on this node, which does not depend on [`is_active`](Self::is_active).
    #[must_use]
    pub fn state(&self) -> IndexState {
        match (&self.keys, &self.entries) {
            (Err(why), _) => IndexState::Unavailable { why: Arc::clone(why) },
            (Ok(_), ViewedEntries::Ready(_)) => IndexState::Ready,
            (Ok(_), ViewedEntries::Building(progress)) => {
                let (records, records_total) = progress.get();
                IndexState::Building { records, records_total }
            }
        }
    }

    /// Whether it can be read on this node.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready().is_some()
    }

    /// How many entries it has; a record has one for each of its values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ready().map_or(0, OrderedMap::len)
    }

    /// Whether it has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap that it takes, as an estimate.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ready().map_or(0, OrderedMap::heap_bytes)
    }

    /// How its values are found in a record; `None` if this program cannot.
    #[must_use]
    pub fn keys(&self) -> Option<&IndexKeys> {
        self.keys.as_ref().ok().map(Arc::as_ref)
    }

    /// The type of its values; `None` if this program does not know.
    #[must_use]
    pub fn value_type(&self) -> Option<&FieldType> {
        self.keys().map(IndexKeys::value_type)
    }

    /// Whether this encoded value stands for a missing one, of which there may be any number even in a unique index.
    #[must_use]
    pub fn is_missing(&self, value: &[u8]) -> bool {
        self.keys().is_some_and(|keys| keys.is_missing(value))
    }

    /// The entries within the bounds, in the order of their values or in reverse. An index that is not ready has none:
    /// [`TableView::index`](crate::TableView::index) gives only ready ones.
    #[must_use]
    pub fn entries(&self, bounds: &IndexBounds, reverse: bool) -> IndexEntries<'_> {
        match (self.ready(), self.value_type()) {
            (Some(entries), Some(value_type)) => {
                IndexEntries::new(entries.range(bounds.as_bytes()), reverse, value_type)
            }
            _ => IndexEntries::nothing(),
        }
    }

    /// The values that occur more than once, of which the first `limit` are listed. Looks at all entries.
    #[must_use]
    pub fn duplicates(&self, limit: usize) -> Duplicates {
        let entries = self.entries(&IndexBounds::ALL, false);
        let present = entries.filter(|entry| !self.is_missing(entry.value()));
        Duplicates::among(present.map(|entry| (entry.value(), entry.storage_key())), limit)
    }

    fn ready(&self) -> Option<&OrderedMap> {
        match &self.entries {
            ViewedEntries::Ready(entries) => Some(entries),
            ViewedEntries::Building(_) => None,
        }
    }
}

impl std::fmt::Debug for IndexView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexView")
            .field("def", &self.def)
            .field("active", &self.active)
            .field("state", &self.state())
            .field("entries", &self.len())
            .finish_non_exhaustive()
    }
}
