//! The store: one writer, any number of readers, a checkpoint behind them.

use std::sync::{Arc, PoisonError};

use arc_swap::Guard;
use tabularaft_schema::{CopyMode, TableId, TableName};

use crate::applier::Applier;
use crate::checkpoint::{CheckpointThread, NoCheckpoint, TablesFile};
use crate::copy::TableBuilder;
use crate::error::StoreError;
use crate::history::History;
use crate::indexes;
use crate::open;
use crate::options::StoreOptions;
use crate::reaper::Reaper;
use crate::shared::Shared;
use crate::staging::Staging;
use crate::table_view::CopyState;
use crate::threads::Running;
use crate::view::View;
use crate::{Position, RequestId, Seen};

/// All tables that this node holds.
///
/// Reading goes through [`view`](Self::view) and takes no lock. Writing goes through [`writer`](Self::writer), one
/// holder at a time. Dropping the store without [`close`](Self::close) writes no checkpoint, as if the process had been
/// killed: the log has what the last checkpoint lacks.
///
/// While a [`View`] with a disc-only table is held, the database file stays open.
///
/// ```
/// use tabularaft_schema::{FieldType, TableDef};
/// use tabularaft_store::{Batch, Effect, Position, Store, StoreOptions};
///
/// let store = Store::open(StoreOptions::new("node@host".parse()?))?;
/// let def = TableDef::builder("note")?.field("id", FieldType::U64).key("id").build()?;
/// let batch = Batch { term: 1, decided: Vec::new(), effects: vec![Effect::Schema(def.into())], rests_on: None };
///
/// let mut writer = store.writer();
/// writer.apply(Position::new(1, 0), &batch.encode(true))?;
/// assert!(store.view().schema().table("note").is_none(), "staged, but not published");
/// writer.publish();
/// drop(writer);
/// let view = store.view();
/// let table = view.schema().table("note").expect("it was created");
/// assert_eq!(view.table(table.id).map(|copy| copy.len()), Some(0));
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Store {
    shared: Arc<Shared>,
    reaping: Box<dyn Running>,
    /// `None`: a node without a disc.
    checkpointing: Option<Box<dyn Running>>,
}

/// How this node holds a table, for status output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStatus {
    /// The table's id.
    pub id: TableId,
    /// Its name.
    pub name: TableName,
    /// How this node holds it.
    pub mode: CopyMode,
    /// Whether the copy can be read.
    pub state: CopyState,
    /// How many records it holds.
    pub records: u64,
    /// What they take, as an estimate.
    pub bytes: u64,
}

