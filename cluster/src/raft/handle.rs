//! What the rest of the crate may ask of Raft.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError as OpenraftError};
use openraft::impls::ProgressResponder;
use openraft::raft::{ClientWriteResult, ReadPolicy, TransferLeaderRequest};
use openraft::{ChangeMembers, Instant, Raft};
use tabularaft_schema::NodeId;
use tabularaft_store::LogIndex;

use super::state_machine::StateMachine;
use super::types::{Applied, Payload, Peer, TypeConfig};
use crate::door;
use crate::error::ReadError;

/// How long a majority may take to agree to a change of the group.
const CHANGE_MS: u64 = 10_000;

/// Why Raft did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RaftError {
    #[error("this node does not lead")]
    NotLeader,
    #[error("{0}")]
    Failed(String),
}

/// A shared handle on this node's Raft.
#[derive(Clone)]
pub(crate) struct RaftHandle {
    pub(super) raft: Raft<TypeConfig, StateMachine>,
}

/// An entry on its way through the log.
pub(crate) struct Proposal {
    outcome: tokio::sync::oneshot::Receiver<ClientWriteResult<TypeConfig>>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProposalOutcome {
    /// It is applied on this node.
    Applied(LogIndex),
    /// Leadership was lost: it may be committed by another leader, or not, or be dropped by its term fence.
    Lost,
}

/// Numbers for status.
#[derive(Debug, Clone)]
pub(crate) struct RaftStatus {
    pub(crate) term: u64,
    pub(crate) committed: u64,
    pub(crate) leader: Option<NodeId>,
    pub(crate) fatal: Option<String>,
}

/// The voters and learners.
#[derive(Debug, Clone, Default)]
pub(crate) struct MembershipView {
    pub(crate) voters: BTreeSet<NodeId>,
    pub(crate) learners: BTreeSet<NodeId>,
    /// Whether it is the first of the two entries of a change of voters; `voters` has the old and the new ones then.
    pub(crate) is_changing: bool,
}

impl Proposal {
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; it may be called again.
    pub(crate) async fn outcome(&mut self) -> ProposalOutcome {
        match (&mut self.outcome).await {
            Ok(Ok(response)) if response.data == Applied::Accepted => {
                ProposalOutcome::Applied(LogIndex(response.log_id.index))
            }
            _ => ProposalOutcome::Lost,
        }
    }
}

impl RaftHandle {
    /// This node's id.
    pub(crate) fn node(&self) -> NodeId {
        *self.raft.node_id()
    }

    /// Proposes one entry. Exactly one task may call this, so that entries keep the order of their decisions.
    pub(crate) async fn propose(&self, batch: Bytes) -> Result<Proposal, RaftError> {
        let (responder, outcome) = ProgressResponder::complete_only();
        self.raft.client_write_ff(Payload(batch), Some(responder)).await.map_err(failed)?;
        Ok(Proposal { outcome })
    }

    /// Proves that this node still leads, and returns the index that a linearizable read must have applied.
    pub(crate) async fn read_index(&self) -> Result<LogIndex, ReadError> {
        match self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Ok(LogIndex(linearizer.read_log_id().index())),
            Err(error) => {
                tracing::debug!(%error, "no read index");
                Err(ReadError::NoLeader)
            }
        }
    }

    /// Founds a cluster of one: done exactly once in a cluster's life.
    pub(crate) async fn found(
        &self,
        node: NodeId,
        peer_name: tabularaft_schema::NodeName,
        address: String,
    ) -> Result<(), RaftError> {
        let members = BTreeMap::from([(node, Peer { name: peer_name, address })]);
        self.raft.initialize(members).await.map_err(failed)
    }

    pub(crate) async fn add_learner(
        &self,
        node: NodeId,
        name: tabularaft_schema::NodeName,
        address: String,
    ) -> Result<(), RaftError> {
        self.raft.add_learner(node, Peer { name, address }, true).await.map(|_| ()).map_err(write_failed)
    }

