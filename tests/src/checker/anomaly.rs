//! What a strictly serializable system does not do.

use super::txn::Txn;

/// Something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Anomaly {
    /// A transaction does not see what it did itself, or sees two states.
    #[error(
        "a transaction contradicts itself at key {key}: it expected {expected} and read {read:?}: {txn:?}"
    )]
    Internal {
        /// The transaction.
        txn: Box<Txn>,
        /// The list.
        key: String,
        /// What it should have read, in words.
        expected: String,
        /// What it read.
        read: Vec<u64>,
    },
    /// Two reads of one list of which none begins the other.
    #[error("key {key} was read as {one:?} and as {other:?}: none begins the other")]
    IncompatibleOrders {
        /// The list.
        key: String,
        /// One read.
        one: Vec<u64>,
        /// Another.
        other: Vec<u64>,
    },
    /// A value that stands in a list twice: its append happened twice.
    #[error("key {key} holds {value} twice: {list:?}")]
    Duplicate {
        /// The list.
        key: String,
        /// The value.
        value: u64,
        /// The list as it was read.
        list: Vec<u64>,
    },
    /// A value was read that a transaction appended which certainly did not happen (G1a), or nobody appended.
    #[error("key {key}: {value} was read, and its append failed or was never asked for")]
    AbortedRead {
        /// The list.
        key: String,
        /// The value.
        value: u64,
    },
    /// A list was read that ends between two appends of one transaction (G1b).
    #[error("key {key} was read up to {value}, which is not the last that its transaction appended")]
    IntermediateRead {
        /// The list.
        key: String,
        /// The value.
        value: u64,
    },
    /// Transactions of which each must have happened before the next, in a circle.
    #[error("transactions that each happened before the next, in a circle:\n{}", steps(.0))]
    Cycle(Vec<Step>),
}

/// One step of a cycle: a transaction, and why it happened before the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The transaction.
    pub txn: Txn,
    /// The kind of the edge to the next: `ww`, `wr`, `rw` or `time`.
    pub edge: &'static str,
}

fn steps(cycle: &[Step]) -> String {
    cycle
        .iter()
        .map(|step| format!("  {:?}\n    --{}-->", step.txn, step.edge))
        .collect::<Vec<_>>()
        .join("\n")
}
