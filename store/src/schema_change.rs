//! Changes of the schema, and what they mean for the tables of this node.

use std::sync::Arc;

use tabularaft_schema::{CopyMode, Schema, SchemaChange, Table, TableId};

use crate::LogIndex;
use crate::error::StoreError;
use crate::load_buffer::LoadBuffer;
use crate::reaper::Garbage;
use crate::shared::Shared;
use crate::state::State;
use crate::table_state::TableState;

/// A disc-only table whose records have to be read into memory, because its mode has changed.
pub(crate) struct RefillRequest {
    pub(crate) table: TableId,
    pub(crate) ticket: u64,
}

impl State {
    /// Applies a change from the entry at `at`. One that does not fit changes nothing, on every node alike.
    pub(crate) fn apply_schema(
        &mut self,
        change: &SchemaChange,
        at: LogIndex,
        shared: &Arc<Shared>,
    ) -> Result<(), StoreError> {
        let next = match self.cluster.schema.apply(change) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, index = at.0, "a schema change in the log does not apply");
                return Ok(());
            }
        };
        if let SchemaChange::RenameNode { from, to } = change
            && *from == self.node
        {
            self.node = to.clone();
        }
        let before = std::mem::replace(&mut self.cluster.schema, Arc::new(next));
        let held_before: Vec<TableId> = self.tables.keys().copied().collect();
        for request in self.follow_schema(&before, at)? {
            crate::refill::start(shared, self, request)?;
        }
        let (after, tables) = (&self.cluster.schema, &self.tables);
        self.recorder.schema(&before, after, &held_before, |id| tables.contains_key(&id));
        crate::indexes::start_wanted(shared, self)
    }

    /// Makes the tables of this node those that the schema says. `before` is the schema they were made for.
    fn follow_schema(&mut self, before: &Schema, at: LogIndex) -> Result<Vec<RefillRequest>, StoreError> {
        let schema = Arc::clone(&self.cluster.schema);
        let ids: Vec<TableId> = self.tables.keys().copied().collect();
        for id in ids {
            if schema.table_by_id(id).and_then(|table| table.mode_on(&self.node)).is_none() {
                self.remove_table(id);
                self.local.remove(id)?;
            }
        }
        let mut refills = Vec::new();
        for table in schema.tables() {
            let Some(mode) = table.mode_on(&self.node) else { continue };
            if self.tables.contains_key(&table.id) {
                self.follow_definition(table);
                refills.extend(self.follow_mode(table, mode)?);
            } else if before.table_by_id(table.id).is_some() && !table.def.options.local_content {
                self.await_records(table, mode, at);
            } else {
                self.create_table(table, mode, at)?;
            }
        }
        Ok(refills)
    }

    fn follow_definition(&mut self, table: &Table) {
        let Some(state) = self.tables.get_mut(&table.id) else { return };
        if let Some(entries) = state.follow_definition(table) {
            self.garbage.extend(entries.into_iter().map(Garbage::Index));
            self.note_changed(table.id);
        }
    }

    /// A table that is new in the cluster, or whose content is this node's own.
    pub(crate) fn create_table(
        &mut self,
        table: &Table,
        mode: CopyMode,
        at: LogIndex,
    ) -> Result<(), StoreError> {
        let def = Arc::clone(&table.def);
        let replayed = self.replayed_upto.is_some_and(|upto| at <= upto);
        if replayed && !mode.is_on_disc() && !def.options.local_content {
            self.await_records(table, mode, at);
            return Ok(());
        }
        let state = if def.options.local_content {
            self.local.open(table.id, def, mode)?
        } else {
            TableState::empty(table.id, def, mode, at.0, self.file.as_ref())
        };
        self.insert_table(state);
        Ok(())
    }

    /// A table that other nodes have, and this one has to copy at log index `at` or later.
    pub(crate) fn await_records(&mut self, table: &Table, mode: CopyMode, at: LogIndex) {
        let buffer = LoadBuffer::new(at, self.load_buffer_bytes);
        self.insert_table(TableState::loading(table.id, Arc::clone(&table.def), mode, buffer));
    }

    /// Reads a copied table into memory, if its mode has changed since the copying began.
    pub(crate) fn follow_copied_mode(&mut self, id: TableId, shared: &Arc<Shared>) -> Result<(), StoreError> {
        let (ticket, durable) = (self.next_ticket(), self.file.is_some());
        let Some(table) = self.tables.get_mut(&id) else { return Ok(()) };
        match table.set_mode(table.mode, durable, ticket) {
            Some(ticket) => crate::refill::start(shared, self, RefillRequest { table: id, ticket }),
            None => Ok(()),
        }
    }

    /// Local tables outlive the state that they were defined in, as long as they are defined.
    pub(crate) fn remove_local_tables_without_definition(&mut self) -> Result<(), StoreError> {
        let ids: Vec<TableId> = self.tables.keys().copied().collect();
        for id in ids {
            if self.cluster.schema.table_by_id(id).is_none() {
                self.remove_table(id);
                self.local.remove(id)?;
            }
        }
        Ok(())
    }

    fn follow_mode(&mut self, table: &Table, mode: CopyMode) -> Result<Option<RefillRequest>, StoreError> {
        let ticket = self.next_ticket();
        let Some(state) = self.tables.get_mut(&table.id) else { return Ok(None) };
        if state.mode == mode {
            return Ok(None);
        }
        if table.def.options.local_content {
            self.local.set_mode(state, mode)?;
            self.note_changed(table.id);
            return Ok(None);
        }
        let ticket = state.set_mode(mode, self.file.is_some(), ticket);
        self.note_changed(table.id);
        self.unsaved.anything = true;
        Ok(ticket.map(|ticket| RefillRequest { table: table.id, ticket }))
    }
}
