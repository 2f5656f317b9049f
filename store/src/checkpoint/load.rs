//! Reading the checkpoint at start.

use std::collections::BTreeMap;
use std::sync::Arc;

use tabularaft_schema::{TableDef, TableId, TableKind};

use super::database::TablesFile;
use super::disc_table::DiscTable;
use super::layout::{self, SavedTables};
use super::side_by_side;
use crate::cluster_state::ClusterState;
use crate::error::StoreError;
use crate::memory::{MemoryTable, OrderedBuilder};
use crate::table_range::ALL_KEYS;
use crate::threads::Threads;

/// The last checkpoint, with the tables as they are on disc.
pub(crate) struct LoadedCheckpoint {
    pub(crate) cluster: ClusterState,
    pub(crate) saved: SavedTables,
    pub(crate) tables: BTreeMap<TableId, Arc<DiscTable>>,
}

/// Reads everything but the records; `None` if there has been no checkpoint yet.
pub(crate) fn load(file: &Arc<TablesFile>) -> Result<Option<LoadedCheckpoint>, StoreError> {
    let transaction = file.read()?;
    let Some((cluster, saved)) = layout::read_meta(file, &transaction)? else { return Ok(None) };
    let mut tables = BTreeMap::new();
    for (id, table) in &saved {
        let name = layout::table_name(*id, table.generation);
        let disc = file.disc_table(&transaction, &name)?.ok_or_else(|| StoreError::Damaged {
            file: file.path().to_owned(),
            what: format!("table {name}"),
            why: "the checkpoint refers to it, but it is not there".to_owned(),
        })?;
        tables.insert(*id, Arc::new(disc));
    }
    Ok(Some(LoadedCheckpoint { cluster, saved, tables }))
}

/// Reads a table into memory.
pub(crate) fn load_memory(
    def: &TableDef,
    disc: &Arc<DiscTable>,
    threads: &dyn Threads,
) -> Result<MemoryTable, StoreError> {
    if def.kind == TableKind::Set {
        return Ok(MemoryTable::Hashed(side_by_side::load(disc, threads)?));
    }
    let mut builder = OrderedBuilder::new();
    disc.for_each(ALL_KEYS, |key, row| {
        builder.push(key, row).expect("the database gives its records in key order");
    })?;
    Ok(MemoryTable::Ordered(builder.finish()))
}
