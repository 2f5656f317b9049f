//! What the test cluster needs of a node beyond its public API: an end like a process's death, and a look inside.

use std::sync::{Arc, Weak};

use tabularaft_schema::NodeId;
use tabularaft_store::log::SyncedMark;
use tabularaft_store::{Store, View};

use crate::inner::NodeInner;
use crate::node::Node;

/// What is left of a node that died.
#[doc(hidden)]
pub struct Remains {
    node: Arc<NodeInner>,
    store: Option<Weak<Store>>,
    /// Up to where its log was synced: what a crash of its machine would have left. `None` between two lives.
    pub synced: Option<SyncedMark>,
}

impl Node {
    /// Stops the log at once, as the death of the process does: what waits in it is lost, and nothing is checkpointed.
    /// The caller then ends the runtime that the node was started on, and with it the node's tasks and sockets, and
    /// calls [`Remains::bury`].
    ///
    /// Blocks until the write that is under way has ended.
    #[doc(hidden)]
    pub fn die(&self) -> Remains {
        let engine = self.inner.engine();
        let synced = engine.as_ref().map(|engine| {
            engine.log.abandon();
            engine.log.synced()
        });
        let store = engine.map(|engine| Arc::downgrade(&engine.store));
        Remains { node: Arc::clone(&self.inner), store, synced }
    }

    /// Everything that this node holds at this moment; `None` between two lives.
    #[doc(hidden)]
    pub fn store_view(&self) -> Option<Arc<View>> {
        self.inner.engine().map(|engine| engine.store.view())
    }

    /// The id of the node that leads, as far as this one knows.
    #[doc(hidden)]
    pub fn leader(&self) -> Option<NodeId> {
        let engine = self.inner.engine()?;
        if engine.is_leading() {
            return Some(engine.node());
        }
        engine.leadership.borrow().leader().map(|(id, _)| id)
    }

    /// The voters of the newest membership that this node knows of.
    #[doc(hidden)]
    pub fn voters(&self) -> Vec<NodeId> {
        let engine = self.inner.engine();
        let raft = engine.as_ref().and_then(|engine| engine.raft());
        raft.map(|raft| raft.membership().voters.into_iter().collect()).unwrap_or_default()
    }

    /// The last index that the log no longer has, if it was purged.
    #[doc(hidden)]
    pub fn purged(&self) -> Option<u64> {
        self.inner.engine()?.log.bounds().purged.map(|purged| purged.index)
    }
}

impl Remains {
    /// Gives the data directory up and closes the checkpoint, after the node's runtime has ended.
    pub fn bury(&self) {
        self.node.set_engine(None);
        self.node.home.close();
    }

    /// Whether nothing holds the node's files open any more.
    pub fn is_gone(&self) -> bool {
        self.store.as_ref().is_none_or(|store| store.strong_count() == 0)
    }
}
