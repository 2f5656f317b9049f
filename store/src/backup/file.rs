//! The file a backup is written to.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::BackupError;
use crate::disc::{DiscControl, DiscUse, OsDisc};
use crate::files::{DiscFile, Opening};
use crate::small_file::sync_dir;

const WRITE_BYTES: usize = 64 * 1024;

/// A file that has its name only when it is complete: until then its name ends in `.part`, so that half a backup is never
/// taken for a whole one. Dropping it unfinished removes it.
pub struct BackupFile {
    out: Option<BufWriter<Part>>,
    path: PathBuf,
}

/// The file while it is written, from front to back.
struct Part {
    file: Arc<dyn DiscFile>,
    path: PathBuf,
    bytes: u64,
    disc: Arc<dyn DiscControl>,
}

impl BackupFile {
    /// Begins a file that will be called `path`, replacing what is there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path) -> Result<Self, BackupError> {
        Self::create_on(path, Arc::new(OsDisc))
    }

    /// The same, on a disc that is not the operating system's.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create_on(path: &Path, disc: Arc<dyn DiscControl>) -> Result<Self, BackupError> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = disc.files().open(&part, Opening::Emptied);
        let file = file.map_err(|error| BackupError::io("creating", &part, error))?;
        let part = Part { file, path: part, bytes: 0, disc };
        Ok(Self { out: Some(BufWriter::with_capacity(WRITE_BYTES, part)), path: path.to_owned() })
    }

    /// Gives the file its name. The unsafe order is to rename it before it is synced: after a crash the name would
    /// stand for half a file.
    ///
    /// # Durability
    /// File and name are on disc when this returns.
    ///
    /// # Errors
    /// It cannot be written; then there is no file of that name, or the one that was there before, unless only its name
    /// could not be made durable.
    pub fn finish(mut self) -> Result<(), BackupError> {
        let Some(out) = &mut self.out else { return Ok(()) };
        // What fails before the file has its name leaves it to be removed when this is dropped.
        out.flush().map_err(|error| BackupError::io("writing", &self.path, error))?;
        let (disc, part) = (Arc::clone(&out.get_ref().disc), out.get_ref());
        disc.before_sync(DiscUse::Export)
            .and_then(|()| part.file.sync_all())
            .and_then(|()| disc.files().rename(&part.path, &self.path))
            .map_err(|error| BackupError::io("writing", &self.path, error))?;
        self.out = None;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        sync_dir(folder, DiscUse::Export, disc.as_ref())
            .map_err(|error| BackupError::io("writing", folder, error))
    }
}

impl Write for BackupFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disc.before_write(DiscUse::Export, bytes.len())?;
        self.file.write_all_at(bytes, self.bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BackupFile {
    fn drop(&mut self) {
        if let Some(out) = self.out.take() {
            let (part, _) = out.into_parts();
            // The backup has failed already, and the name of what is left says that it is a part.
            let _ = part.disc.files().remove_file(&part.path);
        }
    }
}
