//! What the driver tells a node process, and what the process answers: one JSON line each, paired by a number.

use serde::{Deserialize, Serialize};

use crate::checker::{Mop, Outcome};
use crate::sim::ledger::{Told, What};

/// A line to a node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) ask: Ask,
}

/// A line from a node. The first one, of id 0, says that the node runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Response {
    pub(super) id: u64,
    pub(super) answer: Answer,
}

/// What a node is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Creates all tables.
    Prepare,
    /// Gives every account what it holds in the beginning.
    Deposit,
    /// One operation on one record.
    Operate { table: String, key: String, what: What },
    /// A transaction on lists.
    Transact(Vec<Mop>),
    /// Who leads, and what the node has applied.
    Standing,
    /// Joins the cluster at this address, whatever becomes of local records.
    Join { peer: String },
    /// Leaves the cluster.
    Leave,
    /// Takes a node out of the cluster.
    Remove { name: String },
    /// Waits until all tables can be read and written.
    WaitReady { seconds: u64 },
    /// The value of a counter.
    Counter { table: String, key: String },
    /// The elements of a set.
    Elements { table: String, key: String },
    /// What each account holds.
    Balances,
    /// The digests of all tables.
    Digests,
    /// Stops in order; the process ends after the answer.
    Shutdown,
}

/// What a node answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The node runs.
    Started,
    Done,
    Told(Told),
    Transacted {
        outcome: Outcome,
        mops: Vec<Mop>,
    },
    Standing(Standing),
    Number(u64),
    Numbers(Vec<u64>),
    /// The index up to which the node has applied, and a digest of all tables.
    Digests {
        applied: u64,
        tables: Vec<String>,
    },
    /// It did not work, and nothing of a client depends on it.
    Failed(String),
}

/// Where a node stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) leads: bool,
    pub(super) members: Vec<String>,
    pub(super) applied: u64,
    pub(super) term: u64,
}
