//! A small text file that is versioned, checksummed and replaced as a whole.
//!
//! ```text
//! tabularaft identity, format 1, crc32c 1a2b3c4d
//! {"…": …}
//! ```
//!
//! The first line keeps this shape in every version; the checksum covers all of the file but itself. Text, so that an
//! operator can look inside; checksummed, so that nobody mistakes a damaged or hand-edited file for a whole one.

use std::io;
use std::path::{Path, PathBuf};

use crate::disc::{DiscControl, DiscUse};
use crate::files::{FileSystem, Opening};

/// What kind of file it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SmallFile {
    /// Stands in the first line. Persistent: add, never change or reuse.
    pub(crate) kind: &'static str,
    /// The version written, and the newest one read.
    pub(crate) version: u32,
    /// What its writes count as.
    pub(crate) disc_use: DiscUse,
}

/// Why a small file could not be read.
#[derive(Debug)]
pub(crate) enum SmallFileError {
    Io(io::Error),
    Damaged { offset: u64, reason: String },
    NewerFormat(u32),
}

impl SmallFile {
    /// Reads the file's body; `None` if there is no such file.
    pub(crate) fn read(self, path: &Path, files: &dyn FileSystem) -> Result<Option<String>, SmallFileError> {
        let bytes = match files.read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SmallFileError::Io(error)),
        };
        let text = String::from_utf8(bytes)
            .map_err(|error| damaged(error.utf8_error().valid_up_to(), "a byte that is not text"))?;
        let (line, body) =
            text.split_once('\n').ok_or_else(|| damaged(text.len(), "the first line does not end"))?;
        let rest = line
            .strip_prefix(&format!("tabularaft {}, format ", self.kind))
            .ok_or_else(|| damaged(0, format!("this is not a tabularaft {} file", self.kind)))?;
        let (version, crc) = rest
            .split_once(", crc32c ")
            .and_then(|(version, crc)| Some((version.parse::<u32>().ok()?, crc)))
            .ok_or_else(|| damaged(0, "the first line cannot be read"))?;
        if crc != crc_text(self.kind, version, body) {
            return Err(damaged(0, "the checksum does not match"));
        }
        if version > self.version {
            return Err(SmallFileError::NewerFormat(version));
        }
        Ok(Some(body.to_owned()))
    }

    /// Replaces the file.
    ///
    /// The unsafe order is to overwrite it, or to rename before the sync: a crash then leaves half a file, or an empty one
    /// under the final name. The safe order: write a new file, sync it, rename it over the old one, sync the directory.
    pub(crate) fn write(self, path: &Path, body: &str, disc: &dyn DiscControl) -> io::Result<()> {
        let crc = crc_text(self.kind, self.version, body);
        let text = format!("tabularaft {}, format {}, crc32c {crc}\n{body}", self.kind, self.version);
        let unfinished = unfinished(path);
        disc.before_write(self.disc_use, text.len())?;
        let files = disc.files();
        let file = files.open(&unfinished, Opening::Emptied)?;
        file.write_all_at(text.as_bytes(), 0)?;
        disc.before_sync(self.disc_use)?;
        file.sync_all()?;
        disc.before_write(self.disc_use, 0)?;
        files.rename(&unfinished, path)?;
        match path.parent() {
            Some(parent) => sync_dir(parent, self.disc_use, disc),
            None => Ok(()),
        }
    }
}

/// Makes names that were created, renamed or removed in a directory durable.
pub(crate) fn sync_dir(dir: &Path, disc_use: DiscUse, disc: &dyn DiscControl) -> io::Result<()> {
    disc.before_sync(disc_use)?;
    disc.files().sync_dir(dir)
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

fn crc_text(kind: &str, version: u32, body: &str) -> String {
    let crc = crc32c::crc32c(format!("{kind} {version}\n").as_bytes());
    format!("{:08x}", crc32c::crc32c_append(crc, body.as_bytes()))
}

fn damaged(offset: usize, reason: impl Into<String>) -> SmallFileError {
    SmallFileError::Damaged { offset: offset as u64, reason: reason.into() }
}
