//! The file a backup is written to.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::BackupError;

/// A file that has its name only when it is complete: until then its name ends in `.part`, so that half a backup is never
/// taken for a whole one. Dropping it unfinished removes it.
pub struct BackupFile {
    out: Option<BufWriter<File>>,
    part: PathBuf,
    path: PathBuf,
}

impl BackupFile {
    /// Begins a file that will be called `path`, replacing what is there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path) -> Result<Self, BackupError> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(|error| BackupError::io("creating", &part, error))?;
        Ok(Self { out: Some(BufWriter::new(file)), part, path: path.to_owned() })
    }

    /// Gives the file its name. The unsafe order is to rename it before it is synced: after a crash the name would
    /// stand for half a file.
    ///
    /// # Durability
    /// File and name are on disc when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self) -> Result<(), BackupError> {
        let part = self.part.clone();
        let failed = |doing| move |error| BackupError::io(doing, &part, error);
        let Some(out) = self.out.take() else { return Ok(()) };
        let file = out.into_inner().map_err(|error| failed("writing")(error.into_error()))?;
        let synced = file.sync_all().and_then(|()| fs::rename(&self.part, &self.path));
        if let Err(error) = synced {
            let _ = fs::remove_file(&self.part);
            return Err(BackupError::io("writing", &self.path, error));
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
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

impl Drop for BackupFile {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            // The backup has failed already, and the name of what is left says that it is a part.
            let _ = fs::remove_file(&self.part);
        }
    }
}
