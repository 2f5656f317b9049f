//! A machine's disc in memory: files, names, and what goes wrong with them.
//!
//! Names are changed through a journal, as file systems do: a loss of power takes back the last changes, in any number,
//! but none that came before one that is durable.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tabularaft::store::disc::{DiscControl, DiscUse};
use tabularaft::store::files::{DiscFile, FileSystem, Opening};

use super::file::Content;
use super::random::Random;
use super::tally::Tally;

/// So many syncs may pass until the power fails, less one.
const SYNCS_MAX: u64 = 8;

/// A disc that outlives the processes of its machine.
#[derive(Debug, Clone)]
pub(super) struct SimDisc {
    state: Arc<Mutex<State>>,
}

/// The disc as one process sees it: nothing of it works any more once the process is dead.
#[derive(Debug, Clone)]
pub(super) struct Mounted {
    disc: SimDisc,
    alive: Arc<AtomicBool>,
}

#[derive(Debug)]
struct State {
    random: Random,
    names: Names,
    /// The names as they would be had the power failed before the first entry of `journal`.
    durable: Names,
    journal: Vec<Change>,
    /// Who holds a lock.
    locks: BTreeMap<PathBuf, Arc<AtomicBool>>,
    full: bool,
    fail_next_sync: bool,
    power: Power,
    tally: Tally,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    Lasts,
    /// It fails when that many more syncs have been made and another one is asked for.
    LastsForSyncs(u64),
    /// It has failed, and nobody has said so yet.
    Failed,
}

type Names = BTreeMap<PathBuf, Item>;

#[derive(Debug, Clone)]
enum Item {
    Dir,
    File(Arc<Mutex<Content>>),
}

