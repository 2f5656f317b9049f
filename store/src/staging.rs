//! Replacing the whole store by what another node has: at a join, and when the log no longer reaches back far enough.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use tabularaft_schema::{CopyMode, NodeName, TableDef, TableId};

use crate::checkpoint::TablesFile;
use crate::cluster_state::ClusterState;
use crate::copy::{LoadedTable, TableBuilder};
use crate::error::StoreError;
use crate::image;
use crate::{LogIndex, Position};

/// An image of another node's view, and the copies of its tables that have arrived. Nothing of it is visible, and on
/// disc nothing refers to it, until it is [installed](crate::Store::install).
pub struct Staging {
    pub(crate) cluster: ClusterState,
    pub(crate) node: NodeName,
    pub(crate) loaded: BTreeMap<TableId, LoadedTable>,
    held: BTreeMap<TableId, HeldTable>,
    file: Option<Arc<TablesFile>>,
}

/// A table that this node holds according to the image.
#[derive(Debug, Clone)]
pub struct HeldTable {
    /// The table.
    pub id: TableId,
    /// Its definition.
    pub def: Arc<TableDef>,
    /// How this node holds it.
    pub mode: CopyMode,
}

impl Staging {
    pub(crate) fn new(
        bytes: &[u8],
        node: NodeName,
        file: Option<Arc<TablesFile>>,
    ) -> Result<Self, StoreError> {
        let cluster = image::decode(bytes).map_err(|source| StoreError::Image { source })?;
        let tables = cluster.schema.tables().filter(|table| !table.def.options.local_content);
        let held = tables.filter_map(|table| {
            let mode = table.mode_on(&node)?;
            Some((table.id, HeldTable { id: table.id, def: Arc::clone(&table.def), mode }))
        });
        Ok(Self { held: held.collect(), cluster, node, loaded: BTreeMap::new(), file })
    }

    /// Where the image was taken.
    pub fn applied(&self) -> Option<Position> {
        self.cluster.applied
    }

    /// The log index at which the image was taken, and all tables have to be.
    pub fn at(&self) -> LogIndex {
        self.cluster.applied_index()
    }

    /// The tables that this node holds according to the image, those of the highest `load_order` first.
    pub fn tables(&self) -> Vec<HeldTable> {
        let mut tables: Vec<HeldTable> = self.held.values().cloned().collect();
        tables.sort_by_key(|table| (Reverse(table.def.options.load_order), table.id));
        tables
    }

    /// A builder for one of [`tables`](Self::tables).
    ///
    /// # Errors
    /// This node does not hold the table.
    pub fn builder(&self, table: TableId) -> Result<TableBuilder, StoreError> {
        let held = self.held.get(&table).ok_or(StoreError::NotHeld { table })?;
        Ok(TableBuilder::with_file(held.id, Arc::clone(&held.def), held.mode, self.file.as_ref()))
    }

    /// Adds a table that was copied from the view of which the image was taken.
    ///
    /// # Errors
    /// This node does not hold the table.
    pub fn add(&mut self, loaded: LoadedTable) -> Result<(), StoreError> {
        let table = loaded.table();
        if !self.held.contains_key(&table) {
            return Err(StoreError::NotHeld { table });
        }
        self.loaded.insert(table, loaded);
        Ok(())
    }

    /// The tables that have not been added. They are loading after the install.
    pub fn missing(&self) -> Vec<TableId> {
        self.held.keys().filter(|table| !self.loaded.contains_key(table)).copied().collect()
    }
}
