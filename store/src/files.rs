//! Files and directories, as the store uses them. In production they are the operating system's; a simulation puts its
//! own disc here, which forgets what was not synced when the power fails.
//!
//! Exports are written for people, wherever these want them, and do not pass here.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt};
use std::path::Path;
use std::sync::Arc;

/// How a file is opened. It is always open for reading and for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It must exist.
    Existing,
    /// It is created if it does not exist, and keeps its content if it does.
    Kept,
    /// It is created if it does not exist, and emptied if it does.
    Emptied,
}

/// A tree of files and directories.
///
/// Implementations MUST be callable from any thread, and MUST keep the promises of a POSIX file system: a rename is
/// atomic; what [`DiscFile::sync_data`] covered survives a loss of power; a name does once its directory was synced.
pub trait FileSystem: fmt::Debug + Send + Sync + 'static {
    /// Opens a file.
    ///
    /// # Errors
    /// As the operating system's.
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DiscFile>>;

    /// Takes the file's lock, creating the file if need be. Dropping the guard gives it back; so does the end of the process.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if somebody else has it.
    fn lock(&self, path: &Path) -> Result<Arc<dyn DiscFile>, TryLockError>;

    /// The names in a directory, in any order.
    ///
    /// # Errors
    /// As the operating system's.
    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Whether there is a file or a directory of that name.
    fn exists(&self, path: &Path) -> bool;

    /// Whether there is a directory of that name.
    fn is_dir(&self, path: &Path) -> bool;

    /// Creates a directory, with all that lead to it, for the eyes of the owner alone.
    ///
    /// # Errors
    /// As the operating system's.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file or directory; a file of the new name is replaced.
    ///
    /// # Errors
    /// As the operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the operating system's.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`io::ErrorKind::DirectoryNotEmpty`], or as the operating system's.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Removes a directory with all that is in it.
    ///
    /// # Errors
    /// As the operating system's.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As the operating system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// A file's whole content.
    ///
    /// # Errors
    /// As the operating system's.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, Opening::Existing)?;
        let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// An open file. It can be used after its name is gone.
pub trait DiscFile: fmt::Debug + Send + Sync + 'static {
    /// How long it is, in bytes.
    ///
    /// # Errors
    /// As the operating system's.
    fn len(&self) -> io::Result<u64>;

    /// Whether it is empty.
    ///
    /// # Errors
    /// As the operating system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends before that, or as the operating system's.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all `bytes` at `offset`, and makes the file longer if it ends before.
    ///
    /// # Errors
    /// As the operating system's; some of the bytes may have been written then.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file, or makes it longer with zeros.
    ///
    /// # Errors
    /// As the operating system's.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Reserves space, so that writes up to `bytes` cannot run out of it; the file is at least that long afterwards.
    ///
    /// # Errors
    /// As the operating system's.
    fn reserve(&self, bytes: u64) -> io::Result<()>;

    /// Makes the content, and whatever is needed to find it, durable.
    ///
    /// # Errors
    /// As the operating system's: what was written before may be lost, and a later success does not take that back.
    fn sync_data(&self) -> io::Result<()>;

    /// The same, with all that is known of the file.
    ///
    /// # Errors
    /// As [`sync_data`](Self::sync_data).
    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    /// Forgets what is cached of the content, so that what is read next is what the disc has. May do nothing.
    ///
    /// # Errors
    /// As the operating system's.
    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }

    /// Takes the lock of the whole file, for as long as it is open. False if another has it.
    ///
    /// # Errors
    /// As the operating system's.
    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// The files of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFiles;

impl FileSystem for OsFiles {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DiscFile>> {
        let (create, truncate) = (opening != Opening::Existing, opening == Opening::Emptied);
        let file = OpenOptions::new().read(true).write(true).create(create).truncate(truncate).open(path)?;
        Ok(Arc::new(file))
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn DiscFile>, TryLockError> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(TryLockError::Error)?;
        file.try_lock()?;
        Ok(Arc::new(file))
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl DiscFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(self, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // This file system cannot reserve space. A sparse file behaves the same, but may fill up while it is written.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                if self.metadata()?.len() < bytes {
                    File::set_len(self, bytes)
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn sync_all(&self) -> io::Result<()> {
        File::sync_all(self)
    }

    fn drop_cache(&self) -> io::Result<()> {
        rustix::fs::fadvise(self, 0, None, rustix::fs::Advice::DontNeed)?;
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        match File::try_lock(self) {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
