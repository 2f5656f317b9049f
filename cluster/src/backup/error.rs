//! Why a backup or a restore was not made.

use tabularaft_schema::{Difference, TableName};
use tabularaft_store::BackupError;

use crate::admin::AdminError;

/// Why a backup, restore or import came to nothing. Of a restore no table has changed then, except where
/// [`RestoreOptions`](super::RestoreOptions) said that records are merged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupFailure {
    /// The file cannot be written or read, is damaged, cut short, of a newer format or no backup.
    #[error(transparent)]
    File(#[from] BackupError),
    /// The node did not do what it was asked for.
    #[error(transparent)]
    Node(#[from] AdminError),
    /// A table exists and holds records.
    #[error(
        "table {table} exists with {records} records; --replace puts the backup's table in its place, --merge adds the \
         backup's records to it, --into {table}=NEW restores it beside under another name"
    )]
    Exists {
        /// The table.
        table: TableName,
        /// How many records it holds, as far as the asked node knows.
        records: String,
    },
    /// A table exists with another definition.
    #[error("table {table} exists with another definition: {}; --replace puts the backup's table in its place", differing(.differences))]
    Definition {
        /// The table.
        table: TableName,
        /// Every differing property, the backup's value first.
        differences: Vec<Difference>,
    },
    /// The table was named and is not in the backup.
    #[error("there is no table {table} in the backup; it holds {known}")]
    NotInBackup {
        /// The table.
        table: TableName,
        /// What there is.
        known: String,
    },
    /// Two tables of the backup would get the same name.
    #[error("two tables would be restored as {table}; give each a name of its own with --into")]
    SameName {
        /// The name.
        table: TableName,
    },
    /// What was loaded is not what the backup holds.
    #[error(
        "table {table} was loaded and holds {found}, the backup holds {expected}; it was not put into use"
    )]
    Differs {
        /// The table.
        table: TableName,
        /// Count and digest of the backup.
        expected: String,
        /// Count and digest of what was loaded.
        found: String,
    },
    /// It failed, and what it had begun could not be removed.
    #[error(
        "{cause}; left behind: {tables}, which no program uses: restore again, or `store-admin table drop` each"
    )]
    LeftBehind {
        /// What went wrong.
        cause: Box<BackupFailure>,
        /// The hidden tables.
        tables: String,
    },
    /// A thread that reads or writes the file panicked.
    #[error("a thread of the backup panicked: this is a bug, please report it")]
    Panicked,
}

fn differing(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
