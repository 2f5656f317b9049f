//! What the store's threads share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use crate::barrier::Barriers;
use crate::checkpoint::{CheckpointControl, TablesFile};
use crate::error::StoreError;
use crate::history::History;
use crate::options::StoreOptions;
use crate::reaper::Reaper;
use crate::state::State;
use crate::threads::Running;
use crate::view::View;

/// Readers touch `view` and nothing else; `state` is locked by the one writer of the moment.
pub(crate) struct Shared {
    pub(crate) view: ArcSwap<View>,
    state: Mutex<State>,
    pub(crate) barriers: Barriers,
    pub(crate) history: History,
    pub(crate) control: CheckpointControl,
    pub(crate) reaper: Reaper,
    pub(crate) options: StoreOptions,
    pub(crate) file: Option<Arc<TablesFile>>,
    /// Threads that read disc-only tables into memory, or build indexes.
    pub(crate) refills: Mutex<Vec<Box<dyn Running>>>,
    /// Grows when the store is replaced as a whole, so that a checkpoint frozen before is not written after.
    epoch: AtomicU64,
    poison: OnceLock<Arc<StoreError>>,
}

impl Shared {
    pub(crate) fn new(
        state: State,
        reaper: Reaper,
        options: StoreOptions,
        file: Option<Arc<TablesFile>>,
    ) -> Self {
        let history = History::new(options.history_bytes, state.cluster.next_index());
        Self {
            view: ArcSwap::from_pointee(View::default()),
            state: Mutex::new(state),
            barriers: Barriers::default(),
            history,
            control: CheckpointControl::default(),
            reaper,
            options,
            file,
            refills: Mutex::default(),
            epoch: AtomicU64::new(0),
            poison: OnceLock::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| {
            // Whoever panicked may have left a change half done: readers keep what is published, nothing is written.
            self.poison(StoreError::Panicked);
            PoisonError::into_inner(poisoned)
        })
    }

    /// Fails if an earlier error has stopped the store from writing.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match self.poison.get() {
            Some(cause) => Err(StoreError::Poisoned { cause: Arc::clone(cause) }),
            None => Ok(()),
        }
    }

    pub(crate) fn poisoned(&self) -> Option<Arc<StoreError>> {
        self.poison.get().cloned()
    }

    /// The first error stays; what follows from it says less.
    pub(crate) fn poison(&self, error: StoreError) {
        if !matches!(error, StoreError::Poisoned { .. }) {
            let _ = self.poison.set(Arc::new(error));
            // Nobody must wait for a checkpoint that is not coming.
            self.control.set_overloaded(false);
        }
    }

    /// Passes a result on, and poisons the store if it is an error.
    pub(crate) fn fatal<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.map_err(|error| {
            self.poison(error);
            self.check().expect_err("the store has just been poisoned")
        })
    }

    pub(crate) fn is_epoch(&self, epoch: u64) -> bool {
        self.epoch.load(Ordering::SeqCst) == epoch
    }

    pub(crate) fn begin_epoch(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::SeqCst) + 1
    }
}
