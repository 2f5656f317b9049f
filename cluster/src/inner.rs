//! What all handles on a node share, and what its listener serves.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use tabularaft_schema::{NodeId, NodeName};
use tabularaft_store::{Incarnation, LogIndex, MemberChange};
use tokio::sync::Mutex as AsyncMutex;

use crate::boot;
use crate::calls::CallsSession;
use crate::config::NodeConfig;
use crate::copy::BulkSession;
use crate::door;
use crate::engine::{Engine, EngineParts, Life, ailing, suspect};
use crate::error::{JoinError, StartError};
use crate::home::{Home, Opened};
use crate::join::{self, LocalData};
use crate::lifecycle::{Lifecycle, LifecycleHub, Reason};
use crate::peers::{FEATURE_LEVEL, Introduction, Peers};
use crate::raft::RaftSession;
use crate::transaction::KnownTypes;
use crate::transport::{
    Admission, Hello, Lane, Listener, Peer, PeerIdentity, Refusal, Role, Service, Session, TransportConfig,
};
use crate::write::Op;

/// How long a stopped engine's files may stay open for those who still read from them.
const FILES_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// From one attempt to come back to the next.
const HEAL_PAUSE: Duration = Duration::from_secs(1);
/// How long a removed node waits for another change of its place to end before it is told anew.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(5);
/// From one look at whether it has ended to the next.
const REMOVAL_PAUSE: Duration = Duration::from_millis(20);
/// The id of the node that founds a cluster.
const FIRST_NODE: NodeId = 1;

/// A node's lasting parts; the engine is replaced by each reboot cycle.
pub(crate) struct NodeInner {
    pub(crate) name: NodeName,
    pub(crate) config: NodeConfig,
    pub(crate) transport: TransportConfig,
    pub(crate) listen_address: SocketAddr,
    pub(crate) advertise: String,
    pub(crate) home: Home,
    pub(crate) hub: LifecycleHub,
    /// Held during a membership change of this node: there is one at a time.
    pub(crate) cycle: AsyncMutex<()>,
    /// When this node last tried to come back after a crash of its machine.
    healed_at: Mutex<Option<Instant>>,
    pub(crate) admin: crate::admin::AdminState,
    pub(crate) known_types: KnownTypes,
    /// False only in the test that shows what the check of a transaction's reads prevents.
    checks_reads: bool,
    engine: ArcSwapOption<Engine>,
    listener: Mutex<Option<Listener>>,
}

/// The parts that the builder has gathered.
pub(crate) struct NodeParts {
    pub(crate) name: NodeName,
    pub(crate) config: NodeConfig,
    pub(crate) transport: TransportConfig,
    pub(crate) advertise: Option<String>,
    pub(crate) home: Home,
    pub(crate) hub: LifecycleHub,
    pub(crate) checks_reads: bool,
}