#[derive(Debug, Clone)]
enum Change {
    Create(PathBuf, Item),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Change {
    /// Whether it changes what is in this directory.
    fn concerns(&self, dir: &Path) -> bool {
        let is_in = |path: &PathBuf| path.parent() == Some(dir);
        match self {
            Self::Create(path, _) | Self::Remove(path) => is_in(path),
            Self::Rename(from, to) => is_in(from) || is_in(to),
        }
    }

    fn make(self, names: &mut Names) {
        match self {
            Self::Create(path, item) => drop(names.insert(path, item)),
            Self::Remove(path) => names.retain(|name, _| !name.starts_with(&path)),
            Self::Rename(from, to) => {
                let moved: Vec<PathBuf> =
                    names.keys().filter(|name| name.starts_with(&from)).cloned().collect();
                for name in moved {
                    if let (Some(item), Ok(rest)) = (names.remove(&name), name.strip_prefix(&from)) {
                        let name = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                        names.insert(name, item);
                    }
                }
            }
        }
    }
}

impl SimDisc {
    pub(super) fn new(random: Random) -> Self {
        let state = State {
            random,
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            journal: Vec::new(),
            locks: BTreeMap::new(),
            full: false,
            fail_next_sync: false,
            power: Power::Lasts,
            tally: Tally::default(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The disc for a new process, which works until `alive` says otherwise.
    pub(super) fn mount(&self, alive: Arc<AtomicBool>) -> Mounted {
        Mounted { disc: self.clone(), alive }
    }

    /// Switches "no space left" on or off.
    pub(super) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// The next sync of whatever fails, or no longer does.
    pub(super) fn fail_next_sync(&self, fails: bool) {
        self.state().fail_next_sync = fails;
    }

    /// The power will fail between some write and its sync.
    pub(super) fn lose_power_at_sync(&self) {
        let mut state = self.state();
        let syncs = state.random.below(SYNCS_MAX);
        state.power = Power::LastsForSyncs(syncs);
    }

    /// The power will last.
    pub(super) fn keep_power(&self) {
        self.state().power = Power::Lasts;
    }

    /// Whether the power is about to fail.
    pub(super) fn is_losing_power(&self) -> bool {
        self.state().power != Power::Lasts
    }

    /// Whether the power has failed before a sync.
    pub(super) fn has_lost_power(&self) -> bool {
        self.state().power == Power::Failed
    }

    /// How often what befell a file.
    pub(super) fn tally(&self) -> Tally {
        self.state().tally.clone()
    }

    /// Takes back what no sync has covered, all of it or some.
    pub(super) fn lose_power(&self) {
        let state = &mut *self.state();
        state.power = Power::Lasts;
        let kept = state.random.below(state.journal.len() as u64 + 1) as usize;
        let changes: Vec<Change> = state.journal.drain(..).take(kept).collect();
        for change in changes {
            change.make(&mut state.durable);
        }
        state.names = state.durable.clone();
        // In half of all cases nothing unsynced survives, which is the worst for what was acknowledged too early.
        let tears = state.random.once_in(2);
        for item in state.names.values() {
            if let Item::File(content) = item {
                let (random, mut survived, mut lost) = (&mut state.random, false, false);
                lock(content).lose_power(|| {
                    let survives = tears && random.once_in(2);
                    survived |= survives;
                    lost |= !survives;
                    survives
                });
                if lost {
                    state.tally.count("file that lost what was not synced");
                }
                if lost && survived {
                    state.tally.count("torn write");
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn change(&mut self, change: Change) {
        change.clone().make(&mut self.names);
        self.journal.push(change);
    }

    fn may_create(&self, path: &Path) -> io::Result<()> {
        match path.parent().and_then(|dir| self.names.get(dir)) {
            Some(Item::Dir) => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, format!("no directory for {}", path.display()))),
        }
    }
}

impl Mounted {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        if self.alive.load(Ordering::Relaxed) {
            Ok(self.disc.state())
        } else {
            Err(io::Error::other("the process is dead"))
        }
    }

    fn handle(&self, content: Arc<Mutex<Content>>, lock: Option<PathBuf>) -> Arc<dyn DiscFile> {
        Arc::new(OpenFile { mounted: self.clone(), content, lock })
    }
}

impl DiscControl for Mounted {
    fn before_write(&self, _what: DiscUse, _bytes: usize) -> io::Result<()> {
        let mut state = self.state()?;
        if !state.full {
            return Ok(());
        }
        state.tally.count("write refused by a full disc");
        Err(io::Error::new(io::ErrorKind::StorageFull, "no space left (simulated)"))
    }

    fn before_sync(&self, what: DiscUse) -> io::Result<()> {
        let mut state = self.state()?;
        match state.power {
            Power::LastsForSyncs(0) => {
                state.power = Power::Failed;
                state.tally.count("sync for which there was no power");
                self.alive.store(false, Ordering::Relaxed);
                return Err(io::Error::other("the power failed (simulated)"));
            }
            Power::LastsForSyncs(left) => state.power = Power::LastsForSyncs(left - 1),
            Power::Lasts | Power::Failed => {}
        }
        if !std::mem::take(&mut state.fail_next_sync) {
            return Ok(());
        }
        state.tally.count("sync that failed");
        Err(io::Error::other(format!("sync for {what:?} failed (simulated)")))
    }

    fn files(&self) -> &dyn FileSystem {
        self
    }
}

impl FileSystem for Mounted {
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Arc<dyn DiscFile>> {
        let mut state = self.state()?;
        let content = match (state.names.get(path), opening) {
            (Some(Item::Dir), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Item::File(content)), _) => Arc::clone(content),
            (None, Opening::Existing) => return Err(io::ErrorKind::NotFound.into()),
            (None, _) => {
                state.may_create(path)?;
                let content = Arc::default();
                state.change(Change::Create(path.to_owned(), Item::File(Arc::clone(&content))));
                content
            }
        };
        drop(state);
        if opening == Opening::Emptied {
            lock(&content).set_len(0);
        }
        Ok(self.handle(content, None))
    }

    fn lock(&self, path: &Path) -> Result<Arc<dyn DiscFile>, TryLockError> {
        self.open(path, Opening::Kept).map_err(TryLockError::Error)?;
        let mut state = self.state().map_err(TryLockError::Error)?;
        if state.locks.get(path).is_some_and(|holder| holder.load(Ordering::Relaxed)) {
            return Err(TryLockError::WouldBlock);
        }
        state.locks.insert(path.to_owned(), Arc::clone(&self.alive));
        let Some(Item::File(content)) = state.names.get(path).cloned() else {
            return Err(TryLockError::Error(io::ErrorKind::NotFound.into()));
        };
        Ok(self.handle(content, Some(path.to_owned())))
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let state = self.state()?;
        let inside = state.names.keys().filter(|name| name.parent() == Some(dir));
        Ok(inside.filter_map(|name| name.file_name().map(OsString::from)).collect())
    }

    fn exists(&self, path: &Path) -> bool {
        self.state().is_ok_and(|state| state.names.contains_key(path))
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.state().is_ok_and(|state| matches!(state.names.get(path), Some(Item::Dir)))
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        let mut missing: Vec<&Path> = dir.ancestors().filter(|dir| !state.names.contains_key(*dir)).collect();
        missing.reverse();
        for dir in missing {
            state.change(Change::Create(dir.to_owned(), Item::Dir));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        state.may_create(to)?;
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        match state.names.get(path) {
            Some(Item::File(_)) => state.change(Change::Remove(path.to_owned())),
            Some(Item::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        if !self.names(dir)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.remove_dir_all(dir)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        match state.names.get(dir) {
            Some(Item::Dir) => state.change(Change::Remove(dir.to_owned())),
            Some(Item::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            None => return Err(io::ErrorKind::NotFound.into()),
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let state = &mut *self.state()?;
        let last = state.journal.iter().rposition(|change| change.concerns(dir));
        for change in state.journal.drain(..last.map_or(0, |last| last + 1)) {
            change.make(&mut state.durable);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct OpenFile {
    mounted: Mounted,
    content: Arc<Mutex<Content>>,
    /// Whether this holds the lock of that name.
    lock: Option<PathBuf>,
}

impl OpenFile {
    fn content(&self) -> io::Result<MutexGuard<'_, Content>> {
        drop(self.mounted.state()?);
        Ok(lock(&self.content))
    }
}

impl DiscFile for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.content()?.read(bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.content()?.write(bytes, offset);
        Ok(())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.content()?.set_len(bytes);
        Ok(())
    }

    /// Nothing is reserved: a simulated disc is full when the simulation says so.
    fn reserve(&self, _bytes: u64) -> io::Result<()> {
        self.content().map(drop)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.content()?.sync();
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let (Some(path), Ok(mut state)) = (&self.lock, self.mounted.state()) {
            state.locks.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted() -> (SimDisc, Mounted) {
        let disc = SimDisc::new(Random::new(1, "disc"));
        let mounted = disc.mount(Arc::new(AtomicBool::new(true)));
        mounted.create_dir_all(Path::new("/d")).unwrap();
        mounted.sync_dir(Path::new("/")).unwrap();
        (disc, mounted)
    }

    #[test]
    fn a_synced_file_under_a_synced_name_survives_a_loss_of_power() {
        let (disc, mounted) = mounted();
        let file = mounted.open(Path::new("/d/new"), Opening::Emptied).unwrap();
        file.write_all_at(b"kept", 0).unwrap();
        file.sync_all().unwrap();
        mounted.rename(Path::new("/d/new"), Path::new("/d/file")).unwrap();
        mounted.sync_dir(Path::new("/d")).unwrap();
        mounted.remove_file(Path::new("/d/file")).unwrap();
        for _ in 0..20 {
            disc.lose_power();
        }
        assert!(!mounted.exists(Path::new("/d/new")));
        let survived = mounted.exists(Path::new("/d/file"));
        assert!(!survived || mounted.read(Path::new("/d/file")).unwrap() == b"kept");
    }

    #[test]
    fn the_power_fails_between_a_write_and_its_sync() {
        let (disc, mounted) = mounted();
        let file = mounted.open(Path::new("/d/file"), Opening::Emptied).unwrap();
        mounted.sync_dir(Path::new("/d")).unwrap();
        disc.lose_power_at_sync();
        let mut synced = 0_u64;
        while synced < SYNCS_MAX {
            file.write_all_at(&(synced + 1).to_le_bytes(), synced * 8).unwrap();
            if mounted.before_sync(DiscUse::Log).is_err() {
                break;
            }
            file.sync_data().unwrap();
            synced += 1;
        }
        assert!(disc.has_lost_power() && file.sync_data().is_err(), "{synced} syncs");
        disc.lose_power();
        assert!(!disc.is_losing_power());
        let mounted = disc.mount(Arc::new(AtomicBool::new(true)));
        let len = mounted.open(Path::new("/d/file"), Opening::Existing).unwrap().len().unwrap();
        assert!([synced * 8, synced * 8 + 8].contains(&len), "{len} bytes after {synced} syncs");
    }

    #[test]
    fn the_disc_does_nothing_for_a_dead_process_and_its_lock_is_free() {
        let disc = SimDisc::new(Random::new(1, "disc"));
        let alive = Arc::new(AtomicBool::new(true));
        let first = disc.mount(Arc::clone(&alive));
        first.create_dir_all(Path::new("/d")).unwrap();
        let lock = first.lock(Path::new("/d/LOCK")).unwrap();
        let second = disc.mount(Arc::new(AtomicBool::new(true)));
        assert!(matches!(second.lock(Path::new("/d/LOCK")), Err(TryLockError::WouldBlock)));
        alive.store(false, Ordering::Relaxed);
        assert!(lock.write_all_at(b"x", 0).is_err());
        assert!(second.lock(Path::new("/d/LOCK")).is_ok());
    }
}
