//! What is wrong with records of former versions.

use thiserror::Error;

use crate::name::TableName;

/// Why a record of a former version cannot be read as one of the present version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The shapes differ so that only the program can say how one becomes the other.
    #[error(
        "table `{table}`: nothing says how to get from record version {from} to {to}: {why}; register a migration \
         (`register_migration!`) in the programs of all nodes"
    )]
    Missing {
        /// The table.
        table: TableName,
        /// The version that records have.
        from: u32,
        /// The version that they cannot be brought to.
        to: u32,
        /// What is in the way of doing without.
        why: String,
    },
    /// A migration does not take the record.
    #[error("table `{table}`: the migration from record version {from} to {to} refuses a record: {problem}")]
    Refused {
        /// The table.
        table: TableName,
        /// The version of the record.
        from: u32,
        /// The version it was to get.
        to: u32,
        /// What the migration says.
        problem: String,
    },
    /// The schema does not know of records of this version.
    #[error(
        "table `{table}` has a record of record version {version}, but no record should be older than version \
         {present}: this is a bug, please report it"
    )]
    UnknownVersion {
        /// The table.
        table: TableName,
        /// The record's version.
        version: u32,
        /// The table's.
        present: u32,
    },
}