    pub(crate) async fn promote(&self, node: NodeId) -> Result<(), RaftError> {
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([node]))).await
    }

    /// Takes a voter's vote; it goes on as a learner.
    pub(crate) async fn demote(&self, node: NodeId) -> Result<(), RaftError> {
        if !self.membership().voters.contains(&node) {
            return Ok(());
        }
        self.change(ChangeMembers::RemoveVoters(BTreeSet::from([node]))).await
    }

    /// Sends a learner nothing any more.
    pub(crate) async fn drop_learner(&self, node: NodeId) -> Result<(), RaftError> {
        if !self.membership().learners.contains(&node) {
            return Ok(());
        }
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([node]))).await
    }

    /// A change of voters takes two entries. If whoever led wrote only the first of them, a majority is needed of the old
    /// voters and of the new ones, until this writes the second.
    pub(crate) async fn complete_change(&self) -> Result<(), RaftError> {
        if !self.membership().is_changing {
            return Ok(());
        }
        self.change(ChangeMembers::AddVoterIds(BTreeSet::new())).await
    }

    /// Voters that lose their vote go on as learners. openraft may never answer a leader that has been deposed.
    async fn change(&self, change: ChangeMembers<u64, Peer>) -> Result<(), RaftError> {
        let changed = self.raft.change_membership(change, true);
        match door::until(door::now() + door::ms(CHANGE_MS), changed).await {
            Some(changed) => changed.map(|_| ()).map_err(write_failed),
            None => {
                Err(RaftError::Failed("a majority did not agree to the change of voters in time".to_owned()))
            }
        }
    }

    /// Where the Raft group finds a node that is no member of the cluster any more.
    pub(crate) fn address_of(&self, node: NodeId) -> Option<String> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_node(&node).map(|peer| peer.address.clone())
    }

    /// The voter, other than this leader, that has most of the log.
    pub(crate) fn furthest_other_voter(&self) -> Option<NodeId> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let replicated = metrics.replication.as_ref()?;
        let others = metrics.membership_config.membership().voter_ids().filter(|id| *id != metrics.id);
        others.max_by_key(|id| replicated.get(id).and_then(|at| at.map(|at| at.index)))
    }

    pub(crate) async fn hand_over_to(&self, node: NodeId) -> Result<(), RaftError> {
        self.raft.trigger().transfer_leader(node).await.map_err(failed)
    }

    /// Starts an election now, because the leader's process is known to be gone.
    ///
    /// Voters otherwise refuse until the leader's lease is over. The lease protects a leader that lives from being
    /// deposed, so a leader that does not is taken to have handed over to this node. Reads never rest on the lease:
    /// they ask a majority.
    pub(crate) async fn elect_in_place_of_dead_leader(&self) -> Result<(), RaftError> {
        let vote = self.raft.metrics().borrow_watched().vote;
        let request = TransferLeaderRequest::new(vote, self.node(), None);
        self.raft.handle_transfer_leader(request).await.map_err(failed)?.map_err(failed)
    }

    /// The only voter has nobody to wait for.
    pub(crate) async fn lead_if_alone(&self) -> Result<(), RaftError> {
        let node = self.node();
        if self.membership().voters.iter().eq([&node]) {
            self.raft.trigger().elect(true).await.map_err(failed)?;
        }
        Ok(())
    }

    /// From now on this node starts elections when it hears no leader, or does not.
    pub(crate) fn campaigns(&self, campaigns: bool) {
        self.raft.runtime_config().elect(campaigns);
    }

    /// Lets the log forget everything up to `index`, which a checkpoint on disc covers.
    pub(crate) async fn purge_behind(&self, index: u64) -> Result<(), RaftError> {
        // openraft purges only behind a snapshot; ours is a held view, so taking one costs nothing.
        self.raft.trigger().snapshot().await.map_err(failed)?;
        self.raft
            .wait(Some(crate::door::ms(5_000)))
            .metrics(
                |metrics| metrics.snapshot.is_some_and(|snapshot| snapshot.index >= index),
                "a snapshot to purge behind",
            )
            .await
            .map_err(failed)?;
        self.raft.trigger().purge_log(index).await.map_err(failed)
    }

    pub(crate) fn membership(&self) -> MembershipView {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        MembershipView {
            voters: membership.voter_ids().collect(),
            learners: membership.learner_ids().collect(),
            is_changing: membership.get_joint_config().len() > 1,
        }
    }

    /// The voters of the newest membership, with the addresses of their admission: two sets while they change.
    pub(crate) fn voter_sets(&self) -> Vec<BTreeMap<NodeId, String>> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        super::replay::voter_sets(metrics.membership_config.membership())
    }

    /// Whether a majority has answered this leader within `ms`; a leader without one decides nothing.
    pub(crate) fn has_majority(&self, ms: u64) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let voters = metrics.membership_config.membership().voter_ids().count();
        let answered = metrics.last_quorum_acked.as_ref().map(|at| at.elapsed());
        voters == 1 || answered.is_some_and(|ago| ago < crate::door::ms(ms))
    }

    /// When this leader last heard of each other node; `None`: never since it leads.
    pub(crate) fn heard_of(&self) -> BTreeMap<NodeId, Option<std::time::Instant>> {
        let now = crate::door::now();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let others = metrics.heartbeat.iter().flatten().filter(|(node, _)| **node != metrics.id);
        others.map(|(node, at)| (*node, at.as_ref().and_then(|at| now.checked_sub(at.elapsed())))).collect()
    }

    /// Whether this node is the leader of its term, ready to decide or not.
    pub(crate) fn leads(&self) -> bool {
        self.raft.metrics().borrow_watched().state.is_leader()
    }

    /// The newest term in which this node has voted, and for whom.
    pub(crate) fn voted(&self) -> (u64, NodeId) {
        let vote = self.raft.metrics().borrow_watched().vote;
        (vote.leader_id.term, vote.leader_id.voted_for)
    }

    pub(crate) fn status(&self) -> RaftStatus {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        RaftStatus {
            term: metrics.current_term,
            committed: metrics.local_committed.map_or(0, |id| id.index),
            leader: metrics.current_leader,
            fatal: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }

    pub(crate) async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "raft did not stop cleanly");
        }
    }
}

fn failed(error: impl std::fmt::Display) -> RaftError {
    RaftError::Failed(error.to_string())
}

fn write_failed(error: OpenraftError<TypeConfig, ClientWriteError<TypeConfig>>) -> RaftError {
    match error {
        OpenraftError::APIError(ClientWriteError::ForwardToLeader(_)) => RaftError::NotLeader,
        other => failed(other),
    }
}
