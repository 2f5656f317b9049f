//! What the two sides of a connection tell each other about themselves.

use std::{fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};
use tabularaft_schema::NodeName;
use tabularaft_store::Incarnation;

/// The first frame of a connection, sent by the dialer.
///
/// Persistent: fields are only ever added at the end; never change or reuse one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The newest set of features the dialer understands.
    pub feature_level: u32,
    /// The cluster the dialer belongs to, or wants to talk to.
    pub cluster_name: String,
    /// The identity of that cluster, when the dialer knows it: two clusters may bear one name.
    pub cluster_id: Option<u128>,
    /// Who dials.
    pub from: PeerIdentity,
    /// As what it dials.
    pub role: Role,
    /// What the connection is for.
    pub lane: Lane,
    /// The id of the node the dialer expects at this address; any other node refuses.
    pub wants: Option<u64>,
}

/// The answer of a listener that takes the connection.
///
/// Persistent: fields are only ever added at the end; never change or reuse one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Who accepts.
    pub identity: PeerIdentity,
    /// The newest set of features the acceptor understands.
    pub feature_level: u32,
}

/// Who one side of a connection is.
///
/// Persistent: fields are only ever added at the end; never change or reuse one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerIdentity {
    /// The node's name; `None` for a client that is no node.
    pub name: Option<NodeName>,
    /// The node's id in its Raft group; 0 for a client.
    pub node_id: u64,
    /// Which life of the node this is.
    pub incarnation: Incarnation,
    /// The address at which others reach the node; empty for a client.
    pub advertise: String,
}

impl PeerIdentity {
    /// The identity of a client that is no node, as of an operator's tool.
    #[must_use]
    pub fn client() -> Self {
        Self {
            name: None,
            node_id: 0,
            incarnation: Incarnation { node: 0, life: 0 },
            advertise: String::new(),
        }
    }
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} (node id {}, life {})", self.node_id, self.incarnation.life),
            None => f.write_str("a client"),
        }
    }
}

/// As what the dialer comes.
///
/// Persistent: add, never change or reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// A node of the cluster, or one that wants to join it.
    Member,
    /// A program outside of the cluster.
    Client,
}

/// What a connection is for: each lane is a TCP connection of its own, so that none delays another.
///
/// Persistent: add, never change or reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lane {
    /// Votes, heartbeats and log entries.
    Raft,
    /// Table copies and snapshots.
    Bulk,
    /// Forwarded writes, reads and administration.
    Calls,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raft => "raft",
            Self::Bulk => "bulk",
            Self::Calls => "calls",
        })
    }
}

/// The other side of an accepted connection, as the service sees it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who it is.
    pub identity: PeerIdentity,
    /// As what it came.
    pub role: Role,
    /// What the connection is for.
    pub lane: Lane,
    /// The newest set of features it understands.
    pub feature_level: u32,
    /// Where its end of the connection is.
    pub remote: SocketAddr,
}
