//! One life of a node's store and Raft. A reboot cycle stops one engine and starts another; the node stays.

pub(crate) mod ailing;
mod commit_mark;
mod duties;
mod expiry;
pub(crate) mod failover;
mod loader;
mod loading;
mod purge;
mod rewriting;
mod silence;
pub(crate) mod suspect;
mod verdict;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tabularaft_schema::{NodeId, NodeName};
use tabularaft_store::log::RaftLog;
use tabularaft_store::{Incarnation, Position, Store};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::loading::Loading;
use self::rewriting::Rewriting;
use crate::config::NodeConfig;
use crate::door;
use crate::error::{StartError, WriteError};
use crate::held_views::HeldViews;
use crate::peers::Peers;
use crate::raft::{Leadership, Offering, RaftHandle, RaftParts, Remembered};
use crate::read_index::ReadIndex;
use crate::turns::Turns;
use crate::watch;
use crate::wire::Electorate;
use crate::write::{
    Committed, LockClient, Proposer, ProposerParts, Request, Sequencer, SequencerLimits, Submitted, Work,
    is_local, write_local,
};

/// Batches that may wait for the sequencer.
const WORK_WAITING_MAX: usize = 1_024;
/// Views that are held for copies at once.
const COPIES_MAX: usize = 8;
const ENTRIES_IN_FLIGHT: usize = 8;
const ENTRY_BYTES: usize = 1024 * 1024;
/// How long a majority may take to confirm its leader.
const PROOF_TIMEOUT: Duration = Duration::from_millis(700);
/// How long a stopping leader waits until another leads.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long stopping waits for tasks before they are cut off.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Who this node is in this life.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) name: NodeName,
    pub(crate) incarnation: Incarnation,
    pub(crate) advertise: String,
}

/// What an engine is made of.
pub(crate) struct EngineParts {
    pub(crate) life: Life,
    pub(crate) config: NodeConfig,
    pub(crate) store: Arc<Store>,
    pub(crate) log: RaftLog,
    pub(crate) peers: Arc<Peers>,
    pub(crate) checks_reads: bool,
}

/// A running store, and Raft once it may take part.
pub(crate) struct Engine {
    pub(crate) life: Life,
    pub(crate) config: NodeConfig,
    pub(crate) store: Arc<Store>,
    pub(crate) log: RaftLog,
    pub(crate) peers: Arc<Peers>,
    pub(crate) sources: Arc<HeldViews>,
    pub(crate) loading: Loading,
    pub(crate) rewriting: Rewriting,
    pub(crate) proposer: Proposer,
    pub(crate) turns: Arc<Turns>,
    pub(crate) work: mpsc::Sender<Work>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) applied: watch::Receiver<u64>,
    /// Empty while the node must not vote, see `suspect`.
    raft: OnceLock<(RaftHandle, ReadIndex)>,
    /// What [`Engine::take_part`] starts Raft with; taken once.
    idle: Mutex<Option<Idle>>,
    tasks: Mutex<JoinSet<()>>,
    /// Held by the leader while it changes the members: nodes come and go one at a time.
    pub(crate) membership: tokio::sync::Mutex<()>,
    /// This life began after a crash of the machine; see `suspect`.
    crashed: AtomicBool,
    /// What the disc says of the cluster: there in a life that does not begin with Raft.
    remembered: OnceLock<Remembered>,
    /// Members that have been found to live on without their ids.
    gone: Mutex<BTreeSet<NodeId>>,
    checks_reads: bool,
}

struct Idle {
    applied: watch::Sender<u64>,
    leadership: watch::Sender<Leadership>,
    work: mpsc::Receiver<Work>,
}