impl NodeInner {
    /// Listens first, so that a port in use is known before anything on disc is touched.
    pub(crate) async fn listen(listen: &str, parts: NodeParts) -> Result<Arc<Self>, StartError> {
        let door = Arc::new(Doorkeeper::default());
        let listener =
            Listener::bind(listen, parts.transport.clone(), Arc::clone(&door) as _, Arc::clone(&door) as _)
                .await?;
        let listen_address = listener.local_addr();
        let advertise = parts.advertise.unwrap_or_else(|| listen_address.to_string());
        let inner = Arc::new(Self {
            name: parts.name,
            config: parts.config,
            transport: parts.transport,
            listen_address,
            advertise,
            home: parts.home,
            hub: parts.hub,
            cycle: AsyncMutex::new(()),
            healed_at: Mutex::new(None),
            admin: crate::admin::AdminState::default(),
            known_types: KnownTypes::default(),
            checks_reads: parts.checks_reads,
            engine: ArcSwapOption::empty(),
            listener: Mutex::new(Some(listener)),
        });
        *door.node.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&inner);
        Ok(inner)
    }

    /// The engine of the moment; none between two lives.
    pub(crate) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.load_full()
    }

    /// As [`NodeInner::engine`], without a reference count: for reads in the caller's thread.
    pub(crate) fn engine_guard(&self) -> arc_swap::Guard<Option<Arc<Engine>>> {
        self.engine.load()
    }

    /// Makes an engine of a life that was begun, without starting Raft.
    pub(crate) fn open_engine(&self, opened: Opened) -> Arc<Engine> {
        let life = Life {
            name: self.name.clone(),
            incarnation: opened.incarnation,
            advertise: self.advertise.clone(),
        };
        let cluster_id = self.home.identity().map(|identity| identity.cluster_id);
        let peers = Peers::new(
            self.transport.clone(),
            self.introduction(opened.incarnation, cluster_id),
            Some(Arc::clone(&opened.store)),
        );
        Engine::open(EngineParts {
            life,
            config: self.config.clone(),
            store: opened.store,
            log: opened.log,
            peers: Arc::new(peers),
            checks_reads: self.checks_reads,
        })
    }

    pub(crate) fn introduction(&self, incarnation: Incarnation, cluster_id: Option<u128>) -> Introduction {
        Introduction {
            cluster_name: self.config.cluster_name.clone(),
            cluster_id,
            identity: PeerIdentity {
                name: Some(self.name.clone()),
                node_id: incarnation.node,
                incarnation,
                advertise: self.advertise.clone(),
            },
        }
    }

    pub(crate) fn set_engine(&self, engine: Option<Arc<Engine>>) {
        self.engine.store(engine);
    }

    /// Begins a life with what is on disc, and takes part as soon as that is safe.
    pub(crate) async fn start_engine(self: &Arc<Self>) -> Result<Arc<Engine>, StartError> {
        let inner = Arc::clone(self);
        let opened = door::blocking(move || inner.home.begin_life())
            .await
            .map_err(|error| StartError::Raft(error.to_string()))??;
        let machine_crashed = opened.machine_crashed;
        let engine = self.open_engine(opened);
        let removal = self.home.identity().and_then(|identity| identity.removed);
        if machine_crashed || removal.is_some() {
            engine.replay().await?;
        }
        self.set_engine(Some(Arc::clone(&engine)));
        if let Some(removal) = removal {
            tracing::warn!(
                reason = removal.reason,
                "this node was removed from its cluster and takes no part in it"
            );
            return Ok(engine);
        }
        if machine_crashed {
            engine.suspect_since_start();
            tracing::warn!(
                "this machine crashed or its disc failed: acknowledged entries may be forgotten, so this node does not vote yet"
            );
            engine.spawn(suspect::resolve(Arc::downgrade(self), Arc::downgrade(&engine)));
        } else {
            engine.take_part().await?;
        }
        engine.spawn(suspect::watch_removal(Arc::downgrade(self), Arc::downgrade(&engine)));
        ailing::watch(self, &engine);
        self.hub.tell(Lifecycle::Running { incarnation: engine.life.incarnation });
        Ok(engine)
    }

    /// As [`NodeInner::stop_engine`], but of a node without a disc store and log stay open: they are all that there is.
    pub(crate) async fn set_engine_aside(&self) -> Option<Arc<Engine>> {
        if !self.home.is_diskless() {
            self.stop_engine().await;
            return None;
        }
        let engine = self.engine.swap(None);
        if let Some(engine) = &engine {
            engine.pause().await;
            engine.peers.close().await;
        }
        self.disconnect_all();
        self.hub.tell(Lifecycle::Stopped);
        engine
    }

    /// Goes on with a diskless engine that was set aside.
    pub(crate) async fn revive(self: &Arc<Self>, former: &Engine) -> Result<(), StartError> {
        let incarnation = Incarnation { life: former.life.incarnation.life + 1, ..former.life.incarnation };
        let opened = Opened {
            store: Arc::clone(&former.store),
            log: former.log.clone(),
            incarnation,
            machine_crashed: false,
        };
        let engine = self.open_engine(opened);
        self.set_engine(Some(Arc::clone(&engine)));
        engine.take_part().await
    }

    /// Founds a cluster of one, with the tables of the modules' boot hooks.
    pub(crate) async fn found(self: &Arc<Self>) -> Result<(), StartError> {
        let cluster_id = door::random_u128();
        self.home.settle(cluster_id, FIRST_NODE, &self.advertise)?;
        let engine = self.start_engine().await?;
        let failed =
            |error: &dyn std::fmt::Display| StartError::Raft(format!("founding a cluster failed: {error}"));
        let Some(raft) = engine.raft() else { return Err(failed(&"raft did not start")) };
        raft.found(FIRST_NODE, self.name.clone(), self.advertise.clone())
            .await
            .map_err(|error| failed(&error))?;
        let founding = [
            MemberChange::Found { cluster_id, cluster_name: self.config.cluster_name.clone() },
            MemberChange::Admit {
                node: FIRST_NODE,
                name: self.name.clone(),
                address: self.advertise.clone(),
            },
        ];
        for change in founding {
            let deadline = door::now() + self.config.write_timeout();
            self.write_op(Op::Member(change), deadline).await.map_err(|error| failed(&error))?;
        }
        boot::create_tables(self).await
    }

    /// Whether the node was stopped for good.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn disconnect_all(&self) {
        if let Some(listener) = self.listener.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            listener.disconnect_all();
        }
    }

    /// Stops the engine of the moment, makes everyone who is connected introduce themselves again, and waits until
    /// the files are closed, so that they can be put aside and opened again.
    pub(crate) async fn stop_engine(&self) {
        let store = match self.engine.swap(None) {
            Some(engine) => {
                let is_clean = engine.stop().await;
                engine.peers.close().await;
                if is_clean {
                    self.home.end_life();
                }
                Arc::downgrade(&engine.store)
            }
            None => Weak::new(),
        };
        self.admin.let_go_of_views();
        self.disconnect_all();
        let closed_by = door::now() + FILES_CLOSE_TIMEOUT;
        while store.strong_count() > 0 && door::now() < closed_by {
            // Whoever is answering a request with this engine is about to be done.
            door::sleep(door::ms(2)).await;
        }
        if store.strong_count() > 0 {
            tracing::warn!("the files of the stopped engine are still in use");
        }
        self.hub.tell(Lifecycle::Stopped);
    }

    /// Whether this is still the node's engine.
    pub(crate) fn is_run_by(&self, engine: &Weak<Engine>) -> bool {
        self.engine().is_some_and(|now| std::ptr::eq(engine.as_ptr(), Arc::as_ptr(&now)))
    }

    /// The cluster says that the node of this engine is no member any more. It keeps what it has, and takes no part.
    async fn become_removed(self: &Arc<Self>, told: Weak<Engine>, at: LogIndex) {
        // A node that has left has another engine by now, perhaps under the same id in a cluster of its own.
        let is_meant = || self.is_run_by(&told);
        // An application that tries to join again and again must not keep the node from finding out why it cannot; and
        // this must not be in the way of one whose node is another by now, so it does not queue.
        let give_up = door::now() + REMOVAL_PATIENCE;
        let _cycle = loop {
            if !is_meant() || door::now() >= give_up {
                return;
            }
            match self.cycle.try_lock() {
                Ok(turn) => break turn,
                Err(_) => door::sleep(REMOVAL_PAUSE).await,
            }
        };
        if !is_meant() {
            return;
        }
        if self.home.identity().is_none_or(|identity| identity.removed.is_some()) {
            return;
        }
        self.home.mark_removed(format!("removed from the cluster at log index {at}"));
        self.hub.tell(Lifecycle::Removed { at });
        self.stop_engine().await;
        if let Err(error) = self.start_engine().await {
            tracing::error!(%error, "the removed node could not be opened again");
        }
    }

    /// In a task of its own: the change ends the engine that found out, and its tasks with it.
    pub(crate) fn become_removed_later(self: &Arc<Self>, told: Weak<Engine>, at: LogIndex) {
        let node = Arc::clone(self);
        let change: BoxFuture<'static, ()> = Box::pin(async move { node.become_removed(told, at).await });
        tokio::spawn(change);
    }

    /// Comes back to the cluster under a new id, in a task of its own, as [`NodeInner::become_removed_later`].
    /// An attempt takes the node out of service for a moment, so there is a pause between two.
    pub(crate) fn heal_later(self: &Arc<Self>, peer: String) {
        let now = door::now();
        let mut last = self.healed_at.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.saturating_duration_since(last) < HEAL_PAUSE) {
            return;
        }
        *last = Some(now);
        drop(last);
        let node = Arc::clone(self);
        let change: BoxFuture<'static, ()> = Box::pin(async move {
            match join::join(&node, &peer, LocalData::Discard, Reason::Heal).await {
                Ok(_) => door::simulation::count("member that came back after a crash"),
                // It is tried again and again, also while it is under way.
                Err(JoinError::Busy) => {}
                Err(error) => {
                    tracing::error!(%error, "coming back after the machine's crash failed, it is tried again");
                }
            }
        });
        tokio::spawn(change);
    }

    pub(crate) async fn shutdown(&self) {
        let _cycle = self.cycle.lock().await;
        if self.engine().is_some() {
            if let Err(failed) = self.hub.prepare(Reason::Shutdown).await {
                tracing::warn!(
                    hook = failed.hook,
                    why = failed.why,
                    "a prepare hook objects to the shutdown, which goes on"
                );
            }
            self.stop_engine().await;
        }
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = listener {
            listener.shutdown().await;
        }
        self.home.close();
    }
}

