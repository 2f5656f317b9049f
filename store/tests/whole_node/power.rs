//! A disc whose power fails at its n-th operation: what no sync covered is taken back, all of it or, as a coin decides, each
//! write for itself. Names are kept by the sync of their directory; directories themselves are taken for durable at once.

use std::ffi::OsString;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tabularaft_store::disc::{DiscControl, DiscUse};
use tabularaft_store::files::{DiscFile, FileSystem, Opening, OsFiles};

use crate::damages::Numbers;

#[derive(Debug)]
pub(crate) struct PowerDisc {
    files: PowerFiles,
}

#[derive(Debug)]
struct PowerFiles {
    power: Arc<Mutex<Power>>,
    /// Where files go that are removed or replaced, until that is durable.
    removed: PathBuf,
}

#[derive(Debug)]
struct PowerFile {
    file: Arc<dyn DiscFile>,
    /// Tells openings apart: a sync through one says nothing of what was written through another.
    number: usize,
    power: Arc<Mutex<Power>>,
}

#[derive(Debug)]
struct Power {
    done: u64,
    at: u64,
    is_off: bool,
    /// Decides what survives; `None`: nothing does.
    coin: Option<Numbers>,
    files: usize,
    undo: Vec<Undo>,
}

/// How to take an operation back.
#[derive(Debug)]
enum Undo {
    Content { number: usize, file: Arc<dyn DiscFile>, offset: u64, before: Vec<u8>, bytes: u64 },
    Name { dir: PathBuf, moved_back: Vec<(PathBuf, PathBuf)>, created: Option<PathBuf> },
}

impl PowerDisc {
    /// Operations are counted from 1. `removed` is a directory of the same file system.
    pub(crate) fn failing_at(operation: u64, coin: Option<Numbers>, removed: &Path) -> Self {
        let power = Power { done: 0, at: operation, is_off: false, coin, files: 0, undo: Vec::new() };
        let (power, removed) = (Arc::new(Mutex::new(power)), removed.to_owned());
        Self { files: PowerFiles { power, removed } }
    }

    /// The power fails now, unless it did before; whether it did.
    pub(crate) fn fail(&self) -> bool {
        let mut power = self.files.power.lock().unwrap();
        let failed_before = power.is_off;
        power.fail();
        failed_before
    }
}

impl Power {
    fn step(&mut self) -> io::Result<()> {
        self.done += 1;
        if self.done >= self.at {
            self.fail();
            return Err(io::Error::other("the power is off (injected)"));
        }
        Ok(())
    }

    fn fail(&mut self) {
        self.is_off = true;
        for undo in std::mem::take(&mut self.undo).into_iter().rev() {
            match undo {
                Undo::Content { file, offset, before, bytes, .. } => {
                    if self.coin.as_mut().is_some_and(|coin| coin.below(2) == 0) {
                        continue;
                    }
                    file.write_all_at(&before, offset).unwrap();
                    file.set_len(bytes).unwrap();
                }
                Undo::Name { moved_back, created, .. } => {
                    if let Some(path) = created {
                        std::fs::remove_file(path).unwrap();
                    }
                    for (from, to) in moved_back {
                        std::fs::rename(from, to).unwrap();
                    }
                }
            }
        }
    }
}

impl PowerFiles {
    fn power(&self) -> MutexGuard<'_, Power> {
        self.power.lock().unwrap()
    }

    /// Where a file lies after it was removed.
    fn grave(&self, power: &Power) -> PathBuf {
        self.removed.join(power.done.to_string())
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap().to_owned()
}

impl DiscControl for PowerDisc {
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

impl FileSystem for PowerFiles {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DiscFile>> {
        let mut power = self.power();
        let is_new = !path.exists();
        if is_new && opening != Opening::Existing {
            power.step()?;
            let created = Some(path.to_owned());
            power.undo.push(Undo::Name { dir: parent(path), moved_back: Vec::new(), created });
        }
        let file = OsFiles.open(path, if opening == Opening::Emptied { Opening::Kept } else { opening })?;
        power.files += 1;
        let file = PowerFile { file, number: power.files, power: Arc::clone(&self.power) };
        drop(power);
        if opening == Opening::Emptied && !is_new {
            file.set_len(0)?;
        }
        Ok(Arc::new(file))
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn DiscFile>, TryLockError> {
        OsFiles.lock(path)
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
        self.power().step().and_then(|()| OsFiles.create_dir_all(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut power = self.power();
        power.step()?;
        let mut moved_back = vec![(to.to_owned(), from.to_owned())];
        if to.is_file() {
            let grave = self.grave(&power);
            std::fs::rename(to, &grave)?;
            moved_back.push((grave, to.to_owned()));
        }
        std::fs::rename(from, to)?;
        power.undo.push(Undo::Name { dir: parent(to), moved_back, created: None });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut power = self.power();
        power.step()?;
        let grave = self.grave(&power);
        std::fs::rename(path, &grave)?;
        let moved_back = vec![(grave, path.to_owned())];
        power.undo.push(Undo::Name { dir: parent(path), moved_back, created: None });
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.power().step().and_then(|()| OsFiles.remove_dir(dir))
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.power().step().and_then(|()| OsFiles.remove_dir_all(dir))
    }

    fn sync_dir(&self, synced: &Path) -> io::Result<()> {
        let mut power = self.power();
        power.step()?;
        power.undo.retain(|undo| !matches!(undo, Undo::Name { dir, .. } if dir == synced));
        Ok(())
    }
}

impl PowerFile {
    /// Changes the file from `offset` on, so that it can be taken back.
    fn change(&self, offset: u64, length: usize, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut power = self.power.lock().unwrap();
        power.step()?;
        let bytes = self.file.len()?;
        let mut before = vec![0; bytes.saturating_sub(offset).min(length as u64) as usize];
        self.file.read_exact_at(&mut before, offset)?;
        let (number, file) = (self.number, Arc::clone(&self.file));
        power.undo.push(Undo::Content { number, file, offset, before, bytes });
        change()
    }
}

impl DiscFile for PowerFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(offset, bytes.len(), || self.file.write_all_at(bytes, offset))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.change(bytes, usize::MAX, || self.file.set_len(bytes))
    }

    fn reserve(&self, bytes: u64) -> io::Result<()> {
        self.change(bytes, usize::MAX, || self.file.reserve(bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut power = self.power.lock().unwrap();
        power.step()?;
        power.undo.retain(|undo| !matches!(undo, Undo::Content { number, .. } if *number == self.number));
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}
