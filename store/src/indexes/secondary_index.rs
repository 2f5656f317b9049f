//! One secondary index as the writer has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tabularaft_schema::{IndexDef, IndexError, IndexKeys, TableDef};

use super::view::{IndexView, ViewedEntries};
use crate::changes::Changes;
use crate::memory::OrderedMap;
use crate::row::RowRef;
use crate::table_state::RecordChange;

/// An index with its entries, or on its way to them.
pub(crate) struct SecondaryIndex {
    pub(crate) def: Arc<IndexDef>,
    /// Whether the index is complete wherever the cluster needs it, so that its promise of uniqueness holds.
    pub(crate) active: bool,
    pub(crate) keys: Result<Arc<IndexKeys>, Arc<IndexError>>,
    pub(crate) content: Content,
}

/// The entries of an index.
pub(crate) enum Content {
    /// Those of all records.
    Ready(OrderedMap),
    /// None yet: they have to be built from the records.
    Wanted,
    /// Being built from the records of an earlier view.
    Building(Building),
}

/// An index that is being built.
pub(crate) struct Building {
    /// Tells this attempt from an earlier one that was given up.
    pub(crate) ticket: u64,
    /// How the entries have changed since that view, or since the builder last asked.
    pub(crate) since: Changes,
    pub(crate) progress: Arc<BuildProgress>,
}

/// How far the building of an index is.
#[derive(Debug, Default)]
pub(crate) struct BuildProgress {
    records: AtomicU64,
    records_total: u64,
}

impl BuildProgress {
    pub(crate) fn new(records_total: u64) -> Self {
        Self { records: AtomicU64::new(0), records_total }
    }

    pub(crate) fn reached(&self, records: u64) {
        self.records.store(records, Ordering::Relaxed);
    }

    /// Records looked at, and how many there are to look at.
    pub(crate) fn get(&self) -> (u64, u64) {
        (self.records.load(Ordering::Relaxed), self.records_total)
    }
}

impl SecondaryIndex {
    pub(crate) fn new(table: &TableDef, def: &IndexDef, content: Content) -> Self {
        let keys = IndexKeys::new(table, def).map(Arc::new).map_err(Arc::new);
        if let Err(error) = &keys {
            tracing::warn!(%error, "a secondary index is not available on this node");
        }
        Self { def: Arc::new(def.clone()), active: true, keys, content }
    }

    /// Whether somebody has to begin to build it.
    pub(crate) fn is_wanted(&self) -> bool {
        matches!(self.content, Content::Wanted) && self.keys.is_ok()
    }

    /// How its values are found, if it follows changes of the records.
    pub(crate) fn followed(&self) -> Option<&Arc<IndexKeys>> {
        match self.content {
            Content::Wanted => None,
            Content::Ready(_) | Content::Building(_) => self.keys.as_ref().ok(),
        }
    }

    pub(crate) fn insert(&mut self, entry: &[u8]) {
        match &mut self.content {
            Content::Ready(entries) => drop(entries.insert(entry, RowRef::EMPTY)),
            Content::Building(building) => building.since.put(entry, RowRef::EMPTY),
            Content::Wanted => {}
        }
    }

    pub(crate) fn remove(&mut self, entry: &[u8]) {
        match &mut self.content {
            Content::Ready(entries) => drop(entries.remove(entry)),
            Content::Building(building) => building.since.delete(entry),
            Content::Wanted => {}
        }
    }

    /// No record is left.
    pub(crate) fn clear(&mut self) {
        match &mut self.content {
            Content::Building(building) => building.since.apply(RecordChange::Clear),
            Content::Ready(_) | Content::Wanted => self.content = Content::Ready(OrderedMap::new()),
        }
    }

    pub(crate) fn view(&self) -> IndexView {
        let entries = match &self.content {
            _ if self.keys.is_err() => ViewedEntries::Building(Arc::default()),
            Content::Ready(entries) => ViewedEntries::Ready(entries.clone()),
            Content::Building(building) => ViewedEntries::Building(Arc::clone(&building.progress)),
            Content::Wanted => ViewedEntries::Building(Arc::default()),
        };
        IndexView { def: Arc::clone(&self.def), active: self.active, keys: self.keys.clone(), entries }
    }
}
