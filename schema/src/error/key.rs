//! What is wrong with keys.

use thiserror::Error;

use crate::name::TableName;

/// A key that does not fit its table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text or JSON is no key of the table.
    #[error("invalid key for table `{table}`: {problem}; expected {expected}")]
    Invalid {
        /// The table.
        table: TableName,
        /// What is wrong.
        problem: String,
        /// How a key of this table is written.
        expected: String,
    },
    /// Keys of this table have no prefixes.
    #[error(
        "keys of table `{table}` have no prefix: `{field}` is {field_type}, only string and bytes have; give a range instead"
    )]
    NoPrefix {
        /// The table.
        table: TableName,
        /// The first field of the key.
        field: String,
        /// Its type.
        field_type: String,
    },
    /// Encoded bytes are no key of the table.
    #[error("the bytes are no key of table `{table}`: {problem}")]
    Malformed {
        /// The table.
        table: TableName,
        /// What is wrong.
        problem: &'static str,
    },
}
