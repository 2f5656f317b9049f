//! The thread that writes checkpoints, and the only one that does while the store is open.

use std::sync::Arc;

use super::control::Signal;
use super::database::TablesFile;
use crate::error::StoreError;
use crate::shared::Shared;
use crate::threads::{Running, Turn, Worker};

pub(crate) struct CheckpointThread {
    shared: Arc<Shared>,
    file: Arc<TablesFile>,
}

/// What came of looking for something to write.
enum Outcome {
    /// Everything published before is on disc.
    Done,
    /// Something is staged that readers do not see yet; publishing it wakes the thread again.
    NotNow,
}

impl CheckpointThread {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        file: &Arc<TablesFile>,
    ) -> Result<Box<dyn Running>, StoreError> {
        let worker = Self { shared: Arc::clone(shared), file: Arc::clone(file) };
        let started = shared.options.threads.start("tabularaft-checkpoint", Box::new(worker));
        started.map_err(|error| StoreError::io("starting the checkpoint thread for", file.path(), error))
    }
}

impl Worker for CheckpointThread {
    fn turn(&mut self, waits: bool) -> Turn {
        let shared = self.shared.as_ref();
        let _on_panic = FailOnPanic(shared);
        let ticket = match shared.control.next(shared.options.checkpoint_interval, waits) {
            Signal::Checkpoint { ticket } => ticket,
            Signal::Nothing => return Turn::Idle,
            Signal::Stop => return Turn::Ended,
        };
        match checkpoint(shared, &self.file) {
            Ok(Outcome::Done) => shared.control.completed(ticket),
            Ok(Outcome::NotNow) => {}
            Err(error) => {
                tracing::error!(%error, "the checkpoint failed, the store stops writing");
                shared.poison(error);
                shared.control.failed();
                return Turn::Ended;
            }
        }
        Turn::Worked
    }
}

/// The writer's lock is held to freeze and to take over what is on disc, not while anything is written.
fn checkpoint(shared: &Shared, file: &Arc<TablesFile>) -> Result<Outcome, StoreError> {
    shared.check()?;
    let job = {
        let mut state = shared.lock();
        if state.is_staged() {
            state.wake_checkpoint_after_publish = true;
            return Ok(Outcome::NotNow);
        }
        state.freeze(file)
    };
    let Some(job) = job else { return Ok(Outcome::Done) };
    shared.control.set_overloaded(false);
    let position = job.cluster.applied;
    let Some(checkpointed) = job.write(file, |epoch| shared.is_epoch(epoch))? else {
        return Ok(Outcome::Done);
    };
    {
        let mut state = shared.lock();
        if !state.checkpointed(checkpointed) {
            return Ok(Outcome::Done);
        }
        shared.control.set_checkpointed(position);
        if !state.is_staged() {
            state.publish(shared);
        }
    }
    if let (Some(callback), Some(position)) = (&shared.options.on_checkpoint, position) {
        callback(position);
    }
    tracing::debug!(?position, "checkpoint written");
    Ok(Outcome::Done)
}

/// A panic here is a bug, but nobody must wait for a thread that is gone.
struct FailOnPanic<'a>(&'a Shared);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison(StoreError::Panicked);
            self.0.control.failed();
        }
    }
}
