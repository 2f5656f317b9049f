//! What happens to a node over its lives: events for whoever watches, and hooks that may prepare or object.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tabularaft_schema::{NodeId, TableName};
use tabularaft_store::{Incarnation, LogIndex};
use tokio::sync::broadcast;

use crate::door;

/// Why a node is about to stop its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It joins a cluster.
    Join,
    /// It leaves its cluster, or was removed from it.
    Leave,
    /// Its machine crashed, and it comes back under a new node id.
    Heal,
    /// The process ends.
    Shutdown,
}

/// One step of a node's life, in the order in which the steps happen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifecycle {
    /// The peer is asked whether it would take this node. Nothing has been touched.
    Checking {
        /// The peer's address.
        peer: String,
    },
    /// The prepare hooks run. Nothing has been touched.
    Preparing(Reason),
    /// Local records were written to files.
    Exported(Vec<PathBuf>),
    /// The engine has stopped.
    Stopped,
    /// The local data was put aside.
    Retired,
    /// The cluster gave this node its new id.
    Admitted {
        /// The id.
        node: NodeId,
    },
    /// A table is being copied.
    Copying {
        /// The table.
        table: TableName,
        /// Records copied so far.
        records: u64,
        /// Records to copy.
        records_total: u64,
        /// Bytes copied so far.
        bytes: u64,
        /// Bytes to copy, as far as known.
        bytes_total: u64,
    },
    /// All tables are here; the log catches up.
    CatchingUp,
    /// The change failed after the engine had stopped, and the data of before is back.
    RolledBack {
        /// Why it failed.
        why: String,
    },
    /// The node serves.
    Running {
        /// Its life.
        incarnation: Incarnation,
    },
    /// The node was told that it is no member any more.
    Removed {
        /// The log index of its removal.
        at: LogIndex,
    },
}

/// Hooks that run before the engine stops: the first error stops the change, and nothing was touched.
pub type PrepareHook = Arc<dyn Fn(Reason) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;
/// Hooks that run after the engine started again.
pub type RebootHook = Arc<dyn Fn(Reason) -> BoxFuture<'static, ()> + Send + Sync>;

/// How long one hook may take.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);
const EVENTS_KEPT: usize = 1_024;

/// The node's hooks in the order of their registration, and its event stream.
#[derive(Clone)]
pub(crate) struct LifecycleHub {
    prepare: Vec<(String, PrepareHook)>,
    reboot: Vec<(String, RebootHook)>,
    events: broadcast::Sender<Lifecycle>,
}

/// A prepare hook that objected or took too long.
pub(crate) struct HookFailed {
    pub(crate) hook: String,
    pub(crate) why: String,
}

impl LifecycleHub {
    pub(crate) fn new(prepare: Vec<(String, PrepareHook)>, reboot: Vec<(String, RebootHook)>) -> Self {
        Self { prepare, reboot, events: broadcast::channel(EVENTS_KEPT).0 }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Lifecycle> {
        self.events.subscribe()
    }

    pub(crate) fn tell(&self, event: Lifecycle) {
        if !matches!(event, Lifecycle::Copying { .. }) {
            tracing::info!(?event, "lifecycle");
        }
        // Nobody listening is no fault.
        let _ = self.events.send(event);
    }

    pub(crate) async fn prepare(&self, reason: Reason) -> Result<(), HookFailed> {
        self.tell(Lifecycle::Preparing(reason));
        for (name, hook) in &self.prepare {
            let outcome = door::until(door::now() + HOOK_TIMEOUT, hook(reason)).await;
            let why = match outcome {
                Some(Ok(())) => continue,
                Some(Err(why)) => why,
                None => format!("it did not end within {HOOK_TIMEOUT:?}"),
            };
            return Err(HookFailed { hook: name.clone(), why });
        }
        Ok(())
    }

    pub(crate) async fn rebooted(&self, reason: Reason) {
        for (name, hook) in &self.reboot {
            if door::until(door::now() + HOOK_TIMEOUT, hook(reason)).await.is_none() {
                tracing::warn!(hook = %name, "a reboot hook did not end in time");
            }
        }
    }
}
