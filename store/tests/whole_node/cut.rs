//! A disc that is cut off at its n-th operation, as by the death of the process: what was handed to the operating system
//! before is there, the write under way is there in part, and nothing follows.

use std::ffi::OsString;
use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tabularaft_store::disc::{DiscControl, DiscUse};
use tabularaft_store::files::{DiscFile, FileSystem, Opening, OsFiles};

/// Counts the operations that change something, and lets none through from the given one on.
#[derive(Debug)]
pub(crate) struct Cut {
    done: AtomicU64,
    at: u64,
}

/// The disc's door.
#[derive(Debug)]
pub(crate) struct CutDisc {
    files: CutFiles,
}

#[derive(Debug)]
struct CutFiles {
    cut: Arc<Cut>,
}

#[derive(Debug)]
struct CutFile {
    file: Arc<dyn DiscFile>,
    cut: Arc<Cut>,
}

impl CutDisc {
    /// Operations are counted from 1.
    pub(crate) fn at(operation: u64) -> Self {
        Self { files: CutFiles { cut: Arc::new(Cut { done: AtomicU64::new(0), at: operation }) } }
    }

    /// Whether the operation was reached.
    pub(crate) fn is_cut(&self) -> bool {
        self.files.cut.done.load(Ordering::SeqCst) >= self.files.cut.at
    }
}

impl Cut {
    fn step(&self) -> io::Result<()> {
        if self.done.fetch_add(1, Ordering::SeqCst) + 1 < self.at {
            return Ok(());
        }
        Err(io::Error::other("the process is dead (injected)"))
    }
}

impl DiscControl for CutDisc {
    fn before_write(&self, _what: DiscUse, _bytes: usize) -> io::Result<()> {
        Ok(())
    }

    fn before_sync(&self, _what: DiscUse) -> io::Result<()> {
        Ok(())
    }

    fn files(&self) -> &dyn FileSystem {
        &self.files
    }
}

impl FileSystem for CutFiles {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DiscFile>> {
        if opening == Opening::Emptied || (opening == Opening::Kept && !path.exists()) {
            self.cut.step()?;
        }
        Ok(Arc::new(CutFile { file: OsFiles.open(path, opening)?, cut: Arc::clone(&self.cut) }))
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn DiscFile>, TryLockError> {
        let file = OsFiles.lock(path)?;
        Ok(Arc::new(CutFile { file, cut: Arc::clone(&self.cut) }))
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        OsFiles.names(dir)
    }

    fn exists(&self, path: &Path) -> bool {
        OsFiles.exists(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        OsFiles.is_dir(path)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.cut.step().and_then(|()| OsFiles.create_dir_all(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.cut.step().and_then(|()| OsFiles.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.cut.step().and_then(|()| OsFiles.remove_file(path))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.cut.step().and_then(|()| OsFiles.remove_dir(dir))
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.cut.step().and_then(|()| OsFiles.remove_dir_all(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.cut.step().and_then(|()| OsFiles.sync_dir(dir))
    }
}

impl DiscFile for CutFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let was_cut = self.cut.done.load(Ordering::SeqCst) >= self.cut.at;
        let step = self.cut.step();
        if step.is_err() && !was_cut {
            // Death came in the middle of this write.
            self.file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
        }
        step.and_then(|()| self.file.write_all_at(bytes, offset))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.cut.step().and_then(|()| self.file.set_len(bytes))
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.cut.step().and_then(|()| self.file.reserve(bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.cut.step().and_then(|()| self.file.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.cut.step().and_then(|()| self.file.sync_all())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}
