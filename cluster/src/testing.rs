//! What the test cluster needs of a node beyond its public API: an end like a process's death, and a look inside.

use std::sync::{Arc, Weak};

use tabularaft_schema::NodeId;
use tabularaft_store::log::SyncedMark;
use tabularaft_store::{Store, View, batch_needs_sync};

use crate::inner::NodeInner;
use crate::node::Node;

/// Where a node stands, for the invariants of a simulation. Indexes are 0 where there is nothing yet.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Standing {
    /// The number of its cluster.
    pub cluster: u128,
    /// Its id in it.
    pub node: NodeId,
    /// The term it is in.
    pub term: u64,
    /// Whether it leads in that term.
    pub leads: bool,
    /// Up to where it knows the log to be committed.
    pub committed: u64,
    /// Up to where it has applied the log.
    pub applied: u64,
    /// Up to where its checkpoint reaches.
    pub checkpointed: u64,
    /// Up to where its log is gone.
    pub purged: u64,
    /// The last entry of its log.
    pub last: u64,
    /// Why it does not work any more, if so.
    pub failure: Option<String>,
}

/// An entry of the log, for comparison.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its index.
    pub index: u64,
    /// The term in which it was logged.
    pub term: u64,
    /// A checksum of what it says.
    pub checksum: u32,
    /// Whether it is acknowledged only once it is synced, and with it all entries before.
    pub synced: bool,
}

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

    /// Voters and learners of the newest membership that this node knows of.
    #[doc(hidden)]
    pub fn raft_group(&self) -> Vec<NodeId> {
        let engine = self.inner.engine();
        let membership = engine.as_ref().and_then(|engine| engine.raft()).map(|raft| raft.membership());
        membership.map(|group| group.voters.into_iter().chain(group.learners).collect()).unwrap_or_default()
    }

    /// The last index that the log no longer has, if it was purged.
    #[doc(hidden)]
    pub fn purged(&self) -> Option<u64> {
        self.inner.engine()?.log.bounds().purged.map(|purged| purged.index)
    }
}

impl Node {
    /// Where this node stands; `None` between two lives, and while it does not take part.
    #[doc(hidden)]
    pub fn standing(&self) -> Option<Standing> {
        let engine = self.inner.engine()?;
        let raft = engine.raft()?;
        let status = raft.status();
        let (view, bounds) = (engine.store.view(), engine.log.bounds());
        let failure = engine.store.poisoned().map(|cause| cause.to_string()).or(status.fatal);
        Some(Standing {
            cluster: view.system().cluster.as_ref().map_or(0, |cluster| cluster.id),
            node: engine.node(),
            term: status.term,
            leads: raft.leads(),
            committed: status.committed,
            applied: view.applied_index().0,
            checkpointed: engine.store.checkpointed().map_or(0, |position| position.index),
            purged: bounds.purged.map_or(0, |purged| purged.index),
            last: bounds.last.map_or(0, |last| last.index),
            failure,
        })
    }

    /// The entries of the log that are there; none if it cannot be read.
    #[doc(hidden)]
    pub fn log_entries(&self, range: std::ops::Range<u64>) -> Vec<Entry> {
        let read = self.inner.engine().map(|engine| engine.log.read(range, usize::MAX));
        let entries = read.and_then(Result::ok).unwrap_or_default();
        let entry = |entry: tabularaft_store::log::LogEntry| Entry {
            index: entry.position.index,
            term: entry.position.term,
            checksum: crc32c::crc32c(&entry.payload),
            synced: batch_needs_sync(&entry.payload),
        };
        entries.into_iter().map(entry).collect()
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
