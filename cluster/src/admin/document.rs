//! The documents an administrator reads: what `store-admin … --json` prints.
//!
//! The field names are an interface to scripts and the same types travel between node and tool, so they obey
//! both rules: a name never changes, and nothing here uses serde attributes that only self-describing formats
//! understand (`skip_serializing_if`, `flatten`, `untagged`).

use serde::{Deserialize, Serialize};
use tabularaft_schema::{CopyMode, IndexDef, NodeName, TableDef, TableId, TableKind, TableName};

/// The cluster as the asked node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// Name of the cluster.
    pub cluster: String,
    /// The node that answered.
    pub node: NodeName,
    /// Software version of the node that answered.
    pub version: String,
    /// The leader, if this node knows one.
    pub leader: Option<NodeName>,
    /// Raft term of the node that answered.
    pub term: u64,
    /// Last log index this node knows to be committed.
    pub committed: u64,
    /// Version of the schema this node has applied.
    pub schema_version: u64,
    /// True when the node serves reads and writes of every table it holds.
    pub ready: bool,
    /// Why it is not ready; present exactly when `ready` is false.
    pub not_ready: Option<NotReadyStatus>,
    /// All members, by name.
    pub nodes: Vec<NodeStatus>,
    /// Names of nodes that were removed and may not come back under their old incarnation.
    pub removed: Vec<NodeName>,
}

/// One time that the cluster went on without its majority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryStatus {
    /// The id of the cluster before, in hexadecimal digits. Its members are refused.
    pub former_cluster_id: String,
    /// The id of the cluster since then.
    pub cluster_id: String,
    /// The log index at which it happened.
    pub at_log_index: u64,
    /// When, in milliseconds since 1970, by the clock of the machine.
    pub at_unix_ms: u64,
    /// The node whose data the cluster went on with.
    pub by: NodeName,
    /// The members that it went on without.
    pub without: Vec<NodeName>,
}

/// Whom or what a node waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReadyStatus {
    /// One sentence for a human.
    pub why: String,
    /// Voters that must be present.
    pub need: u32,
    /// Voters that are present, this node included.
    pub have: u32,
    /// The voters that are away.
    pub missing: Vec<NodeName>,
    /// Tables that are not served yet.
    pub tables: Vec<TableName>,
}

/// One member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: NodeName,
    /// Its Raft node id; never given to another node.
    pub id: u64,
    /// Where other nodes reach it, `host:port`.
    pub address: String,
    /// Its place in the Raft group.
    pub role: NodeRole,
    /// Whether it is there.
    pub state: NodeState,
    /// Number of its present life; 0 when unknown.
    pub incarnation: u64,
    /// Last log index it has applied, if known.
    pub applied: Option<u64>,
    /// Entries it is behind the committed index, if known.
    pub lag: Option<u64>,
    /// The tables it holds, by name; empty when the node cannot be asked.
    pub tables: Vec<CopyStatus>,
}

/// A node's place in the Raft group.
///
/// Persistent: add, never change or reuse.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeRole {
    /// Takes part in elections and in the majority a commit needs.
    Voter,
    /// Receives the log and serves reads, without a vote.
    Learner,
}

/// Whether a member is there.
///
/// Persistent: add, never change or reuse.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// Connected and serving.
    Running,
    /// A member without a connection to the asked node.
    Stopped,
    /// Between the start of its join and its first service.
    Joining,
    /// On its way out.
    Leaving,
}

/// One node's copy of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyStatus {
    /// The table.
    pub table: TableName,
    /// The node that holds the copy.
    pub node: NodeName,
    /// How it is held.
    pub mode: CopyMode,
    /// Whether it is served.
    pub state: CopyState,
    /// Its records, if the node could be asked.
    pub records: Option<u64>,
    /// Bytes of its encoded records and keys, if the node could be asked.
    pub bytes: Option<u64>,
}

/// Whether a copy is served.
///
/// Persistent: add, never change or reuse.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyState {
    /// Complete and served.
    Ready,
    /// Being loaded from disc or from another node.
    Loading,
    /// No live node to load it from.
    Waiting,
    /// The node that holds it cannot be asked.
    Unknown,
}

/// One line of `table list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSummary {
    /// Its name.
    pub name: TableName,
    /// Its id; never given to another table.
    pub id: TableId,
    /// Set, ordered set or bag.
    pub kind: TableKind,
    /// The mode of a node for which nothing else was said.
    pub copy: CopyMode,
    /// The nodes that hold a copy.
    pub nodes: Vec<NodeName>,
    /// Records on the asked node, if it holds a copy.
    pub records: Option<u64>,
    /// Bytes of the encoded records and keys on the asked node, if it holds a copy.
    pub bytes: Option<u64>,
}

/// Everything about one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableInfo {
    /// Its id; never given to another table.
    pub id: TableId,
    /// Its definition.
    pub def: TableDef,
    /// Largest encoded record it takes, in bytes, as the asked node is configured.
    pub record_bytes_max: u32,
    /// All copies, by node.
    pub copies: Vec<CopyStatus>,
}

/// What `verify` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The log index at which all copies were read.
    pub log_index: u64,
    /// One verdict per table, by name.
    pub tables: Vec<TableVerdict>,
    /// Members that could not be asked.
    pub unreachable: Vec<NodeName>,
}

/// Whether the copies of one table are the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableVerdict {
    /// The table.
    pub table: TableName,
    /// True when all copies that could be read have the same digest.
    pub equal: bool,
    /// The copies that were read, by node.
    pub copies: Vec<CopyDigest>,
}

/// The digest of one node's copy of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyDigest {
    /// The node that holds the copy.
    pub node: NodeName,
    /// How it is held.
    pub mode: CopyMode,
    /// Its records.
    pub records: u64,
    /// Digest over all its records, in hexadecimal.
    pub digest: String,
}

/// A secondary index as the asked node has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexSummary {
    /// Its definition.
    pub def: IndexDef,
    /// Whether all nodes have built it.
    pub active: bool,
    /// `ready`, `building` or `unavailable`, on this node.
    pub state: String,
    /// Why it is unavailable, or how far its building is.
    pub detail: Option<String>,
    /// How many entries it has.
    pub entries: u64,
    /// Bytes of memory that it takes, as an estimate.
    pub bytes: u64,
}
