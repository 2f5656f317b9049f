//! Tasks that end with their owner.

use std::future::Future;

use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

/// A running task that is aborted when its owner goes away, so that none outlives what it works for.
#[derive(Debug)]
pub(crate) struct OwnedTask(Option<JoinHandle<()>>);

impl OwnedTask {
    /// Starts `work` inside of `span`, which names it in logs.
    pub(crate) fn spawn(span: Span, work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(tokio::spawn(work.instrument(span))))
    }

    /// Waits for the end of the task.
    ///
    /// # Cancel safety
    ///
    /// Dropping the returned future aborts the task.
    pub(crate) async fn join(mut self) {
        if let Some(handle) = self.0.as_mut() {
            // A task that panicked has already written its panic message; its owner is ending anyway.
            let _ = handle.await;
        }
    }

    /// Lets the task run to its end by itself.
    pub(crate) fn detach(mut self) {
        self.0 = None;
    }
}

impl Drop for OwnedTask {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}