impl Engine {
    /// Serves local reads from now on; nothing of Raft runs until [`Engine::take_part`].
    pub(crate) fn open(parts: EngineParts) -> Arc<Self> {
        let EngineParts { life, config, store, log, peers, checks_reads } = parts;
        let at = store.view().applied().map_or(0, |position| position.index);
        let (applied_tx, applied) = watch::channel(at);
        let (leadership_tx, leadership) = watch::channel(Leadership::Following { leader: None });
        let (work, waiting) = mpsc::channel(WORK_WAITING_MAX);
        let (proposer, proposing) = Proposer::new(ProposerParts {
            incarnation: life.incarnation,
            peers: Arc::clone(&peers),
            leadership: leadership.clone(),
            sequencer: work.clone(),
            applied: applied.clone(),
        });
        let (turns, taking_turns) = Turns::new(LockClient {
            peers: Arc::clone(&peers),
            leadership: leadership.clone(),
            sequencer: work.clone(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(proposing);
        tasks.spawn(taking_turns);
        Arc::new(Self {
            life,
            config,
            store,
            log,
            peers,
            sources: Arc::new(HeldViews::new(COPIES_MAX)),
            loading: Loading::default(),
            rewriting: Rewriting::default(),
            proposer,
            turns,
            work,
            leadership,
            applied,
            raft: OnceLock::new(),
            idle: Mutex::new(Some(Idle { applied: applied_tx, leadership: leadership_tx, work: waiting })),
            tasks: Mutex::new(tasks),
            membership: tokio::sync::Mutex::new(()),
            crashed: AtomicBool::new(false),
            remembered: OnceLock::new(),
            gone: Mutex::default(),
            checks_reads,
        })
    }

    /// Applies what is known to be committed, for a node that starts without Raft.
    pub(crate) async fn replay(&self) -> Result<(), StartError> {
        let (store, log) = (Arc::clone(&self.store), self.log.clone());
        let replayed = door::blocking(move || crate::raft::replay(&store, &log)).await;
        let failed = |error: &dyn std::fmt::Display| StartError::Raft(error.to_string());
        let remembered = replayed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let _ = self.remembered.set(remembered);
        Ok(())
    }

    /// What [`Engine::replay`] found.
    pub(crate) fn remembered(&self) -> Option<&Remembered> {
        self.remembered.get()
    }

    /// Who votes, as far as this node knows.
    pub(crate) fn electorate(&self) -> Electorate {
        let last = self.last_position();
        let newest = || self.remembered().map(|remembered| remembered.newest.clone()).unwrap_or_default();
        let sets = self.raft().map_or_else(newest, RaftHandle::voter_sets);
        let gone = self.gone.lock().map(|gone| gone.clone()).unwrap_or_default();
        Electorate { last, sets, gone }
    }

    /// A node that is not this member lives at its address: the member will not come back under its id.
    pub(crate) fn note_gone(&self, member: NodeId) {
        if let Ok(mut gone) = self.gone.lock() {
            gone.insert(member);
        }
    }

    /// How far this node's log reaches, or its checkpoint, where that is ahead of a log that a crash has cut.
    pub(crate) fn last_position(&self) -> Option<Position> {
        self.log.bounds().last.max(self.store.view().applied())
    }

    /// Starts Raft and everything that rests on it.
    pub(crate) async fn take_part(self: &Arc<Self>) -> Result<(), StartError> {
        self.take_part_campaigning(true).await
    }

    /// As [`Engine::take_part`]; a node that does not campaign votes, and waits for another one to be elected.
    pub(crate) async fn take_part_campaigning(self: &Arc<Self>, campaigns: bool) -> Result<(), StartError> {
        let Some(idle) = self.idle.lock().ok().and_then(|mut idle| idle.take()) else { return Ok(()) };
        if let Some(applied) = self.store.view().applied() {
            idle.applied.send_replace(applied.index);
        }
        let parts = RaftParts {
            node: self.node(),
            config: self.config.clone(),
            store: Arc::clone(&self.store),
            log: self.log.clone(),
            peers: Arc::clone(&self.peers),
            offering: Offering { sources: Arc::clone(&self.sources), address: self.life.advertise.clone() },
            applied: idle.applied,
            leadership: idle.leadership,
            campaigns,
        };
        let (raft, watching) =
            crate::raft::start(parts).await.map_err(|error| StartError::Raft(error.to_string()))?;
        if campaigns {
            raft.lead_if_alone().await.map_err(|error| StartError::Raft(error.to_string()))?;
        }
        let (read_index, answering) = ReadIndex::new(
            raft.clone(),
            Arc::clone(&self.peers),
            self.leadership.clone(),
            self.applied.clone(),
        );
        let sequencer = Sequencer {
            raft: raft.clone(),
            store: Arc::clone(&self.store),
            leadership: self.leadership.clone(),
            work: idle.work,
            limits: SequencerLimits {
                entries_in_flight: ENTRIES_IN_FLIGHT,
                entry_bytes: ENTRY_BYTES,
                record_bytes_max: u64::from(self.config.record_bytes_max),
                checks_reads: self.checks_reads,
            },
        };
        let _ = self.raft.set((raft.clone(), read_index));
        self.spawn(watching);
        self.spawn(answering);
        self.spawn(sequencer.run());
        self.spawn(purge::run(
            raft.clone(),
            Arc::clone(&self.store),
            self.log.clone(),
            self.config.log_keep_bytes,
        ));
        self.spawn(commit_mark::run(self.log.clone()));
        self.spawn(failover::run(Arc::downgrade(self), raft));
        self.spawn(loader::run(Arc::downgrade(self)));
        self.spawn(duties::announce(Arc::downgrade(self)));
        self.spawn(duties::lead(Arc::downgrade(self)));
        self.spawn(crate::join::complete(Arc::downgrade(self)));
        self.spawn(crate::indexes::lead(Arc::downgrade(self)));
        self.spawn(rewriting::run(Arc::downgrade(self)));
        self.spawn(expiry::run(Arc::downgrade(self)));
        Ok(())
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Ok(mut tasks) = self.tasks.lock() {
            tasks.spawn(task);
        }
    }

    pub(crate) fn node(&self) -> NodeId {
        self.life.incarnation.node
    }

    pub(crate) fn raft(&self) -> Option<&RaftHandle> {
        self.raft.get().map(|(raft, _)| raft)
    }

    pub(crate) fn read_index(&self) -> Option<&ReadIndex> {
        self.raft.get().map(|(_, read_index)| read_index)
    }

    pub(crate) fn suspect_since_start(&self) {
        self.crashed.store(true, Ordering::Release);
    }

    pub(crate) fn began_after_crash(&self) -> bool {
        self.crashed.load(Ordering::Acquire)
    }

    pub(crate) fn is_leading(&self) -> bool {
        matches!(*self.leadership.borrow(), Leadership::Leading { .. })
    }

    /// As [`Engine::is_leading`], less a leader that is cut off: it decides, but nothing of it is committed.
    pub(crate) fn leads_a_majority(&self) -> bool {
        self.is_leading() && self.raft().is_some_and(|raft| raft.has_majority(self.config.election_ms * 2))
    }

    /// Asks a majority whether this node still leads.
    pub(crate) async fn proves_leadership(&self) -> bool {
        let Some(raft) = self.raft().filter(|_| self.is_leading()) else { return false };
        matches!(door::until(door::now() + PROOF_TIMEOUT, raft.read_index()).await, Some(Ok(_)))
    }

    pub(crate) async fn write(&self, request: Request, deadline: Instant) -> Result<Committed, WriteError> {
        if let Some(ailment) = self.ailment() {
            return Err(WriteError::Store(ailment.why));
        }
        if is_local(&self.store.read(), &request) {
            let (store, owner) = (Arc::clone(&self.store), self.life.incarnation);
            let limit = u64::from(self.config.record_bytes_max);
            let written = door::blocking(move || write_local(&store, owner, limit, &request));
            return written.await.unwrap_or(Err(WriteError::Stopped));
        }
        self.proposer.write(request, deadline).await
    }

    /// As [`Engine::write`], for a request to replicated tables whose place in the order matters to its caller.
    pub(crate) async fn submit(&self, request: Request, deadline: Instant) -> Result<Submitted, WriteError> {
        if let Some(cause) = self.store.poisoned() {
            return Err(WriteError::Store(cause.to_string()));
        }
        self.proposer.submit(request, deadline).await
    }

    /// Stops in the order in which nothing is lost: first Raft takes and applies no more, then the tasks that wait for
    /// it end, then the store writes its last checkpoint, and at last the log, which that checkpoint refers to. Says whether
    /// all that was acknowledged is on disc then.
    pub(crate) async fn stop(&self) -> bool {
        self.pause().await;
        let (store, log) = (Arc::clone(&self.store), self.log.clone());
        let closed = door::blocking(move || {
            if let Err(error) = store.close() {
                tracing::error!(%error, "the last checkpoint failed; the log has what it lacks");
            }
            log.close().inspect_err(|error| tracing::error!(%error, "the log was not closed cleanly")).is_ok()
        });
        closed.await.unwrap_or(false)
    }

    /// A leader that stops lets the voter that is furthest lead, so that nobody has to notice that it is gone.
    async fn hand_over(&self, raft: &RaftHandle) {
        if !self.is_leading() {
            return;
        }
        let Some(next) = raft.furthest_other_voter() else { return };
        if let Err(error) = raft.hand_over_to(next).await {
            tracing::debug!(%error, "leadership was not handed over");
            return;
        }
        let mut leadership = self.leadership.clone();
        let handed_over = leadership.wait_for(|leadership| leadership.leader().is_some());
        let _ = door::until(door::now() + HAND_OVER_TIMEOUT, handed_over).await;
    }

    /// Stops everything but the store and the log, which another engine may go on with.
    pub(crate) async fn pause(&self) {
        if let Some(raft) = self.raft() {
            self.hand_over(raft).await;
            raft.stop().await;
        }
        let tasks = self.tasks.lock().ok().map(|mut tasks| std::mem::take(&mut *tasks));
        if let Some(mut tasks) = tasks {
            tasks.abort_all();
            let all = async { while tasks.join_next().await.is_some() {} };
            if door::until(door::now() + STOP_TIMEOUT, all).await.is_none() {
                tracing::warn!("tasks of the engine did not end in time");
            }
        }
    }
}
