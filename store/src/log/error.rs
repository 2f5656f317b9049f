//! What can go wrong with the log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::position::Position;

/// Why an operation on the Raft log did not happen.
///
/// Cloneable, since one failed group of writes is reported to everyone who waits for it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operating system refused a read, write, sync or rename.
    #[error("could not {doing} {}: {source}", file.display())]
    Io {
        /// The file or directory concerned.
        file: PathBuf,
        /// What was tried, as a verb.
        doing: &'static str,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// There is no space left for the log. Free some and restart the node; nothing acknowledged is lost.
    #[error("no space left for {} ({bytes} bytes wanted): free some and restart the node", file.display())]
    DiscFull {
        /// The file that should have grown.
        file: PathBuf,
        /// How many bytes it needed.
        bytes: u64,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// Bytes that were once durable are not what was written. They are never skipped: this node must give up its log
    /// and come back with a copy from its peers.
    #[error("{} is damaged at byte {offset}: {reason}; `store-admin recover --from-cluster` rebuilds this node from its peers", file.display())]
    Corrupt {
        /// The damaged segment.
        file: PathBuf,
        /// The first byte of the frame or record concerned.
        offset: u64,
        /// What does not fit.
        reason: String,
    },
    /// The file was written by a newer release.
    #[error("{} has log format {found}, this release knows up to {known}: start the newer release again", file.display())]
    NewerFormat {
        /// The segment concerned.
        file: PathBuf,
        /// The version found in it.
        found: u32,
        /// The newest version this release reads.
        known: u32,
    },
    /// A segment that should be there is not.
    #[error("segment {number} of the log in {} is missing: put it back, or rebuild this node with `store-admin recover --from-cluster`", dir.display())]
    MissingSegment {
        /// The log's directory.
        dir: PathBuf,
        /// The number of a segment that is missing.
        number: u64,
    },
    /// An earlier I/O error stopped the log: what the disc holds is not known any more until the node restarts.
    #[error("the log stopped after an earlier error, restart the node: {cause}")]
    Poisoned {
        /// The error that stopped it.
        cause: Arc<LogError>,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
    /// A callback of the caller panicked.
    #[error("a completion callback of the log panicked")]
    CallbackPanicked,
    /// Entries must follow each other without gaps.
    #[error("entry {found} does not follow on: the next one must have index {expected}")]
    NotContiguous {
        /// The index the next entry must have.
        expected: u64,
        /// The entry given.
        found: Position,
    },
    /// Writing panicked: a bug of this crate.
    #[error("writing the log panicked, which is a bug: restart the node and report it")]
    WriterPanicked,
    /// One entry or vote is larger than a frame can carry.
    #[error("{bytes} bytes are too much for one entry: the limit is {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A truncation would reach into entries that are purged, hence applied and final.
    #[error("cannot truncate after index {kept:?}: the log is purged up to {purged}")]
    TruncatesPurged {
        /// The last index that was to be kept.
        kept: Option<u64>,
        /// The purge position.
        purged: Position,
    },
}

/// What the log calls the steps that make something durable; no such step wants space.
const SYNCS: [&str; 2] = ["sync", "finish"];
const NO_BYTES: u64 = 0;

impl LogError {
    /// Wraps an I/O error; a full disc is told apart from all others.
    pub(super) fn io(file: &Path, doing: &'static str, bytes: u64, source: io::Error) -> Self {
        let (file, full) = (file.to_owned(), is_full(&source));
        let source = Arc::new(source);
        if full { Self::DiscFull { file, bytes, source } } else { Self::Io { file, doing, source } }
    }

    pub(super) fn corrupt(file: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_owned(), offset, reason: reason.into() }
    }

    /// Whether what the log was told was on disc may not be there: a sync failed, and the system may have let go of what
    /// it could not write. The node must come back as after a crash of its machine.
    #[must_use]
    pub fn may_have_forgotten(&self) -> bool {
        match self {
            Self::Io { doing, .. } => SYNCS.contains(doing),
            Self::DiscFull { bytes, .. } => *bytes == NO_BYTES,
            Self::Poisoned { cause } => cause.may_have_forgotten(),
            _ => false,
        }
    }

    /// Whether the reason, at first or second hand, is a full disc.
    #[must_use]
    pub fn is_disc_full(&self) -> bool {
        match self {
            Self::DiscFull { .. } => true,
            Self::Poisoned { cause } => cause.is_disc_full(),
            _ => false,
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
