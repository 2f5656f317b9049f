//! The types that parametrise openraft, and the conversions between them and the log's own.

use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_std::LeaderId;
use openraft::vote::leader_id_std::CommittedLeaderId;
use serde::{Deserialize, Serialize};
use tabularaft_schema::NodeName;
use tabularaft_store::Position;

openraft::declare_raft_types!(
    /// How this crate uses openraft: one leader per term, entries that carry encoded batches of effects.
    pub(crate) TypeConfig:
        D = Payload,
        R = Applied,
        NodeId = u64,
        Node = Peer,
        Term = u64,
        LeaderId = LeaderId<Self::Term, Self::NodeId>,
        AsyncRuntime = super::runtime::DoorRuntime,
);

pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type EntryPayload = openraft::EntryPayload<Payload, u64, Peer>;

/// One encoded batch of effects; cloning shares the bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payload(pub(crate) Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch of {} bytes", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What applying an entry came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Applied {
    /// The effects stand at the entry's index.
    Accepted,
    /// The batch was decided in another term than the one it was logged in, or on an entry that was refused, so nothing of
    /// it happened.
    Fenced,
}

/// A member as Raft's membership entries carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) name: NodeName,
    /// Where the node was reachable when it was admitted; the replicated system state has the newest address.
    pub(crate) address: String,
}

/// The log's position of an openraft log id.
pub(crate) fn position(id: &LogId) -> Position {
    Position { term: id.leader_id.term, index: id.index }
}

/// The openraft log id of a position in the log.
pub(crate) fn log_id(position: Position) -> LogId {
    LogId { leader_id: CommittedLeaderId::new(position.term), index: position.index }
}
