//! Why nothing can be read through an index.

use tabularaft_schema::TableName;

/// A read through a secondary index that this node cannot serve, at the moment or at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexReadError {
    /// The table has no index of this name.
    #[error("table {table} has no secondary index {index}; it has: {known}")]
    NoSuchIndex {
        /// The table.
        table: TableName,
        /// The name asked for.
        index: String,
        /// The names of its indexes, separated by commas.
        known: String,
    },
    /// It is being built on this node.
    #[error(
        "secondary index {index} of table {table} is being built on this node ({records} of {records_total} records); wait_for_index waits for it"
    )]
    Building {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
        /// Records looked at.
        records: u64,
        /// Records to look at.
        records_total: u64,
    },
    /// This program lacks the function that finds its values.
    #[error("{why}")]
    Unavailable {
        /// Which function, and what to do.
        why: String,
    },
    /// The value asked for is of another type than those of the index.
    #[error(
        "secondary index {index} of table {table} is over values of type {expected}, asked for was {found}"
    )]
    Value {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
        /// The type of its values.
        expected: String,
        /// What was given, in words.
        found: String,
    },
}

impl IndexReadError {
    /// Whether the same read may succeed a little later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Building { .. })
    }
}