impl Store {
    /// Opens the store as its last checkpoint left it: the log is to be applied from there.
    ///
    /// # Errors
    /// The directory or a file in it cannot be used, is damaged, or was written by a newer build.
    pub fn open(options: StoreOptions) -> Result<Arc<Self>, StoreError> {
        let (reaper, reaping) = Reaper::start(options.threads.as_ref()).map_err(StoreError::from_io)?;
        let opened = open::open(&options);
        let (state, file, checkpointed) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                reaper.stop(reaping.as_ref());
                return Err(error);
            }
        };
        let shared = Arc::new(Shared::new(state, reaper, options, file));
        shared.control.set_checkpointed(checkpointed);
        match Self::begin(&shared) {
            Ok(checkpointing) => Ok(Arc::new(Self { shared, reaping, checkpointing })),
            Err(error) => {
                shared.control.stop();
                shared.reaper.stop(reaping.as_ref());
                Err(error)
            }
        }
    }

    /// Shows what was opened and starts the threads.
    fn begin(shared: &Arc<Shared>) -> Result<Option<Box<dyn Running>>, StoreError> {
        let mut state = shared.lock();
        indexes::start_wanted(shared, &mut state)?;
        state.publish(shared);
        drop(state);
        shared.file.as_ref().map(|file| CheckpointThread::start(shared, file)).transpose()
    }

    /// The newest published state, to be kept as long as needed.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// The newest published state, for a single read: cheaper than [`view`](Self::view), and not to be kept.
    pub fn read(&self) -> Guard<Arc<View>> {
        self.shared.view.load()
    }

    /// The exclusive handle on the state. Waits for the one before to be dropped.
    pub fn writer(&self) -> Applier<'_> {
        Applier::new(&self.shared)
    }

    /// What became of a request, as far as the exactly-once window of the newest view reaches.
    pub fn outcome(&self, request: &RequestId) -> Seen {
        self.read().outcome(request)
    }

    /// The view at the barrier with this token, if it has been passed lately.
    pub fn barrier_view(&self, token: u64) -> Option<Arc<View>> {
        self.shared.barriers.get(token)
    }

    /// Lets go of the view at a barrier.
    pub fn release_barrier(&self, token: u64) {
        self.shared.barriers.release(token);
    }

    /// What lately published entries have changed. Everything that a [`view`](Self::view) lacks comes after its log
    /// index.
    pub fn history(&self) -> &History {
        &self.shared.history
    }

    /// Whether so much waits for the next checkpoint that applying should wait too.
    pub fn overloaded(&self) -> bool {
        self.shared.control.is_overloaded()
    }

    /// The error that has stopped the store from writing, if there was one.
    pub fn poisoned(&self) -> Option<Arc<StoreError>> {
        self.shared.poisoned()
    }

    /// The position up to which the log may be purged: what the last checkpoint holds. Without a disc, what is
    /// published.
    pub fn checkpointed(&self) -> Option<Position> {
        match self.shared.file {
            Some(_) => self.shared.control.checkpointed(),
            None => self.read().applied(),
        }
    }

    /// Begins a checkpoint of everything published so far, and waits for it if asked to. The caller must not hold the
    /// writer while it waits.
    ///
    /// # Errors
    /// When waiting: the checkpoint failed and the store is poisoned, or the store was closed.
    pub fn checkpoint_now(&self, wait: bool) -> Result<(), StoreError> {
        self.shared.check()?;
        if self.shared.file.is_none() {
            return Ok(());
        }
        let ticket = self.shared.control.request();
        if !wait {
            return Ok(());
        }
        if let Some(checkpointing) = &self.checkpointing {
            checkpointing.help();
        }
        match self.shared.control.wait(ticket) {
            Ok(()) => Ok(()),
            Err(NoCheckpoint::Stopped) => Err(StoreError::Closed),
            Err(NoCheckpoint::Failed) => self.shared.check().and(Err(StoreError::Closed)),
        }
    }

    /// A builder for a table of this node that is loading.
    ///
    /// # Errors
    /// This node does not hold the table.
    pub fn table_builder(&self, table: TableId) -> Result<TableBuilder, StoreError> {
        let view = self.read();
        let held = view.table(table).ok_or(StoreError::NotHeld { table })?;
        Ok(TableBuilder::new(table, Arc::clone(held.def()), held.mode(), self))
    }

    /// Begins to replace the whole store by the state of which `image` was taken. The caller must not hold the writer.
    ///
    /// # Errors
    /// The bytes are no image that this build reads.
    pub fn begin_install(&self, image: &[u8]) -> Result<Staging, StoreError> {
        let node = self.shared.lock().node.clone();
        Staging::new(image, node, self.shared.file.clone())
    }

    /// Replaces the whole store, except for tables with local content, by what was staged. The caller must not hold
    /// the writer.
    ///
    /// # Errors
    /// The image is older than this store, or the disc failed. A crash or an error before the end leaves the state as
    /// it was on disc.
    ///
    /// # Durability
    /// The new state is on disc when this returns, so the log may begin there.
    pub fn install(&self, staging: Staging) -> Result<(), StoreError> {
        crate::install::install(&self.shared, staging)?;
        if let (Some(callback), Some(position)) = (&self.shared.options.on_checkpoint, self.checkpointed()) {
            callback(position);
        }
        Ok(())
    }

    /// The tables that this node holds, by id.
    pub fn table_statuses(&self) -> Vec<TableStatus> {
        let view = self.read();
        let status = |table: &Arc<crate::TableView>| TableStatus {
            id: table.id(),
            name: table.def().name.clone(),
            mode: table.mode(),
            state: table.state(),
            records: table.len(),
            bytes: table.bytes(),
        };
        view.tables().map(status).collect()
    }

    /// Publishes what is staged, writes a last checkpoint and ends the store's threads. Views stay readable; nothing
    /// is written from now on. Closing again does nothing.
    ///
    /// # Errors
    /// The checkpoint failed: the log has what it lacks.
    pub fn close(&self) -> Result<(), StoreError> {
        if self.shared.control.is_stopped() {
            return Ok(());
        }
        self.writer().publish();
        let last = self.checkpoint_now(true);
        self.stop();
        last
    }

    pub(crate) fn tables_file(&self) -> Option<&Arc<TablesFile>> {
        self.shared.file.as_ref()
    }

    fn stop(&self) {
        self.shared.control.stop();
        let refills =
            std::mem::take(&mut *self.shared.refills.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in refills.iter().chain(&self.checkpointing) {
            thread.join();
        }
        self.shared.reaper.stop(self.reaping.as_ref());
        self.reaping.join();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
