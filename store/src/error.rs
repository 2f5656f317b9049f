//! What can go wrong between the log and the tables.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tabularaft_schema::{TableId, TableName};

use crate::batch::BatchError;
use crate::copy::ChunkError;
use crate::indexes::IndexReadError;
use crate::sealed::SealError;
use crate::{LogIndex, Position, TableDigest};

/// An error of the store. After one on the write path the store is poisoned: it serves reads, refuses to apply, and
/// recovers when it is opened again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// An earlier error stopped the store from writing.
    #[error("the store stopped writing after an error and recovers at its next start: {cause}")]
    Poisoned {
        /// The earlier error.
        cause: Arc<StoreError>,
    },
    /// The disc is full.
    #[error("no space is left for {}: free some and start the node again ({source})", file.display())]
    DiscFull {
        /// The file that could not grow.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system failed to read or write.
    #[error("{doing} {} failed: {source}", file.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file it was done to.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database refused an operation for another reason than an I/O error.
    #[error("{doing} {} failed: {source}", file.display())]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The database file.
        file: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
    /// What the disc gave back is not what was written.
    #[error("{what} in {} is damaged: {why}; `store-admin recover --from-cluster` rebuilds this node from its peers", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Which value or record, by the table's name and never by content.
        what: String,
        /// What does not fit.
        why: String,
    },
    /// A newer build wrote the file.
    #[error("{what} in {} has format version {found}, this build reads up to {newest}: upgrade this node", file.display())]
    NewerFormat {
        /// The file.
        file: PathBuf,
        /// Which value.
        what: String,
        /// The version found.
        found: u8,
        /// The newest version that this build reads.
        newest: u8,
    },
    /// A log entry is no batch that this build reads. Nothing of it was applied.
    #[error("the entry at {position} cannot be applied: {source}")]
    Batch {
        /// Where it stands in the log.
        position: Position,
        /// What is wrong with it.
        source: BatchError,
    },
    /// The log skipped an entry.
    #[error("entry {found} came where {expected} should have: the log has a gap")]
    Gap {
        /// The log index that should have come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// Nothing can be read through the index.
    #[error(transparent)]
    Index(#[from] IndexReadError),
    /// The table's records have not arrived yet.
    #[error("table {table} is still being loaded from a peer")]
    TableLoading {
        /// The table.
        table: TableName,
    },
    /// This node does not hold the table.
    #[error("this node holds no copy of table {table:?}")]
    NotHeld {
        /// The table.
        table: TableId,
    },
    /// The table is not waiting for records.
    #[error("table {table} is not being loaded, so nothing can be installed for it")]
    NotLoading {
        /// The table.
        table: TableName,
    },
    /// The copied records are older than what this node still remembers of the log.
    #[error("table {table} was copied at {at:?}, but changes are only kept from {floor:?} on: copy it again")]
    CopyTooOld {
        /// The table.
        table: TableName,
        /// The log index at which it was copied.
        at: LogIndex,
        /// The lowest log index at which a copy can be used.
        floor: LogIndex,
    },
    /// What arrived is not what the source holds.
    #[error("the copy of table {table} differs from its source: {found:?} arrived, {expected:?} was sent")]
    CopyDiffers {
        /// The table.
        table: TableName,
        /// The source's digest.
        expected: TableDigest,
        /// The digest of what arrived.
        found: TableDigest,
    },
    /// A chunk of a table copy cannot be used.
    #[error("a chunk of table {table} cannot be used: {source}")]
    Chunk {
        /// The table.
        table: TableName,
        /// What is wrong with it.
        source: ChunkError,
    },
    /// An image of the whole store cannot be used.
    #[error("the image of the store cannot be used: {source}")]
    Image {
        /// What is wrong with it.
        source: SealError,
    },
    /// The image is older than what this store has applied.
    #[error("the image was taken at {image:?}, but this store has already applied up to {applied:?}")]
    ImageTooOld {
        /// Where the image was taken.
        image: Option<Position>,
        /// What the store has applied.
        applied: Option<Position>,
    },
    /// The table's records go through the log.
    #[error("table {table} is replicated: its records are written through the cluster, not locally")]
    NotLocal {
        /// The table.
        table: TableName,
    },
    /// A record of a former version cannot be read.
    #[error(transparent)]
    Migration(#[from] tabularaft_schema::MigrationError),
    /// This effect cannot be applied outside the log.
    #[error("only changes of records can be applied locally")]
    NotARecordChange,
    /// A thread panicked in the middle of a change.
    #[error("a thread of the store panicked: this is a bug, please report it with the lines logged before")]
    Panicked,
    /// The store was closed while the caller waited.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// An error of the system that has no file to name.
    pub fn from_io(source: io::Error) -> Self {
        Self::io("writing", Path::new("the store"), source)
    }

    /// Whether a full disc is what went wrong, now or when the store was poisoned.
    pub fn is_disc_full(&self) -> bool {
        match self {
            StoreError::DiscFull { .. } => true,
            StoreError::Poisoned { cause } => cause.is_disc_full(),
            _ => false,
        }
    }

    pub(crate) fn io(doing: &'static str, file: &Path, source: io::Error) -> Self {
        let file = file.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::DiscFull { file, source }
            }
            _ => StoreError::Io { doing, file, source },
        }
    }

    pub(crate) fn database(doing: &'static str, file: &Path, source: impl Into<redb::Error>) -> Self {
        match source.into() {
            redb::Error::Io(source) => Self::io(doing, file, source),
            redb::Error::Corrupted(why) => {
                StoreError::Damaged { file: file.to_owned(), what: "the database".to_owned(), why }
            }
            source => StoreError::Database { doing, file: file.to_owned(), source: Box::new(source) },
        }
    }

    pub(crate) fn seal(file: &Path, what: &str, error: SealError) -> Self {
        let (file, what) = (file.to_owned(), what.to_owned());
        match error {
            SealError::NewerFormat { found, newest } => StoreError::NewerFormat { file, what, found, newest },
            error => StoreError::Damaged { file, what, why: error.to_string() },
        }
    }
}
