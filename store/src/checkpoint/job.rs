//! One checkpoint: what was frozen, and writing it.

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::WriteTransaction;
use tabularaft_schema::TableId;

use super::database::{Generation, TablesFile};
use super::disc_table::DiscTable;
use super::layout::{self, SavedTable, SavedTables};
use crate::changed_keys::ChangedKeys;
use crate::changes::Changes;
use crate::cluster_state::ClusterState;
use crate::error::StoreError;
use crate::memory::MemoryTable;
use crate::row::RowRef;

/// Everything that one checkpoint writes. It shares its records with the tables and takes none of their locks.
pub(crate) struct CheckpointJob {
    /// Jobs of an epoch that is over must not be written: the store has been replaced as a whole.
    pub(crate) epoch: u64,
    pub(crate) cluster: ClusterState,
    pub(crate) tables: Vec<TableJob>,
}

/// What a checkpoint writes of one table.
pub(crate) struct TableJob {
    pub(crate) id: TableId,
    pub(crate) generation: u64,
    /// There if this is the first checkpoint that refers to the generation.
    pub(crate) unreferred: Option<Generation>,
    pub(crate) from: u64,
    pub(crate) bytes: u64,
    pub(crate) work: TableWork,
    /// The table is read from disc, so it wants to see the new checkpoint.
    pub(crate) reopen: bool,
}

/// Changes since the last checkpoint.
pub(crate) enum TableWork {
    /// None.
    Nothing,
    /// All records go into a new generation.
    Whole(MemoryTable),
    /// The records under these keys, or their absence.
    Keys { changed: ChangedKeys, records: MemoryTable },
    /// The changes of a disc-only table; if they are whole they go into a new generation.
    Overlay(Changes),
}

/// A checkpoint that is on disc.
pub(crate) struct Checkpointed {
    pub(crate) epoch: u64,
    pub(crate) tables: BTreeMap<TableId, (u64, Option<Arc<DiscTable>>)>,
}

impl CheckpointJob {
    /// Writes the job in one durable transaction. `None` if `is_current` says that its epoch is over; that is asked
    /// when no other transaction can come in between any more.
    pub(crate) fn write(
        self,
        file: &Arc<TablesFile>,
        is_current: impl FnOnce(u64) -> bool,
    ) -> Result<Option<Checkpointed>, StoreError> {
        let transaction = file.write()?;
        if !is_current(self.epoch) {
            transaction.abort().map_err(|error| file.failed("writing", error))?;
            return Ok(None);
        }
        let before = layout::referred_generations(file, &transaction)?;
        let mut bytes = 0;
        for table in &self.tables {
            bytes += write_table(file, &transaction, table).map_err(|error| file.failed("writing", error))?;
        }
        let saved = self.saved_tables();
        layout::write_meta(file, &transaction, &self.cluster, &saved)?;
        file.commit(transaction, bytes)?;
        let checkpointed = self.reopen(file)?;
        if before.iter().any(|generation| !saved.values().any(|table| table.generation == *generation)) {
            file.sweep()?;
        }
        Ok(Some(checkpointed))
    }

    fn saved_tables(&self) -> SavedTables {
        let saved = |table: &TableJob| SavedTable {
            generation: table.generation,
            from: table.from,
            bytes: table.bytes,
        };
        self.tables.iter().map(|table| (table.id, saved(table))).collect()
    }

    fn reopen(self, file: &Arc<TablesFile>) -> Result<Checkpointed, StoreError> {
        let transaction = file.read()?;
        let mut tables = BTreeMap::new();
        for table in self.tables {
            if let Some(mut generation) = table.unreferred {
                generation.refer();
            }
            let name = layout::table_name(table.id, table.generation);
            let disc = if table.reopen { file.disc_table(&transaction, &name)?.map(Arc::new) } else { None };
            tables.insert(table.id, (table.generation, disc));
        }
        Ok(Checkpointed { epoch: self.epoch, tables })
    }
}

fn write_table(
    file: &TablesFile,
    transaction: &WriteTransaction,
    job: &TableJob,
) -> Result<usize, redb::Error> {
    if job.unreferred.is_none() && matches!(job.work, TableWork::Nothing) {
        return Ok(0);
    }
    let name = layout::table_name(job.id, job.generation);
    let mut writer =
        TableWriter { bytes: 0, buffer: Vec::new(), table: transaction.open_table(layout::records(&name))? };
    match &job.work {
        TableWork::Nothing => {}
        TableWork::Whole(records) => {
            let mut sorted: Vec<_> = records.iter().collect();
            if records.as_ordered().is_none() {
                sorted.sort_unstable_by_key(|(key, _)| *key);
            }
            for (key, row) in sorted {
                writer.put(key, Some(row))?;
            }
        }
        TableWork::Keys { changed, records } => {
            let mut sorted: Vec<&[u8]> = changed.iter().collect();
            sorted.sort_unstable();
            for key in sorted {
                writer.put(key, records.get(key))?;
            }
        }
        TableWork::Overlay(changes) => {
            // Two runs in key order cost no more than one: pages that both touch are still in the cache.
            for key in changes.deleted_keys() {
                writer.put(key, None)?;
            }
            for (key, row) in changes.puts() {
                writer.put(key, Some(row))?;
            }
        }
    }
    tracing::trace!(table = %name, bytes = writer.bytes, file = %file.path().display(), "table checkpointed");
    Ok(writer.bytes)
}

struct TableWriter<'t> {
    table: redb::Table<'t, layout::Bytes, layout::Bytes>,
    buffer: Vec<u8>,
    bytes: usize,
}

impl TableWriter<'_> {
    fn put(&mut self, key: &[u8], row: Option<RowRef<'_>>) -> Result<(), redb::StorageError> {
        self.bytes += key.len() + row.map_or(0, |row| row.encoded_bytes());
        match row {
            Some(row) => layout::insert_record(&mut self.table, key, row, &mut self.buffer),
            None => self.table.remove(key).map(drop),
        }
    }
}
