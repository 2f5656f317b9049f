//! Opening a store.

use std::path::Path;
use std::sync::Arc;

use tabularaft_schema::{CopyMode, Table};

use crate::checkpoint::layout::{self, SavedTable};
use crate::checkpoint::{self, DiscTable, LoadedCheckpoint, TablesFile};
use crate::cluster_state::ClusterState;
use crate::disc_records::DiscRecords;
use crate::error::StoreError;
use crate::history::Recorder;
use crate::local::LocalTables;
use crate::options::StoreOptions;
use crate::state::{State, Unsaved};
use crate::table_state::{Body, Saved, TableState};
use crate::threads::Threads;
use crate::{LogIndex, Position};

/// The state as of the last checkpoint, the file it came from, and its position.
pub(crate) type Opened = (State, Option<Arc<TablesFile>>, Option<Position>);

pub(crate) fn open(options: &StoreOptions) -> Result<Opened, StoreError> {
    let file = options.dir.as_deref().map(|dir| open_file(dir, options)).transpose()?;
    let local = LocalTables::new(options);
    let loaded = file.as_ref().map(checkpoint::load).transpose()?.flatten();
    let cluster = loaded.as_ref().map_or_else(ClusterState::default, |loaded| loaded.cluster.clone());
    if let (Some(file), Some(purged)) = (&file, options.purged_upto) {
        reaches(file.path(), cluster.applied.map(Position::log_index), purged)?;
    }
    let mut state = State::new(options.node.clone(), cluster, file.clone(), local, options.load_buffer_bytes);
    state.replayed_upto = options.replayed_upto;
    if let Some(loaded) = loaded {
        load_tables(&mut state, &loaded, options.threads.as_ref())?;
    }
    state.unsaved = Unsaved::default();
    state.recorder = Recorder::new(options.history_bytes > 0);
    let checkpointed = state.cluster.applied;
    Ok((state, file, checkpointed))
}

fn open_file(dir: &Path, options: &StoreOptions) -> Result<Arc<TablesFile>, StoreError> {
    options.disc.files().create_dir_all(dir).map_err(|error| StoreError::io("creating", dir, error))?;
    TablesFile::open(dir.join(layout::FILE_NAME), Arc::clone(&options.disc), options.cache_bytes)
}

/// What the log has let go of is in the checkpoint, or it is nowhere on this node.
fn reaches(file: &Path, reached: Option<LogIndex>, purged: LogIndex) -> Result<(), StoreError> {
    if reached >= Some(purged) {
        return Ok(());
    }
    let reached = reached.map_or_else(|| "is empty".to_owned(), |at| format!("ends at log index {at}"));
    Err(StoreError::Damaged {
        file: file.to_owned(),
        what: "the checkpoint".to_owned(),
        why: format!("it {reached}, but the log begins behind {purged}"),
    })
}

/// Tables that the checkpoint has not are loading, ram tables among them: their records come from a peer, or start
/// anew once it is certain that no peer has them.
fn load_tables(
    state: &mut State,
    loaded: &LoadedCheckpoint,
    threads: &dyn Threads,
) -> Result<(), StoreError> {
    let (schema, applied) = (Arc::clone(&state.cluster.schema), state.applied_index());
    for table in schema.tables() {
        let Some(mode) = table.mode_on(&state.node) else { continue };
        match (loaded.saved.get(&table.id), loaded.tables.get(&table.id)) {
            _ if table.def.options.local_content => state.create_table(table, mode, applied)?,
            (Some(saved), Some(disc)) => state.insert_table(loaded_table(table, mode, saved, disc, threads)?),
            _ => state.await_records(table, mode, applied),
        }
    }
    Ok(())
}

fn loaded_table(
    table: &Table,
    mode: CopyMode,
    saved: &SavedTable,
    disc: &Arc<DiscTable>,
    threads: &dyn Threads,
) -> Result<TableState, StoreError> {
    let body = match mode {
        CopyMode::DiscOnly => Body::Disc(DiscRecords::of(Arc::clone(disc), disc.len()?, saved.bytes)),
        _ => Body::memory(checkpoint::load_memory(&table.def, disc, threads)?, false),
    };
    let on_disc = Saved { generation: Some(saved.generation), unreferred: None };
    let mut state = TableState {
        body,
        from: saved.from,
        saved: mode.is_on_disc().then_some(on_disc),
        ..TableState::empty(table.id, Arc::clone(&table.def), mode, saved.from, None)
    };
    state.indexes.want_all();
    Ok(state)
}
