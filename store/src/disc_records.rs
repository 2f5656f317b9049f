//! The records of a disc-only copy.

use std::sync::Arc;

use crate::changed_keys::ChangedKeys;
use crate::changes::{Changes, Overlaid};
use crate::checkpoint::DiscTable;
use crate::error::StoreError;
use crate::memory::MemoryTable;
use crate::row::{Row, RowRef};
use crate::table_range::{KeyBounds, Merged};
use crate::table_state::RecordChange;

/// The records of a disc-only copy: what is on disc under what is not there yet.
#[derive(Clone)]
pub(crate) struct DiscRecords {
    /// Changes since the checkpoint that is being written, or since the last one if none is.
    pub(crate) pending: Changes,
    /// Changes that the checkpoint being written will hold.
    pub(crate) frozen: Option<Changes>,
    /// The last checkpoint; `None` if the table is not in it.
    pub(crate) disc: Option<Arc<DiscTable>>,
    pub(crate) len: u64,
    /// Keys and values together.
    pub(crate) bytes: u64,
}

impl DiscRecords {
    /// A table that no checkpoint has yet.
    pub(crate) fn empty() -> Self {
        Self { pending: Changes::whole(), frozen: None, disc: None, len: 0, bytes: 0 }
    }

    /// A table that is on disc as a whole.
    pub(crate) fn of(disc: Arc<DiscTable>, len: u64, bytes: u64) -> Self {
        Self { pending: Changes::default(), frozen: None, disc: Some(disc), len, bytes }
    }

    /// A table that was held in memory, and is on disc but for the keys that have changed since.
    pub(crate) fn from_memory(records: &MemoryTable, changed: &ChangedKeys, disc: Arc<DiscTable>) -> Self {
        let mut pending = if changed.is_whole() { Changes::whole() } else { Changes::default() };
        if changed.is_whole() {
            records.iter().for_each(|(key, row)| pending.put(key, row));
        }
        for key in changed.iter() {
            match records.get(key) {
                Some(row) => pending.put(key, row),
                None => pending.delete(key),
            }
        }
        Self {
            pending,
            frozen: None,
            disc: Some(disc),
            len: records.len() as u64,
            bytes: records.payload_bytes() as u64,
        }
    }

    /// Changes the records, counts them, and gives back what was under the key.
    pub(crate) fn apply(&mut self, change: RecordChange<'_>) -> Result<Option<Row>, StoreError> {
        let old = match change {
            RecordChange::Put { key, row } => {
                let old = self.discount(key)?;
                self.len += 1;
                self.bytes += stored_bytes(key, row);
                old
            }
            RecordChange::Delete { key } => self.discount(key)?,
            RecordChange::Clear => {
                (self.len, self.bytes) = (0, 0);
                None
            }
        };
        self.pending.apply(change);
        Ok(old)
    }

    /// Takes a record that is about to be replaced out of the counts. This look at the disc is what knowing how many
    /// records there are costs.
    fn discount(&mut self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        let old = self.get(key)?;
        if let Some(row) = &old {
            self.len = self.len.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(stored_bytes(key, row.as_row_ref()));
        }
        Ok(old)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        for changes in self.overlays() {
            match changes.get(key) {
                Overlaid::Record(row) => return Ok(Some(row.to_row())),
                Overlaid::Nothing => return Ok(None),
                Overlaid::Unchanged => {}
            }
        }
        self.disc.as_ref().map_or(Ok(None), |disc| disc.get(key))
    }

    fn overlays(&self) -> impl Iterator<Item = &Changes> {
        std::iter::once(&self.pending).chain(&self.frozen)
    }

    pub(crate) fn merged(&self, bounds: KeyBounds<'_>, reverse: bool) -> Result<Merged<'_>, StoreError> {
        Merged::new(self.overlays(), self.disc.as_deref(), bounds, reverse)
    }
}

fn stored_bytes(key: &[u8], row: RowRef<'_>) -> u64 {
    (key.len() + row.value().len()) as u64
}
