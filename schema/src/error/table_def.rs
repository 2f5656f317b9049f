//! What is wrong with table definitions.

use thiserror::Error;

use super::{InvalidFieldType, InvalidName};
use crate::name::TableName;

/// A table definition that contradicts itself or exceeds a limit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TableDefError {
    /// A name breaks its rule.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A field's type is nested in a way that is not allowed.
    #[error("table `{table}`, field `{field}`: {error}")]
    FieldType {
        /// The table.
        table: TableName,
        /// The field.
        field: String,
        /// What is wrong with its type.
        error: InvalidFieldType,
    },
    /// There are too many or too few of something.
    #[error("table `{table}` has {found} {what}, allowed are {min} to {max}")]
    Count {
        /// The table.
        table: TableName,
        /// What was counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// The least allowed.
        min: usize,
        /// The most allowed.
        max: usize,
    },
    /// Two things of a kind have the same name.
    #[error("table `{table}` names the {what} `{name}` twice")]
    Duplicate {
        /// The table.
        table: TableName,
        /// `field`, `key field` or `secondary index`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The key or an index names a field that the record does not have.
    #[error(
        "table `{table}`: the {what} names the field `{field}`, which does not exist; fields are {known}"
    )]
    NoSuchField {
        /// The table.
        table: TableName,
        /// `key`, or the index.
        what: String,
        /// The missing field.
        field: String,
        /// The existing fields, separated by commas.
        known: String,
    },
    /// The key or an index uses a field whose type has no order.
    #[error(
        "table `{table}`: the {what} uses the field `{field}` of type {field_type}; lists and maps cannot be keys"
    )]
    NoKeyType {
        /// The table.
        table: TableName,
        /// `key`, or the index.
        what: String,
        /// The field.
        field: String,
        /// Its type.
        field_type: String,
    },
    /// An index over the elements of a list names a field that is no list of such elements.
    #[error(
        "table `{table}`: the secondary index `{index}` is over each element of the field `{field}` of type \
         {field_type}; it takes a list of bool, numbers, strings or bytes"
    )]
    NoList {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
        /// The field.
        field: String,
        /// Its type.
        field_type: String,
    },
    /// Two options exclude each other.
    #[error("table `{table}`: {problem}")]
    Options {
        /// The table.
        table: TableName,
        /// Which, and why.
        problem: &'static str,
    },
}
