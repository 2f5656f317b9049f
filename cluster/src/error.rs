//! Errors, one enum per family of operations. Write errors tell what certainly did not happen from what may have.

use std::path::PathBuf;
use std::time::Duration;

use tabularaft_schema::{Difference, KeyError, NodeName, RecordError, SchemaError, TableName};
use tabularaft_store::{DataDirError, IdentityError, IndexReadError, LogIndex, StoreError};

use crate::transaction::{TooLarge, TransactionError};
use crate::transport::{ConnectError, Refusal, SecretError, TransportError};
use crate::write::Rejection;

/// Why a node did not start. Nothing was changed on disc unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An option is missing or contradicts another.
    #[error("{0}")]
    Configuration(String),
    /// The node's name is not `name@host`.
    #[error(transparent)]
    Name(#[from] tabularaft_schema::InvalidName),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The data directory belongs to another node, cluster or version.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The log cannot be opened.
    #[error(transparent)]
    Log(#[from] tabularaft_store::log::LogError),
    /// The checkpoint cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The listening address cannot be used.
    #[error(transparent)]
    Listen(#[from] TransportError),
    /// The secret file cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A module's boot hook failed, or a table it creates exists with another definition.
    #[error("boot of module {module}: {why}")]
    Boot {
        /// The module's name.
        module: String,
        /// What went wrong.
        why: String,
    },
    /// The join that was asked for did not succeed.
    #[error("joining through {peer} failed: {source}")]
    Join {
        /// The peer that was asked.
        peer: String,
        /// Why.
        #[source]
        source: Box<JoinError>,
    },
    /// Raft refused to start; its message says why.
    #[error("raft did not start: {0}")]
    Raft(String),
}

/// What became of a write that was not committed as far as this node knows.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// It did not and will not happen.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It may have happened or may still happen: its outcome was lost and the deadline passed.
    #[error("the outcome is unknown: the deadline passed after the write was sent")]
    Unknown,
    /// It did not happen: no leader was found before the deadline.
    #[error("no leader before the deadline; `store-admin cluster status` says for whom this node waits")]
    NoLeader,
    /// It did not happen: the queue was full until the deadline.
    #[error(
        "overloaded: {waiting} writes are waiting already, or 64 MiB; write slower or with a longer deadline"
    )]
    Overloaded {
        /// How many writes may wait.
        waiting: usize,
    },
    /// It did not happen: the node is stopping, or between two lives.
    #[error("this node is not running at the moment")]
    Stopped,
    /// It did not happen: the table is not in the schema.
    #[error("there is no table {0}")]
    NoSuchTable(TableName),
    /// It did not happen: the record does not fit its table.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It did not happen: the table on this cluster is not the one the record type declares.
    #[error("table {table} differs from its record type in: {}", names(.differences))]
    Definition {
        /// The table.
        table: TableName,
        /// Every differing field with both values.
        differences: Vec<Difference>,
    },
    /// It did not happen: this node's disc failed.
    #[error("this node's store failed: {0}")]
    Store(String),
}

impl WriteError {
    /// Whether the same write may succeed when it is tried again. `Unknown` is not retryable without care: a new
    /// request could write twice.
    pub fn is_retryable(&self) -> bool {
        match self {
            WriteError::NoLeader | WriteError::Overloaded { .. } | WriteError::Stopped => true,
            WriteError::Rejected(rejection) => rejection.is_retryable(),
            _ => false,
        }
    }
}

fn names(differences: &[Difference]) -> String {
    let all: Vec<String> = differences.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// What failed of the writes that nobody waited for, since the last flush.
#[derive(Debug, Clone, Default, PartialEq, thiserror::Error)]
#[error("{failed} writes failed: {}", failures(.first, *.failed))]
pub struct FlushError {
    /// How many.
    pub failed: u64,
    /// The first thousand of them, in order.
    pub first: Vec<FailedWrite>,
}

/// A write that nobody waited for, and why it failed.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedWrite {
    /// The record's key, as JSON.
    pub key: String,
    /// Why. After [`WriteError::Unknown`] it may have happened.
    pub error: WriteError,
}

