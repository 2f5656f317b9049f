//! When a checkpoint is written, and who waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Position;

/// What the checkpoint thread does next.
pub(crate) enum Signal {
    /// Write what has changed. Afterwards every request up to `ticket` is fulfilled.
    Checkpoint { ticket: u64 },
    /// End.
    Stop,
    /// Look again later.
    Nothing,
}

/// Why waiting for a checkpoint ended without one.
pub(crate) enum NoCheckpoint {
    /// Writing one failed.
    Failed,
    /// The store was closed.
    Stopped,
}

/// Between those who want a checkpoint and the thread that writes it.
#[derive(Default)]
pub(crate) struct CheckpointControl {
    state: Mutex<ControlState>,
    changed: Condvar,
    overloaded: AtomicBool,
}

#[derive(Default)]
struct ControlState {
    signalled: bool,
    requested: u64,
    /// completed <= requested
    completed: u64,
    failed: bool,
    stopped: bool,
    checkpointed: Option<Position>,
}

impl CheckpointControl {
    /// Wakes the checkpoint thread.
    pub(crate) fn signal(&self) {
        self.lock().signalled = true;
        self.changed.notify_all();
    }

    /// Asks for a checkpoint that includes everything published so far.
    pub(crate) fn request(&self) -> u64 {
        let mut state = self.lock();
        state.requested += 1;
        state.signalled = true;
        self.changed.notify_all();
        state.requested
    }

    pub(crate) fn wait(&self, ticket: u64) -> Result<(), NoCheckpoint> {
        let waits = |state: &mut ControlState| state.completed < ticket && !state.failed && !state.stopped;
        let state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        match (state.completed >= ticket, state.failed) {
            (true, _) => Ok(()),
            (false, true) => Err(NoCheckpoint::Failed),
            (false, false) => Err(NoCheckpoint::Stopped),
        }
    }

    /// For the checkpoint thread: waits for a signal, or until `interval` has passed; or does not wait.
    pub(crate) fn next(&self, interval: Duration, waits: bool) -> Signal {
        let deadline = Instant::now() + interval;
        let mut state = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.stopped {
                return Signal::Stop;
            }
            if state.signalled || left.is_zero() {
                state.signalled = false;
                return Signal::Checkpoint { ticket: state.requested };
            }
            if !waits {
                return Signal::Nothing;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What was requested up to `ticket` is on disc.
    pub(crate) fn completed(&self, ticket: u64) {
        let mut state = self.lock();
        state.completed = state.completed.max(ticket);
        self.changed.notify_all();
    }

    pub(crate) fn failed(&self) {
        self.lock().failed = true;
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    pub(crate) fn checkpointed(&self) -> Option<Position> {
        self.lock().checkpointed
    }

    pub(crate) fn set_checkpointed(&self, position: Option<Position>) {
        self.lock().checkpointed = position;
    }

    pub(crate) fn is_overloaded(&self) -> bool {
        self.overloaded.load(Ordering::Acquire)
    }

    pub(crate) fn set_overloaded(&self, overloaded: bool) {
        self.overloaded.store(overloaded, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, ControlState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
