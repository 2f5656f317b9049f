//! Work that takes longer than a request: it runs on, and is asked how far it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::AdminError;
use super::protocol::{OperationId, Outcome, Progress};
use crate::copy::CopyProgress;
use crate::door;

/// Operations that are remembered; the oldest finished ones are forgotten first.
const REMEMBERED_MAX: usize = 256;

#[derive(Default)]
pub(crate) struct Operations {
    state: Arc<Mutex<State>>,
}

struct State {
    /// Starts anywhere, so that a client of an earlier life does not follow a stranger's operation.
    next: u64,
    known: BTreeMap<u64, Progress>,
}

impl Default for State {
    fn default() -> Self {
        Self { next: door::random_u64() >> 1, known: BTreeMap::new() }
    }
}

/// Where a running operation says how far it is.
#[derive(Clone)]
pub(crate) struct Reporter {
    state: Arc<Mutex<State>>,
    id: u64,
}

impl Operations {
    /// Runs `work` in a task of its own.
    pub(crate) fn start<F>(&self, phase: &str, work: impl FnOnce(Reporter) -> F) -> OperationId
    where
        F: Future<Output = Result<Outcome, AdminError>> + Send + 'static,
    {
        let id = {
            let mut state = lock(&self.state);
            let id = state.next;
            state.next += 1;
            state.known.insert(id, begun(phase));
            forget_old(&mut state.known);
            id
        };
        let reporter = Reporter { state: Arc::clone(&self.state), id };
        let work = work(reporter.clone());
        tokio::spawn(async move {
            let outcome = work.await;
            reporter.change(|progress| progress.finished = Some(outcome));
        });
        OperationId(id)
    }

    pub(crate) fn progress(&self, id: OperationId) -> Option<Progress> {
        lock(&self.state).known.get(&id.0).cloned()
    }
}

impl Reporter {
    pub(crate) fn phase(&self, phase: &str) {
        self.change(|progress| *progress = begun(phase));
    }

    pub(crate) fn copying(&self, copied: &CopyProgress) {
        self.handling("copying", copied);
    }

    /// As [`copying`](Self::copying), of something else that is done with all records of a table.
    pub(crate) fn handling(&self, what: &str, copied: &CopyProgress) {
        self.change(|progress| {
            progress.phase = format!("{what} {}", copied.table);
            progress.records_done = copied.records;
            progress.records_total = Some(copied.records_total.max(copied.records));
            progress.bytes_done = copied.bytes;
            progress.bytes_total = Some(copied.bytes_total.max(copied.bytes));
        });
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        if let Some(progress) = lock(&self.state).known.get_mut(&self.id) {
            change(progress);
        }
    }
}

fn begun(phase: &str) -> Progress {
    Progress {
        phase: phase.to_owned(),
        records_done: 0,
        records_total: None,
        bytes_done: 0,
        bytes_total: None,
        finished: None,
    }
}

fn forget_old(known: &mut BTreeMap<u64, Progress>) {
    while known.len() > REMEMBERED_MAX {
        let Some(oldest) = known.iter().find(|(_, progress)| progress.finished.is_some()).map(|(id, _)| *id)
        else {
            return;
        };
        known.remove(&oldest);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