/// Stands between the listener and the node, which comes to be after its listener.
#[derive(Default)]
struct Doorkeeper {
    node: Mutex<Weak<NodeInner>>,
}

impl Doorkeeper {
    fn node(&self) -> Option<Arc<NodeInner>> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

impl Admission for Doorkeeper {
    fn identity(&self) -> PeerIdentity {
        let Some(node) = self.node() else { return PeerIdentity::client() };
        let incarnation = node.engine_guard().as_ref().map(|engine| engine.life.incarnation);
        node.introduction(incarnation.unwrap_or(Incarnation { node: 0, life: 0 }), None).identity
    }

    fn feature_level(&self) -> u32 {
        FEATURE_LEVEL
    }

    fn admit(&self, hello: &Hello) -> Result<(), Refusal> {
        let Some(node) = self.node() else {
            return Err(Refusal::NotReady { why: "the node is starting".to_owned() });
        };
        if hello.role == Role::Client {
            return Ok(());
        }
        if hello.cluster_name != node.config.cluster_name {
            return Err(Refusal::ClusterName {
                ours: node.config.cluster_name.clone(),
                theirs: hello.cluster_name.clone(),
            });
        }
        let Some(engine) = node.engine() else { return Ok(()) };
        let view = engine.store.view();
        let system = view.system();
        if let (Some(ours), Some(theirs)) = (&system.cluster, hello.cluster_id)
            && ours.id != theirs
            // A member of the cluster that this one went on from is told below that it is none any more.
            && !(system.was(theirs) && system.removed.contains_key(&hello.from.node_id))
        {
            return Err(Refusal::ClusterId { ours: ours.id, theirs });
        }
        match system.removed.get(&hello.from.node_id) {
            Some(removed) if hello.from.node_id != 0 => {
                Err(Refusal::Removed { name: removed.name.clone(), at: removed.at.0 })
            }
            _ => Ok(()),
        }
    }
}

impl Service for Doorkeeper {
    fn open(&self, peer: Peer) -> Box<dyn Session> {
        let node = self.node.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let engine = {
            let node = node.clone();
            move || node.upgrade().and_then(|node| node.engine())
        };
        match peer.lane {
            Lane::Raft => {
                Box::new(RaftSession::open(move || engine().and_then(|engine| engine.raft().cloned())))
            }
            Lane::Bulk => Box::new(BulkSession::open(engine)),
            Lane::Calls => Box::new(CallsSession::open(node, peer)),
        }
    }
}
