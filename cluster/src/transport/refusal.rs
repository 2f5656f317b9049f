//! Why a node turns a connection, or one request, away.

use serde::{Deserialize, Serialize};
use tabularaft_schema::NodeName;
use thiserror::Error;

/// Why a listener does not take a connection. It travels to the dialer, so that both sides name the same reason.
///
/// Persistent: add at the end, never change or reuse.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// The two programs speak different versions of the protocol.
    #[error(
        "the listening node speaks protocol version {acceptor}, the dialing side version {dialer}; \
         run versions of Tabularaft that share a protocol version"
    )]
    ProtocolVersion {
        /// The version of the listening node.
        acceptor: u16,
        /// The version of the dialing side.
        dialer: u16,
    },
    /// What arrived is not this protocol at all.
    #[error("what arrived is not the Tabularaft protocol")]
    NotOurProtocol,
    /// Both sides have a secret, and they differ.
    #[error("the cluster secrets of the two sides differ; give both the same secret file")]
    WrongSecret,
    /// The listening node has a secret, the dialing side has none.
    #[error(
        "the listening node requires the cluster secret, and the dialing side has none; give it the secret file"
    )]
    SecretRequired,
    /// The dialing side has a secret, the listening node has none.
    #[error(
        "the dialing side has a cluster secret, and the listening node has none; give it the secret file"
    )]
    NoSecretHere,
    /// The two sides belong to clusters of different names.
    #[error("the listening node belongs to cluster `{ours}`, the dialing side to `{theirs}`")]
    ClusterName {
        /// The cluster of the node that refuses.
        ours: String,
        /// The cluster named by the dialing side.
        theirs: String,
    },
    /// The two sides belong to different clusters of the same name.
    #[error(
        "the listening node belongs to the cluster with id {ours:032x}, the dialing side to the one with id {theirs:032x}, \
         though both bear the same name"
    )]
    ClusterId {
        /// The cluster of the node that refuses.
        ours: u128,
        /// The cluster of the dialing side.
        theirs: u128,
    },
    /// Another node than the expected one lives at the address.
    #[error("node {wanted} was expected at this address, but node {actual} lives there")]
    WrongNode {
        /// The node id the dialer expected.
        wanted: u64,
        /// The node id of the node that refuses.
        actual: u64,
    },
    /// The dialing node was removed from the cluster.
    #[error(
        "node {name} was removed from the cluster (at log position {at}); it can join again as a new node"
    )]
    Removed {
        /// The removed node.
        name: NodeName,
        /// The log position of its removal.
        at: u64,
    },
    /// Another living node has the dialing node's name.
    #[error("the name {name} is taken by the node at {by}; node names are unique in a cluster")]
    NameTaken {
        /// The name in question.
        name: NodeName,
        /// Who has it.
        by: String,
    },
    /// The node serves as many connections as it may.
    #[error("the node serves {limit} connections already, and takes no more")]
    Busy {
        /// The limit.
        limit: usize,
    },
    /// The node cannot serve this yet.
    #[error("the node is not ready: {why}")]
    NotReady {
        /// What it waits for.
        why: String,
    },
    /// A reason that has no variant of its own, or none that this version knows.
    #[error("{0}")]
    Other(String),
}

/// Why a peer answered a request without the service's reply.
///
/// Persistent: add at the end, never change or reuse.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CallRefusal {
    /// The service let go of the request without a reply. The request may have been carried out.
    #[error("it gave no answer to the request")]
    NoAnswer,
    /// The reply does not fit into a frame. The request was carried out.
    #[error("its reply of {bytes} bytes is larger than a frame may be ({limit} bytes)")]
    ReplyTooLarge {
        /// The size of the reply.
        bytes: u64,
        /// The size limit of a frame.
        limit: u64,
    },
    /// A reason that has no variant of its own, or none that this version knows.
    #[error("{0}")]
    Other(String),
}
