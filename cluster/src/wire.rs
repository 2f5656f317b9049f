//! Messages between nodes, besides Raft's own. Persistent: add, never change or reuse a variant.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::{CopyMode, NodeId, NodeName, TableId, TableName};
use tabularaft_store::{Incarnation, LogIndex, OpResult, Position, TableDigest};

use crate::indexes::IndexReport;
use crate::join::{CheckReply, CheckRequest};
use crate::write::{LockAnswer, LockId, Place, Rejection, Request};

/// Every message names its Raft group, so that more groups can come later.
pub(crate) const GROUP: u32 = 0;

/// A request on the calls lane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// From a proposer to the leader's sequencer.
    Write { group: u32, batch: WriteBatch },
    /// Asks the leader for an index up to which a read must have applied to be linearizable.
    ReadIndex { group: u32 },
    /// The first step of a join; touches nothing.
    JoinCheck(Box<CheckRequest>),
    /// Gives a joining node its id. Forwarded to the leader.
    JoinAdmit { name: NodeName, address: String, copies: Vec<(TableName, Option<CopyMode>)> },
    /// The joiner has copied everything: add it to the Raft group. Forwarded to the leader.
    JoinFinish { node: NodeId, voter: bool },
    /// Takes a member out of the cluster. Forwarded to the leader.
    Remove { node: NodeId, force: bool },
    /// What a node that may have forgotten acknowledged entries asks before it votes again.
    Presence,
    /// What this node holds, for status and for choosing a source to copy from.
    Describe,
    /// The digests of this node's tables at the barrier with this token.
    Digests { token: u64 },
    /// An operator's request, encoded by the admin protocol.
    Admin(Bytes),
    /// Copies this table from this node, if it is to be loaded.
    PreferSource { table: TableId, from: NodeName },
    /// Writes a checkpoint now, and answers when it is on disc.
    Checkpoint,
    /// The leader tells a node that it has been removed.
    Removed { node: NodeId, at: LogIndex },
    /// As `Digests`, but of what the records say, whichever writes have led to them.
    ContentDigests { token: u64 },
    /// How far this node is with the secondary indexes of a table.
    Indexes { table: TableId },
    /// Asks the leader for a turn at these records.
    Lock { group: u32, places: Vec<Place> },
    /// Gives it back.
    Unlock { group: u32, lock: LockId },
    /// The id of the member that has this name at this address.
    Place { name: NodeName, address: String },
    /// Whether this node, too, finds that the process of another one is gone.
    IsGone { node: NodeId },
    /// Who votes, as far as this node's log tells: asked with `Presence`, for the rule of machine crashes.
    Electorate,
}

/// The answer to a [`Call`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Write(WriteAnswer),
    ReadIndex(LogIndex),
    JoinCheck(Box<CheckReply>),
    /// The node's id, and an index at which every member knows it.
    Admitted {
        node: NodeId,
        at: LogIndex,
    },
    Done,
    Presence(Presence),
    Describe(Box<Description>),
    Digests(Vec<(TableId, Option<TableDigest>)>),
    Admin(Bytes),
    /// Only the leader can do this; `leader` is where it is believed to be.
    NotLeader {
        leader: Option<(NodeId, String)>,
    },
    /// It did not happen, and why.
    Failed(String),
    /// Of [`Call::Indexes`]; nothing while the table is being loaded, or is not held.
    Indexes(Vec<IndexReport>),
    Lock(LockAnswer),
    Place(Option<NodeId>),
    /// Of [`Call::IsGone`]: nobody listens at its address any more.
    IsGone(bool),
    Electorate(Electorate),
}

/// Requests of one incarnation, in order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WriteBatch {
    pub(crate) incarnation: Incarnation,
    /// Every lower sequence number has been answered to its caller.
    pub(crate) completed_below: u64,
    pub(crate) requests: Vec<(u64, Request)>,
}

/// One outcome per request, in the batch's order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum WriteAnswer {
    Decided(Vec<RequestOutcome>),
    /// Not sequenced, or not known to be: send it again to the leader, under the same ids.
    Retry {
        leader: Option<(NodeId, String)>,
    },
}

/// What became of one request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum RequestOutcome {
    Committed {
        index: LogIndex,
        results: Vec<OpResult>,
    },
    Rejected(Rejection),
    /// The exactly-once window no longer knows this request, so whether it happened cannot be told.
    Forgotten,
}

/// Whether a node takes part in Raft, for the rule of machine crashes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Presence {
    pub(crate) node: NodeId,
    /// True while the node holds back its vote because its machine crashed.
    pub(crate) suspect: bool,
    /// True when this life began after a crash of the machine, settled or not.
    pub(crate) crashed: bool,
    pub(crate) leader: Option<(NodeId, String)>,
    /// True while the node leads, and a majority follows it.
    pub(crate) leads: bool,
    /// How far its log reaches.
    pub(crate) last: Option<Position>,
}

/// Who votes, as far as one node knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Electorate {
    /// How far its log reaches.
    pub(crate) last: Option<Position>,
    /// The voters of the newest membership in it, with their addresses. There are two sets while they change: then a
    /// majority of each is needed.
    pub(crate) sets: Vec<BTreeMap<NodeId, String>>,
    /// Members that will not come back under these ids: a node that has none of them lives at their addresses.
    pub(crate) gone: BTreeSet<NodeId>,
}

/// A node's own account of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) name: NodeName,
    pub(crate) incarnation: Incarnation,
    pub(crate) applied: LogIndex,
    pub(crate) term: u64,
    pub(crate) leader: Option<NodeId>,
    pub(crate) tables: Vec<DescribedTable>,
}

/// One table copy of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DescribedTable {
    pub(crate) id: TableId,
    pub(crate) name: String,
    pub(crate) mode: CopyMode,
    pub(crate) loading: bool,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// While it is being loaded: records and bytes so far, and in all.
    pub(crate) progress: Option<LoadProgress>,
}

/// How far the loading of a copy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoadProgress {
    pub(crate) records: u64,
    pub(crate) records_total: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_total: u64,
}
