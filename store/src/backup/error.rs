//! What can be wrong with a backup.

use std::io;
use std::path::Path;

use tabularaft_schema::RecordError;

use crate::StoreError;

/// Why a backup could not be written or read. What was to be restored from it is untouched unless its caller says
/// otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The system failed to read or write.
    #[error("{doing} {file} failed: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file, or where the stream comes from.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is no backup at all.
    #[error("{file} is no tabularaft backup: its first bytes are others")]
    Foreign {
        /// The file, or where the stream comes from.
        file: String,
    },
    /// A newer build wrote it.
    #[error(
        "{file} is a backup of format version {found}, this build reads up to {newest}: use a newer build"
    )]
    NewerFormat {
        /// The file, or where the stream comes from.
        file: String,
        /// The version found.
        found: u32,
        /// The newest version that this build reads.
        newest: u32,
    },
    /// It ends early.
    #[error(
        "{file} was cut short: it ends at byte {offset} and the backup goes on; take the file from its source again"
    )]
    Truncated {
        /// The file, or where the stream comes from.
        file: String,
        /// Where it ends.
        offset: u64,
    },
    /// It is not what was written.
    #[error(
        "{file} is damaged at byte {offset}: {why}; take the file from its source again, or use another backup"
    )]
    Damaged {
        /// The file, or where the stream comes from.
        file: String,
        /// Where the part begins that does not fit.
        offset: u64,
        /// What does not fit.
        why: String,
    },
    /// A record to be written is none of its table.
    #[error("a record of table {table} cannot be backed up: {source}")]
    Record {
        /// The table.
        table: String,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The tables of a backup are written one after the other, each declared at the beginning.
    #[error(
        "a record of table number {table} came where the backup has {tables} tables and is at number {at}"
    )]
    OutOfOrder {
        /// The table whose record came.
        table: usize,
        /// The table that is being written.
        at: usize,
        /// How many there are.
        tables: usize,
    },
    /// The table that was asked for is not there.
    #[error("there is no table {table}; the tables are {known}")]
    NoSuchTable {
        /// The table.
        table: String,
        /// What there is.
        known: String,
    },
    /// The tables cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    pub(super) fn io(doing: &'static str, file: &Path, source: io::Error) -> Self {
        BackupError::Io { doing, file: file.display().to_string(), source }
    }
}
