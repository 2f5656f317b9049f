//! Reading several tables at one moment, without any network.

use std::sync::Arc;

use tabularaft_schema::Record;
use tabularaft_store::{LogIndex, View};

use super::known::copy_in;
use super::read_table::ReadTable;
use super::reading::Reading;
use crate::error::ReadError;
use crate::inner::NodeInner;
use crate::table::Table;

/// All tables of this node at one moment. Taking one costs next to nothing; while it is held, what is overwritten or
/// deleted meanwhile is kept.
///
/// It shows what this node has applied: its own writes, and those of others up to a moment ago. For a read of what the
/// whole cluster has acknowledged, wait with [`Table::linearize`] before taking the view.
pub struct ReadView {
    node: Arc<NodeInner>,
    view: Arc<View>,
}

impl ReadView {
    pub(super) fn of(node: &Arc<NodeInner>) -> Result<Self, ReadError> {
        let engine = node.engine().ok_or(ReadError::Stopped)?;
        Ok(Self::at(node, engine.store.view()))
    }

    pub(crate) fn at(node: &Arc<NodeInner>, view: Arc<View>) -> Self {
        Self { node: Arc::clone(node), view }
    }

    /// The table of a record type.
    ///
    /// # Errors
    ///
    /// When there is no such table, or this node has no loaded copy of it.
    pub fn table<R: Record>(&self) -> Result<ReadTable<'_, R>, ReadError> {
        let copy = self.node.known_types.copy_of::<R>(&self.view)?;
        Ok(ReadTable::new(Reading { copy, state: None }))
    }

    /// The table of a handle, which spares looking it up by its name.
    ///
    /// # Errors
    ///
    /// As [`ReadView::table`].
    pub fn open<R: Record>(&self, table: &Table<R>) -> Result<ReadTable<'_, R>, ReadError> {
        let copy = copy_in(self.view.table(table.id_in(&self.view)?), table.name())?;
        Ok(ReadTable::new(Reading { copy, state: None }))
    }

    /// The log index of the view.
    pub fn index(&self) -> LogIndex {
        self.view.applied_index()
    }
}
