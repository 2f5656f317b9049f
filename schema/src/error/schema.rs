//! What is wrong with schema changes.

use thiserror::Error;

use super::{TableDefError, listed};
use crate::difference::Difference;
use crate::name::{NodeName, TableName};

/// A schema change that is refused. The schema is as before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The definition contradicts itself.
    #[error(transparent)]
    InvalidTable(#[from] TableDefError),
    /// The table exists with another definition.
    #[error(
        "table `{table}` exists with another definition: {}; use the same definition, or drop the table first",
        listed(differences)
    )]
    DefinitionDiffers {
        /// The table.
        table: TableName,
        /// Every difference: *ours* is the definition asked for, *theirs* the existing one.
        differences: Vec<Difference>,
    },
    /// There is no such table.
    #[error("table `{table}` does not exist; create it first")]
    NoSuchTable {
        /// The table.
        table: TableName,
    },
    /// The table has a private content on every node, so each node holds it.
    #[error(
        "table `{table}` has local content: every node holds its own, and `{node}` cannot be without it; drop the table instead"
    )]
    LocalContent {
        /// The table.
        table: TableName,
        /// The node that was to give up its copy.
        node: NodeName,
    },
    /// The new name of a node is in use.
    #[error(
        "node `{from}` cannot be renamed to `{to}`: the schema already mentions a node of that name; forget it first"
    )]
    NodeNameTaken {
        /// The node.
        from: NodeName,
        /// The name in use.
        to: NodeName,
    },
    /// The new name of a table is in use.
    #[error("table `{from}` cannot be renamed to `{to}`: the name is taken; drop that table, or replace it")]
    TableNameTaken {
        /// The table.
        from: TableName,
        /// The name in use.
        to: TableName,
    },
    /// A table cannot take its own place.
    #[error("table `{table}` cannot replace itself")]
    ReplacesItself {
        /// The table.
        table: TableName,
    },
    /// The table has another index of this name.
    #[error(
        "table `{table}` has another secondary index `{index}`, on {exists}: choose another name, or drop it first"
    )]
    IndexDiffers {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
        /// What the existing index is over.
        exists: String,
    },
    /// The table has no index of this name.
    #[error("table `{table}` has no secondary index `{index}`; it has: {known}")]
    NoSuchIndex {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
        /// The existing indexes, separated by commas.
        known: String,
    },
    /// Records of one version have one shape.
    #[error(
        "table `{table}` has record version {present}; its records cannot get another shape under record version \
         {asked}: raise the version above {present}"
    )]
    VersionNotRaised {
        /// The table.
        table: TableName,
        /// Its record version.
        present: u32,
        /// The one asked for.
        asked: u32,
    },
    /// Records are found by their keys, so these stay what they are.
    #[error(
        "table `{table}`: the new shape lacks the key field `{field}` of type {field_type}; a key does not change: \
         copy the records into a new table instead"
    )]
    KeyChanged {
        /// The table.
        table: TableName,
        /// The key field.
        field: String,
        /// Its type.
        field_type: String,
    },
    /// Migrations are found by the table's name, and records of former versions need them.
    #[error(
        "table `{table}` has records of former versions and keeps its name until they are rewritten; \
         `store-admin table info {table}` tells, and it takes no longer than the leader needs to rewrite them"
    )]
    BeingTransformed {
        /// The table.
        table: TableName,
    },
    /// No leader can look after records that every node has for itself.
    #[error(
        "table `{table}` has local content: its records cannot be transformed; create another table for them"
    )]
    LocalTransform {
        /// The table.
        table: TableName,
    },
    /// The schema holds as many tables as it may.
    #[error("the schema holds {tables_max} tables, the most allowed; drop one first")]
    TooManyTables {
        /// The limit.
        tables_max: usize,
    },
}
