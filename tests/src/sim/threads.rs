//! The workers of one simulated process: each has its turn when its disc is ready again.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tabularaft::store::threads::{Running, Threads, Turn, Worker};

use super::random::Random;

/// How long a piece of work takes, in milliseconds, unless the disc is slow.
const WORK_MS: u64 = 2;

/// The workers of one process.
#[derive(Clone)]
pub(super) struct SimThreads {
    state: Arc<Mutex<State>>,
}

struct State {
    random: Random,
    slots: Vec<Arc<Slot>>,
    /// Added to how long each piece of work takes.
    slow_ms: u64,
}

struct Slot {
    name: &'static str,
    inner: Mutex<Inner>,
}

struct Inner {
    stage: Stage,
    next_ms: u64,
}

enum Stage {
    Waiting(Box<dyn Worker>),
    /// In the middle of its turn.
    Working,
    Ended,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimThreads {
    pub(super) fn new(random: Random) -> Self {
        Self { state: Arc::new(Mutex::new(State { random, slots: Vec::new(), slow_ms: 0 })) }
    }

    /// Makes all work take so much longer.
    pub(super) fn slow_down(&self, slow_ms: u64) {
        lock(&self.state).slow_ms = slow_ms;
    }

    /// Gives each worker that is ready its turn.
    pub(super) fn turn(&self, now_ms: u64) {
        let slots = lock(&self.state).slots.clone();
        for slot in &slots {
            if lock(&slot.inner).next_ms > now_ms {
                continue;
            }
            if slot.turn() == Some(Turn::Worked) {
                let state = &mut *lock(&self.state);
                let takes = 1 + state.random.below(WORK_MS) + state.slow_ms;
                lock(&slot.inner).next_ms = now_ms + takes;
            }
        }
        lock(&self.state).slots.retain(|slot| !matches!(lock(&slot.inner).stage, Stage::Ended));
    }

    /// Ends all workers where they are.
    pub(super) fn kill(&self) {
        for slot in std::mem::take(&mut lock(&self.state).slots) {
            lock(&slot.inner).stage = Stage::Ended;
        }
    }
}

impl Slot {
    /// `None`: it has ended, or is in the middle of its turn.
    fn turn(&self) -> Option<Turn> {
        let mut inner = lock(&self.inner);
        let mut worker = match std::mem::replace(&mut inner.stage, Stage::Working) {
            Stage::Waiting(worker) => worker,
            other => {
                inner.stage = other;
                return None;
            }
        };
        // Nothing is locked while it works: it may ask whether it does.
        drop(inner);
        let turn = worker.turn(false);
        let mut inner = lock(&self.inner);
        if matches!(inner.stage, Stage::Working) {
            inner.stage = if turn == Turn::Ended { Stage::Ended } else { Stage::Waiting(worker) };
        }
        Some(turn)
    }
}

impl Threads for SimThreads {
    fn start(&self, name: &'static str, worker: Box<dyn Worker>) -> io::Result<Box<dyn Running>> {
        let inner = Mutex::new(Inner { stage: Stage::Waiting(worker), next_ms: 0 });
        let slot = Arc::new(Slot { name, inner });
        lock(&self.state).slots.push(Arc::clone(&slot));
        Ok(Box::new(Handle(slot)))
    }
}

impl std::fmt::Debug for SimThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = lock(&self.state).slots.iter().map(|slot| slot.name).collect();
        f.debug_struct("SimThreads").field("workers", &names).finish()
    }
}

struct Handle(Arc<Slot>);

impl Running for Handle {
    fn help(&self) {
        while self.0.turn() == Some(Turn::Worked) {}
    }

    fn join(&self) {
        self.help();
    }

    fn is_current(&self) -> bool {
        matches!(lock(&self.0.inner).stage, Stage::Working)
    }

    fn may_be_stood_in_for(&self) -> bool {
        false
    }
}
