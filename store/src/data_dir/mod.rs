//! The directory that holds everything a node keeps.
//!
//! ```text
//! LOCK           held while a process uses the directory
//! identity       who this node is
//! log/           the Raft log
//! tables.redb    the checkpoint of the disc tables
//! exports/       what was exported before a join, and backups without a path of their own
//! retirement     a retirement that is not decided yet
//! retired-<n>/   log, checkpoint and identity of an earlier life
//! ```

mod error;
mod retirement;

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::DataDirError;
pub use retirement::Retired;

use crate::disc::{DiscControl, DiscUse, OsDisc};
use crate::files::{DiscFile, FileSystem};
use crate::small_file;

// Persistent: add, never change or reuse.
const LOCK: &str = "LOCK";
pub(crate) const IDENTITY: &str = "identity";
const LOG: &str = "log";
const TABLES: &str = "tables.redb";
const EXPORTS: &str = "exports";

/// A data directory that this process holds alone, until it is dropped.
///
/// The lock is the operating system's, so it ends with the process, however that ends; it does not hold between machines
/// that share a network file system.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    disc: Arc<dyn DiscControl>,
    /// Holds the lock as long as it is open.
    _lock: Arc<dyn DiscFile>,
}

impl DataDir {
    /// Opens a data directory, created with mode 0700 if need be, and takes its lock. A retirement or restoration that a
    /// crash interrupted is resolved: an unfinished retirement is taken back, an unfinished restoration is finished.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] if another process, or another handle of this one, has it open.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataDirError> {
        Self::open_on(path, Arc::new(OsDisc))
    }

    /// The same, through a door of the caller's.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(path: impl AsRef<Path>, disc: Arc<dyn DiscControl>) -> Result<Self, DataDirError> {
        let path = path.as_ref().to_owned();
        create(&path, disc.as_ref()).map_err(|error| DataDirError::io(&path, "create", error))?;
        let lock = take_lock(&path, disc.files())?;
        let dir = Self { path, disc, _lock: lock };
        dir.resolve_interrupted_retirement()?;
        Ok(dir)
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The door to the disc it was opened with.
    #[must_use]
    pub fn disc(&self) -> &Arc<dyn DiscControl> {
        &self.disc
    }

    /// Where the Raft log is. May not exist.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Where the checkpoint of the disc tables is. May not exist.
    #[must_use]
    pub fn tables_file(&self) -> PathBuf {
        self.path.join(TABLES)
    }

    /// Where the identity is. May not exist.
    #[must_use]
    pub fn identity_file(&self) -> PathBuf {
        self.path.join(IDENTITY)
    }

    /// Where exports go. May not exist.
    #[must_use]
    pub fn exports_dir(&self) -> PathBuf {
        self.path.join(EXPORTS)
    }

    fn files(&self) -> &dyn FileSystem {
        self.disc.files()
    }

    fn sync(&self, dir: &Path) -> Result<(), DataDirError> {
        small_file::sync_dir(dir, DiscUse::DataDir, self.disc.as_ref())
            .map_err(|error| DataDirError::io(dir, "sync", error))
    }

    /// Passes the door before a name is changed.
    fn step(
        &self,
        path: &Path,
        doing: &'static str,
        change: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), DataDirError> {
        self.disc
            .before_write(DiscUse::DataDir, 0)
            .and_then(|()| change())
            .map_err(|error| DataDirError::io(path, doing, error))
    }
}

fn create(path: &Path, disc: &dyn DiscControl) -> io::Result<()> {
    if disc.files().is_dir(path) {
        return Ok(());
    }
    disc.files().create_dir_all(path)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => small_file::sync_dir(parent, DiscUse::DataDir, disc),
        None => Ok(()),
    }
}

/// Takes the lock and writes into it who has it, for those who come later.
fn take_lock(dir: &Path, files: &dyn FileSystem) -> Result<Arc<dyn DiscFile>, DataDirError> {
    let path = dir.join(LOCK);
    let fail = |doing, error| DataDirError::io(&path, doing, error);
    let lock = match files.lock(&path) {
        Ok(lock) => lock,
        Err(TryLockError::WouldBlock) => {
            // What the holder wrote is a courtesy; without it the message is merely less helpful.
            let by =
                files.read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
            let by = if by.trim().is_empty() { "another process" } else { by.trim() };
            return Err(DataDirError::InUse { path: dir.to_owned(), by: by.to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(fail("lock", error)),
    };
    let holder = format!("process {}\n", std::process::id());
    lock.set_len(0)
        .and_then(|()| lock.write_all_at(holder.as_bytes(), 0))
        .map_err(|error| fail("write", error))?;
    Ok(lock)
}

/// Removes a file or a whole directory; fine if there is none.
fn remove(path: &Path, files: &dyn FileSystem) -> io::Result<()> {
    let removed = if files.is_dir(path) { files.remove_dir_all(path) } else { files.remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
