//! What a node says of its indexes.

use tabularaft_schema::{IndexDef, TableName};
use tabularaft_store::{IndexState, TableView};

use crate::error::ReadError;
use crate::node::Node;

/// A secondary index as this node has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexInfo {
    /// Its definition.
    pub def: IndexDef,
    /// Whether all nodes have built it, so that its promise of uniqueness holds.
    pub active: bool,
    /// Whether it can be read on this node.
    pub state: IndexState,
    /// How many entries it has: one for each value of each record.
    pub entries: u64,
    /// Bytes of memory that it takes, as an estimate.
    pub bytes: u64,
}

impl IndexInfo {
    pub(crate) fn all(copy: &TableView) -> Vec<Self> {
        let info = |index: &tabularaft_store::IndexView| Self {
            def: IndexDef::clone(index.def()),
            active: index.is_active(),
            state: index.state(),
            entries: index.len() as u64,
            bytes: index.bytes() as u64,
        };
        copy.indexes().iter().map(info).collect()
    }
}

impl Node {
    /// The secondary indexes of a table, as this node has them.
    ///
    /// # Errors
    ///
    /// When there is no such table, or this node holds no copy.
    pub fn indexes(&self, table: &TableName) -> Result<Vec<IndexInfo>, ReadError> {
        let engine = self.inner.engine().ok_or(ReadError::Stopped)?;
        let view = engine.store.view();
        let known =
            view.schema().table(table.as_str()).ok_or_else(|| ReadError::NoSuchTable(table.clone()))?;
        let copy = view.table(known.id).ok_or_else(|| ReadError::NoCopy(table.clone()))?;
        Ok(IndexInfo::all(copy))
    }
}
