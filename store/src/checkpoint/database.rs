//! The database file behind the disc tables.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, ReadTransaction, TableHandle, WriteTransaction};

use super::disc_table::DiscTable;
use super::integrity;
use super::layout;
use crate::disc::{DiscControl, DiscUse};
use crate::error::StoreError;
use crate::files::Opening;
use crate::small_file::sync_dir;

/// One open database file. It has one writer at a time; readers see the last commit.
pub(crate) struct TablesFile {
    database: Database,
    path: PathBuf,
    disc: Arc<dyn DiscControl>,
    next_generation: AtomicU64,
    /// Generations that are being written and that no committed checkpoint refers to yet.
    held: Mutex<BTreeSet<u64>>,
}

impl TablesFile {
    /// Opens or creates the file, and removes generations that a crash left without a checkpoint that refers to them.
    pub(crate) fn open(
        path: PathBuf,
        disc: Arc<dyn DiscControl>,
        cache_bytes: usize,
    ) -> Result<Arc<Self>, StoreError> {
        if !disc.files().exists(&path) {
            create(&path, disc.as_ref(), cache_bytes)?;
        }
        let file = disc.files().open(&path, Opening::Existing);
        let file = file.map_err(|error| StoreError::io("opening", &path, error))?;
        let database = integrity::open(&path, file, cache_bytes)?;
        let file = Self { database, path, disc, next_generation: AtomicU64::new(1), held: Mutex::default() };
        file.check_format()?;
        file.find_next_generation()?;
        file.sweep()?;
        Ok(Arc::new(file))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn read(&self) -> Result<ReadTransaction, StoreError> {
        use redb::ReadableDatabase;
        self.database.begin_read().map_err(|error| self.failed("reading", error))
    }

    /// Waits until no other write transaction is open.
    pub(crate) fn write(&self) -> Result<WriteTransaction, StoreError> {
        let mut transaction = self.database.begin_write().map_err(|error| self.failed("writing", error))?;
        // Commits become somewhat slower; opening after a kill takes milliseconds instead of a walk over all pages.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    /// Makes a transaction durable, unless the disc's door refuses.
    pub(crate) fn commit(
        &self,
        transaction: WriteTransaction,
        changed_bytes: usize,
    ) -> Result<(), StoreError> {
        self.disc
            .before_write(DiscUse::Checkpoint, changed_bytes)
            .and_then(|()| self.disc.before_sync(DiscUse::Checkpoint))
            .map_err(|error| StoreError::io("writing", &self.path, error))?;
        transaction.commit().map_err(|error| self.failed("committing", error))
    }

    /// The records of a table as of the last commit; `None` if there are none under this name.
    pub(crate) fn disc_table(
        self: &Arc<Self>,
        transaction: &ReadTransaction,
        name: &str,
    ) -> Result<Option<DiscTable>, StoreError> {
        match transaction.open_table(layout::records(name)) {
            Ok(table) => Ok(Some(DiscTable::new(table, name.into(), Arc::clone(self)))),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(self.failed("reading", error)),
        }
    }

    pub(crate) fn new_generation(self: &Arc<Self>) -> Generation {
        let number = self.next_generation.fetch_add(1, Ordering::Relaxed);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
        Generation { number, file: Arc::clone(self), referred_to: false }
    }

    /// Removes every generation that neither the committed checkpoint refers to nor anybody is writing.
    pub(crate) fn sweep(&self) -> Result<(), StoreError> {
        let transaction = self.write()?;
        let referred_to = layout::referred_generations(self, &transaction)?;
        let orphans = self.generations(&transaction)?.into_iter().filter(|(generation, _)| {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            !referred_to.contains(generation) && !held.contains(generation)
        });
        let orphans: Vec<String> = orphans.map(|(_, name)| name).collect();
        if orphans.is_empty() {
            return transaction.abort().map_err(|error| self.failed("reading", error));
        }
        for name in &orphans {
            transaction.delete_table(layout::records(name)).map_err(|error| self.failed("writing", error))?;
        }
        tracing::debug!(tables = orphans.len(), "removed table generations that no checkpoint refers to");
        self.commit(transaction, 0)
    }

    pub(crate) fn failed(&self, doing: &'static str, error: impl Into<redb::Error>) -> StoreError {
        StoreError::database(doing, &self.path, error)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let transaction = self.write()?;
        if layout::check_format(self, &transaction)? {
            self.commit(transaction, 0)
        } else {
            transaction.abort().map_err(|error| self.failed("reading", error))
        }
    }

    fn find_next_generation(&self) -> Result<(), StoreError> {
        let transaction = self.write()?;
        let newest = self.generations(&transaction)?.into_iter().map(|(generation, _)| generation).max();
        self.next_generation.store(newest.unwrap_or(0) + 1, Ordering::Relaxed);
        transaction.abort().map_err(|error| self.failed("reading", error))
    }

    fn generations(&self, transaction: &WriteTransaction) -> Result<Vec<(u64, String)>, StoreError> {
        let tables = transaction.list_tables().map_err(|error| self.failed("reading", error))?;
        Ok(tables
            .filter_map(|table| Some((layout::generation_of(table.name())?, table.name().to_owned())))
            .collect())
    }

    fn release(&self, generation: u64) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&generation);
    }
}

/// Creates a database without content.
///
/// The unsafe order is to let redb create the file under its name: a crash before its header is whole leaves a file that
/// is no database, and a node that never starts again. The safe order: create it under another name, rename it.
fn create(path: &Path, disc: &dyn DiscControl, cache_bytes: usize) -> Result<(), StoreError> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let failed = |error| StoreError::io("creating", path, error);
    disc.before_write(DiscUse::Checkpoint, 0).map_err(failed)?;
    let file = disc.files().open(&unfinished, Opening::Emptied).map_err(failed)?;
    // redb syncs what it has written when it closes the file.
    drop(integrity::create(&unfinished, file, cache_bytes)?);
    disc.files().rename(&unfinished, path).map_err(failed)?;
    let Some(dir) = path.parent() else { return Ok(()) };
    sync_dir(dir, DiscUse::Checkpoint, disc).map_err(failed)
}

/// A set of a table's records in the file that nobody refers to yet. Unless a checkpoint comes to refer to it, it is
/// swept away after its last holder is gone.
pub(crate) struct Generation {
    number: u64,
    file: Arc<TablesFile>,
    referred_to: bool,
}

impl Generation {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A committed checkpoint refers to the generation now.
    pub(crate) fn refer(&mut self) {
        self.referred_to = true;
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.file.release(self.number);
        if !self.referred_to
            && let Err(error) = self.file.sweep()
        {
            tracing::warn!(%error, "an unfinished table copy could not be removed, the next start removes it");
        }
    }
}