fn failures(first: &[FailedWrite], failed: u64) -> String {
    let shown: Vec<String> =
        first.iter().take(3).map(|write| format!("key {}: {}", write.key, write.error)).collect();
    let more = if failed > shown.len() as u64 { "; …" } else { "" };
    shown.join("; ") + more
}

/// Why a read brought nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The table is not in the schema.
    #[error("there is no table {0}")]
    NoSuchTable(TableName),
    /// This node holds no copy of the table.
    #[error("this node holds no copy of table {0}; `store-admin copy-table` makes one")]
    NoCopy(TableName),
    /// The copy is being loaded.
    #[error("the copy of table {0} is still being loaded; wait_for_tables waits for it")]
    Loading(TableName),
    /// The table has no such secondary index, it is being built, or this program lacks its function.
    #[error(transparent)]
    Index(#[from] IndexReadError),
    /// A query asks for something that the table does not have.
    #[error("{0}")]
    Query(String),
    /// Only a leader with a majority can say what is newest.
    #[error("no leader with a majority answered; a local read is still possible")]
    NoLeader,
    /// The node has not applied the wanted index yet.
    #[error("this node has applied up to {applied}, {wanted} was wanted")]
    Behind {
        /// The index that was asked for.
        wanted: LogIndex,
        /// The index that is applied.
        applied: LogIndex,
    },
    /// The stored record cannot be read as the record type.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What was given is no key, or no prefix of keys, of the table.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The cursor belongs to another table, or to one that was dropped.
    #[error("the cursor is of another table, or of one that was dropped: begin again without a cursor")]
    Cursor,
    /// The table on this cluster is not the one the record type declares.
    #[error("table {table} differs from its record type in: {}", names(.differences))]
    Definition {
        /// The table.
        table: TableName,
        /// Every differing field with both values.
        differences: Vec<Difference>,
    },
    /// The node is stopping, or between two lives.
    #[error("this node is not running at the moment")]
    Stopped,
    /// The disc copy cannot be read.
    #[error("{0}")]
    Store(String),
    /// The transaction has read too much.
    #[error(transparent)]
    TooLarge(TooLarge),
    /// What the transaction has done to the record before does not fit it.
    #[error(transparent)]
    Refused(Rejection),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Index(error) => Self::Index(error),
            StoreError::TableLoading { table } => Self::Loading(table),
            other => Self::Store(other.to_string()),
        }
    }
}

impl ReadError {
    /// Whether the same read may succeed a little later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            ReadError::Loading(_) | ReadError::NoLeader | ReadError::Behind { .. } | ReadError::Stopped => {
                true
            }
            ReadError::Index(error) => error.is_retryable(),
            _ => false,
        }
    }
}

/// Why a change of the schema did not happen (or, for `Write(Unknown)`, may not have).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The change contradicts the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The change could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The index could not be built, and is dropped again.
    #[error("secondary index {index} of table {table} is not added: {why}")]
    Index {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
        /// Why not.
        why: String,
    },
    /// The copy could not be made or compared.
    #[error("{0}")]
    Copy(String),
}

/// Why a node did not join. Unless the variant says otherwise nothing was touched.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The peer cannot be reached.
    #[error("{peer} cannot be reached: {source}")]
    NodeDown {
        /// The peer that was asked.
        peer: String,
        /// Why.
        #[source]
        source: ConnectError,
    },
    /// The peer turned this node away.
    #[error("{peer} refused: {refusal}")]
    Refused {
        /// The peer that was asked.
        peer: String,
        /// Why.
        refusal: Refusal,
    },
    /// This node is in that cluster, or in another.
    #[error("this node is already a member of cluster {cluster} with {members} nodes; leave it first")]
    AlreadyInCluster {
        /// The cluster's name.
        cluster: String,
        /// How many members it has.
        members: usize,
    },
    /// The configurations differ where they must agree.
    #[error("the configurations differ: {}", mismatches(.differences))]
    Incompatible {
        /// Every differing key with the value here and there.
        differences: Vec<Mismatch>,
    },
    /// This node holds records that joining would discard.
    #[error("joining would discard local data: {}; choose export or discard", counts(.tables))]
    WouldDiscardData {
        /// The tables with their record counts.
        tables: Vec<(TableName, u64)>,
    },
    /// The cluster cannot take a member at the moment.
    #[error("the cluster is not ready: {0}")]
    NotReady(String),
    /// The name belongs to a living member.
    #[error("the name {name} is taken by the node at {by}")]
    NameTaken {
        /// The name.
        name: NodeName,
        /// Where its owner is.
        by: String,
    },
    /// A prepare hook stopped the change.
    #[error("prepare hook {hook} stopped the join: {why}")]
    Hook {
        /// The hook's name.
        hook: String,
        /// What it said.
        why: String,
    },
    /// The export of local records failed.
    #[error("exporting local data to {path} failed: {why}")]
    Export {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A step after the check failed; the node runs with what it had.
    #[error("the join failed while {step}: {why}; this node runs with what it had before")]
    RolledBack {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        why: String,
    },
    /// Another membership change of this node is under way.
    #[error("another membership change of this node is under way")]
    Busy,
}

