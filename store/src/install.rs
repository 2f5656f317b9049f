//! Making a staged store the store.

use std::sync::Arc;

use tabularaft_schema::{CopyMode, Table};

use crate::checkpoint::layout::{self, SavedTable, SavedTables};
use crate::checkpoint::{Generation, TablesFile};
use crate::error::StoreError;
use crate::indexes;
use crate::shared::Shared;
use crate::staging::Staging;
use crate::state::{State, Unsaved};
use crate::table_state::TableState;

/// Replaces everything but the local tables, first on disc and then in memory.
///
/// The order matters: a checkpoint that was frozen before must neither be written after the new state nor be taken for
/// its tables, so its epoch ends first; and readers see the new state only when a crash can no longer bring the old
/// one back, since the log is about to begin at the new one.
pub(crate) fn install(shared: &Arc<Shared>, mut staging: Staging) -> Result<(), StoreError> {
    shared.check()?;
    let mut state = shared.lock();
    let (image, applied) = (staging.applied(), state.cluster.applied);
    if image < applied {
        return Err(StoreError::ImageTooOld { image, applied });
    }
    state.epoch = shared.begin_epoch();
    if let Some(file) = &shared.file {
        let written = write(file, &staging);
        shared.fatal(written)?;
        for loaded in staging.loaded.values_mut() {
            loaded.generation.as_mut().map(Generation::refer);
        }
    }
    let replaced = replace(&mut state, staging, shared);
    shared.fatal(replaced)?;
    let indexing = indexes::start_wanted(shared, &mut state);
    shared.fatal(indexing)?;
    state.unsaved = Unsaved::default();
    state.recorder.reset();
    shared.barriers.clear();
    shared.control.set_checkpointed(state.cluster.applied);
    // Before the view: its history must not seem to reach back over what was skipped.
    shared.history.reset(state.cluster.next_index());
    state.publish(shared);
    drop(state);
    if let Some(file) = &shared.file {
        // The install is done, whatever comes of this; what is left is swept at the next start.
        if let Err(error) = file.sweep() {
            tracing::warn!(%error, "the replaced tables could not be removed from the disc yet");
        }
    }
    Ok(())
}

fn write(file: &Arc<TablesFile>, staging: &Staging) -> Result<(), StoreError> {
    let from = staging.applied().map_or(0, |applied| applied.index + 1);
    let saved = staging.loaded.values().filter_map(|loaded| {
        let generation = loaded.generation.as_ref()?.number();
        Some((loaded.table(), SavedTable { generation, from, bytes: loaded.bytes }))
    });
    let saved: SavedTables = saved.collect();
    let transaction = file.write()?;
    layout::write_meta(file, &transaction, &staging.cluster, &saved)?;
    file.commit(transaction, 0)
}

fn replace(state: &mut State, staging: Staging, shared: &Arc<Shared>) -> Result<(), StoreError> {
    let Staging { cluster, node, mut loaded, .. } = staging;
    state.clear_tables();
    state.node = node;
    let from = cluster.applied.map_or(0, |applied| applied.index + 1);
    state.cluster = cluster;
    let schema = Arc::clone(&state.cluster.schema);
    for table in schema.tables() {
        let Some(mode) = table.mode_on(&state.node) else { continue };
        if table.def.options.local_content {
            keep_local(state, table, mode)?;
            continue;
        }
        state.await_records(table, mode, crate::LogIndex(from.saturating_sub(1)));
        let Some(loaded) = loaded.remove(&table.id) else { continue };
        if let Some(table) = state.tables.get_mut(&table.id) {
            table.take(loaded, shared.file.is_some());
            table.from = from;
        }
        state.follow_copied_mode(table.id, shared)?;
    }
    state.remove_local_tables_without_definition()
}

fn keep_local(state: &mut State, table: &Table, mode: CopyMode) -> Result<(), StoreError> {
    let is_held = |held: &TableState| held.mode == mode;
    if state.tables.get(&table.id).is_some_and(is_held) {
        return Ok(());
    }
    state.create_table(table, mode, crate::LogIndex(0))
}
