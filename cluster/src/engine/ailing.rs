//! A node whose disc fails or is full: it takes no part any more, says why, and starts again from what is on disc as
//! soon as it can write there.
//!
//! After a failed sync the page cache may hold what the disc does not, and the next sync may succeed without it:
//!
//! ```text
//! unsafe: sync fails -> sync again, it succeeds -> acknowledge -> the power fails -> the entry was never written
//! safe:   sync fails -> nothing is acknowledged any more -> read the disc again, as after a crash of the machine
//! ```
//!
//! So such a node comes back as one whose machine crashed (see `suspect`). A write that was refused for want of space has
//! lost nothing that was acknowledged, and the node goes on where it was.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Engine;
use crate::door;
use crate::inner::NodeInner;

const LOOK_EVERY_MS: u64 = 100;
/// How long a disc is left alone between two tries, growing from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What has stopped this node from writing.
#[derive(Debug, Clone)]
pub(crate) struct Ailment {
    pub(crate) why: String,
    /// What was acknowledged without a sync, or with one that failed later, may not be on disc.
    may_have_forgotten: bool,
}

impl Engine {
    /// Whether log or store have failed in this life.
    pub(crate) fn ailment(&self) -> Option<Ailment> {
        if let Some(failure) = self.log.failure() {
            let may_have_forgotten = failure.may_have_forgotten();
            return Some(Ailment { why: format!("the log failed: {failure}"), may_have_forgotten });
        }
        let failure = self.store.poisoned()?;
        // What a checkpoint lacks the log has.
        Some(Ailment { why: format!("the store failed: {failure}"), may_have_forgotten: false })
    }
}

/// Watches one engine, in a task of its own: it stops the engine, and the tasks of the engine with it.
pub(crate) fn watch(node: &Arc<NodeInner>, engine: &Arc<Engine>) {
    if !node.home.is_diskless() {
        tokio::spawn(run(Arc::downgrade(node), Arc::downgrade(engine)));
    }
}

async fn run(node: Weak<NodeInner>, engine: Weak<Engine>) {
    let ailment = loop {
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
        let Some(engine) = engine.upgrade() else { return };
        if let Some(ailment) = engine.ailment() {
            // A leader that can hands over; what is left of the engine serves local reads, and tells why.
            engine.pause().await;
            break ailment;
        }
    };
    tracing::error!(why = ailment.why, "this node takes no part until it can write again");
    let mut pause = PAUSE_MIN;
    loop {
        door::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        let Some(node) = node.upgrade() else { return };
        match node.start_over(&engine, &ailment).await {
            Ok(Again::Running | Again::NotWanted) => return,
            Err(error) => tracing::warn!(%error, "this node still cannot write"),
        }
    }
}

/// What became of a try to start over.
enum Again {
    Running,
    /// The node was stopped meanwhile, or lives another life.
    NotWanted,
}

impl NodeInner {
    /// Begins another life if the disc takes writes again.
    async fn start_over(
        self: &Arc<Self>,
        failed: &Weak<Engine>,
        ailment: &Ailment,
    ) -> Result<Again, Box<dyn std::error::Error + Send + Sync>> {
        let _cycle = self.cycle.lock().await;
        let replaced =
            self.engine().is_some_and(|engine| !std::ptr::eq(Arc::as_ptr(&engine), failed.as_ptr()));
        if replaced || self.is_shut_down() {
            return Ok(Again::NotWanted);
        }
        let (node, may_have_forgotten) = (Arc::clone(self), ailment.may_have_forgotten);
        door::blocking(move || {
            node.home.try_writing()?;
            if may_have_forgotten { node.home.note_possible_loss() } else { Ok(()) }
        })
        .await??;
        if self.engine().is_some() {
            self.stop_engine().await;
        }
        self.start_engine().await?;
        tracing::info!("this node can write again and takes part");
        Ok(Again::Running)
    }
}