/// A key of the configuration on which the joiner and the cluster do not agree.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mismatch {
    /// What differs.
    pub key: String,
    /// The value here; `None`: absent.
    pub ours: Option<String>,
    /// The value at the peer; `None`: absent.
    pub theirs: Option<String>,
}

fn mismatches(differences: &[Mismatch]) -> String {
    let absent = || "absent".to_owned();
    let one = |m: &Mismatch| {
        format!(
            "{}: {} here, {} there",
            m.key,
            m.ours.clone().unwrap_or_else(absent),
            m.theirs.clone().unwrap_or_else(absent)
        )
    };
    differences.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn counts(tables: &[(TableName, u64)]) -> String {
    tables.iter().map(|(name, records)| format!("{name} ({records} records)")).collect::<Vec<_>>().join(", ")
}

/// Why a node did not leave, or a member was not removed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// The node is alone already.
    #[error("this node is in no cluster with other nodes")]
    NotInCluster,
    /// No member has this name.
    #[error("{0} is not a member of the cluster")]
    NoSuchMember(NodeName),
    /// `remove` is for other nodes.
    #[error("a node does not remove itself; use leave")]
    IsSelf,
    /// The remaining voters that are alive would have no majority.
    #[error(
        "removing {name} would leave {alive} of {voters} voters alive, which is no majority; start the others first or use --force"
    )]
    WouldLoseMajority {
        /// Whom.
        name: NodeName,
        /// Voters alive after the removal.
        alive: usize,
        /// Voters after the removal.
        voters: usize,
    },
    /// A prepare hook stopped the change.
    #[error("prepare hook {hook} stopped the change: {why}")]
    Hook {
        /// The hook's name.
        hook: String,
        /// What it said.
        why: String,
    },
    /// No leader did it in time.
    #[error("the cluster did not do it: {0}")]
    NotDone(String),
    /// Another membership change of this node is under way.
    #[error("another membership change of this node is under way")]
    Busy,
}

/// Tables that were not ready in time, and what they wait for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not ready after {waited:?}: {why} (have {have} of {need} voters needed, missing: {}; tables not ready: {})", list(.missing), list(.tables))]
pub struct NotReady {
    /// How long was waited.
    pub waited: Duration,
    /// One sentence.
    pub why: String,
    /// Voters that must be present for a majority.
    pub need: usize,
    /// Voters present, this node included.
    pub have: usize,
    /// Voters that are away.
    pub missing: Vec<NodeName>,
    /// Tables that are not served yet.
    pub tables: Vec<TableName>,
}

fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "none".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Any error of this crate, for callers that do not tell them apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// See [`StartError`].
    #[error(transparent)]
    Start(#[from] StartError),
    /// See [`WriteError`].
    #[error(transparent)]
    Write(#[from] WriteError),
    /// See [`FlushError`].
    #[error(transparent)]
    Flush(#[from] FlushError),
    /// See [`ReadError`].
    #[error(transparent)]
    Read(#[from] ReadError),
    /// See [`TransactionError`].
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// See [`TableError`].
    #[error(transparent)]
    Table(#[from] TableError),
    /// See [`JoinError`].
    #[error(transparent)]
    Join(#[from] JoinError),
    /// See [`LeaveError`].
    #[error(transparent)]
    Leave(#[from] LeaveError),
    /// See [`NotReady`].
    #[error(transparent)]
    NotReady(#[from] NotReady),
}
