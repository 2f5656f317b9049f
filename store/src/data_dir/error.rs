//! What can go wrong with a data directory.

use std::io;
use std::path::{Path, PathBuf};

/// Why an operation on a data directory failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// Somebody else has it open.
    #[error("the data directory {} is in use by {by}: stop that node, or give this one a directory of its own", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who holds it, as it says itself.
        by: String,
    },
    /// The operating system refused something.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What was tried, as a verb.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The note about a retirement cannot be trusted.
    #[error("{} is damaged at byte {offset}: {reason}; nothing was touched, look into the retired-* folders beside it and remove it by hand", path.display())]
    Damaged {
        /// The file concerned.
        path: PathBuf,
        /// Where the damage was noticed.
        offset: u64,
        /// What does not fit.
        reason: String,
    },
    /// The note about a retirement was written by a newer release.
    #[error("{} has format {found}, this release knows up to {known}: start the newer release again", path.display())]
    NewerFormat {
        /// The file concerned.
        path: PathBuf,
        /// The version found in it.
        found: u32,
        /// The newest version this release reads.
        known: u32,
    },
    /// An earlier retirement is neither kept, restored nor discarded.
    #[error("the retired data in {} is not decided about yet: restore, keep or discard it first", path.display())]
    RetirementPending {
        /// Where the retired data is.
        path: PathBuf,
    },
    /// The retired data asked for does not exist.
    #[error("there is no retired data in {}", path.display())]
    NotRetired {
        /// Where it should be.
        path: PathBuf,
    },
}

impl DataDirError {
    pub(super) fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), doing, source }
    }
}
