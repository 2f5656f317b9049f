//! Copies that are being loaded: how far they are, and from whom the operator wants them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tabularaft_schema::{NodeName, TableId};

use crate::copy::CopyProgress;
use crate::wire::LoadProgress;

#[derive(Default)]
pub(crate) struct Loading {
    tables: Mutex<HashMap<TableId, Entry>>,
}

#[derive(Default)]
struct Entry {
    progress: Option<LoadProgress>,
    preferred: Option<NodeName>,
}

impl Loading {
    pub(super) fn tell(&self, table: TableId, progress: &CopyProgress) {
        let progress = LoadProgress {
            records: progress.records,
            records_total: progress.records_total,
            bytes: progress.bytes,
            bytes_total: progress.bytes_total,
        };
        self.lock().entry(table).or_default().progress = Some(progress);
    }

    pub(super) fn ended(&self, table: TableId) {
        self.lock().remove(&table);
    }

    pub(crate) fn progress(&self, table: TableId) -> Option<LoadProgress> {
        self.lock().get(&table).and_then(|entry| entry.progress)
    }

    pub(crate) fn prefer(&self, table: TableId, from: NodeName) {
        self.lock().entry(table).or_default().preferred = Some(from);
    }

    pub(super) fn preferred(&self, table: TableId) -> Option<NodeName> {
        self.lock().get(&table).and_then(|entry| entry.preferred.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TableId, Entry>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
