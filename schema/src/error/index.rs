//! Why an index cannot be kept.

use thiserror::Error;

use crate::name::TableName;

/// A secondary index whose values this program cannot find.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The indexed field is none of the table's, or no list where one is needed.
    #[error(
        "table `{table}`: secondary index `{index}` is over the field `{field}`, which is none or of no fitting type; fields are {known}"
    )]
    NoSuchField {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
        /// The field.
        field: String,
        /// The table's fields, separated by commas.
        known: String,
    },
    /// The function that finds the values is not part of this program.
    #[error(
        "table `{table}`: secondary index `{index}` needs the function `{function}`, which is not linked into this program; register it with register_index_function!"
    )]
    NoSuchFunction {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
        /// The function.
        function: String,
    },
}
