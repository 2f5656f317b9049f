//! The narrow door to discs: everything that outlives the process passes here before each write and each sync.
//!
//! The door lets tests make a disc slow, full or failing while a store runs on it, and lets them stop a procedure
//! at any one of its durable steps. In production it is [`OsDisc`], which does nothing.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::files::{FileSystem, OsFiles};

/// What a write or sync is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DiscUse {
    /// A group of entries, votes or marks in the Raft log.
    Log,
    /// A new or finished segment of the Raft log.
    Segment,
    /// The checkpoint of disc tables.
    Checkpoint,
    /// The identity file of a node.
    Identity,
    /// Renames and marks in the data directory.
    DataDir,
    /// A backup or an export.
    Export,
}

/// Asked before each write and each sync; an error takes the place of the operation.
///
/// Implementations MUST be callable from any thread and MAY block (a slow disc does). They MUST NOT call back into the
/// store. An error from `before_write` means that nothing was written; one from `before_sync` that nothing is known
/// about what was written before.
pub trait DiscControl: fmt::Debug + Send + Sync + 'static {
    /// Asked before `bytes` are written.
    ///
    /// # Errors
    /// The error the writer shall see in place of the write.
    fn before_write(&self, what: DiscUse, bytes: usize) -> io::Result<()>;

    /// Asked before a file or directory is synced.
    ///
    /// # Errors
    /// The error the writer shall see in place of the sync.
    fn before_sync(&self, what: DiscUse) -> io::Result<()>;

    /// The files below.
    fn files(&self) -> &dyn FileSystem {
        &OsFiles
    }
}

/// The discs as the operating system gives them.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisc;

impl DiscControl for OsDisc {
    fn before_write(&self, _what: DiscUse, _bytes: usize) -> io::Result<()> {
        Ok(())
    }

    fn before_sync(&self, _what: DiscUse) -> io::Result<()> {
        Ok(())
    }
}

/// A disc whose faults are switched while it is in use. For tests and the test cluster.
#[derive(Debug, Default)]
pub struct FaultyDisc {
    sync_delay_us: AtomicU64,
    full: AtomicBool,
    /// How many more writes and syncs succeed before all fail, plus one; 0 = the fault is off.
    steps_until_death: AtomicU64,
    dead: AtomicBool,
    /// How many more writes succeed, plus one; 0 = the fault is off.
    writes_until_failure: AtomicU64,
    /// How many more syncs succeed, plus one; 0 = the fault is off.
    syncs_until_failure: AtomicU64,
    writes: AtomicU64,
    syncs: AtomicU64,
}

impl FaultyDisc {
    /// A disc without faults so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Each sync from now on takes at least this long.
    pub fn delay_syncs(&self, delay: Duration) {
        self.sync_delay_us.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Switches "no space left" for writes on or off.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// The next sync fails, once.
    pub fn fail_next_sync(&self) {
        self.fail_sync_number(1);
    }

    /// The `number`-th sync from now fails, once; 0 takes the fault back.
    pub fn fail_sync_number(&self, number: u64) {
        self.syncs_until_failure.store(number, Ordering::SeqCst);
    }

    /// The next write fails, once.
    pub fn fail_next_write(&self) {
        self.fail_write_number(1);
    }

    /// The `number`-th write from now fails, once; 0 takes the fault back.
    pub fn fail_write_number(&self, number: u64) {
        self.writes_until_failure.store(number, Ordering::SeqCst);
    }

    /// From the `number`-th write or sync from now on all of them fail: the nearest thing to a crash between two steps that
    /// does not end the process.
    pub fn die_at_step(&self, number: u64) {
        self.dead.store(false, Ordering::SeqCst);
        self.steps_until_death.store(number, Ordering::SeqCst);
    }

    /// Whether the step given to [`die_at_step`](Self::die_at_step) was reached.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    fn live_through(&self, what: DiscUse) -> io::Result<()> {
        if counts_down_to_zero(&self.steps_until_death) {
            self.dead.store(true, Ordering::SeqCst);
        }
        if self.is_dead() {
            Err(io::Error::other(format!("the disc for {what:?} is gone (injected)")))
        } else {
            Ok(())
        }
    }

    /// How many writes were asked for so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// How many syncs were asked for so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }
}

impl DiscControl for FaultyDisc {
    fn before_write(&self, what: DiscUse, _bytes: usize) -> io::Result<()> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.live_through(what)?;
        if self.full.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no space left (injected)"));
        }
        if counts_down_to_zero(&self.writes_until_failure) {
            return Err(io::Error::other(format!("write for {what:?} failed (injected)")));
        }
        Ok(())
    }

    fn before_sync(&self, what: DiscUse) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.live_through(what)?;
        let delay_us = self.sync_delay_us.load(Ordering::SeqCst);
        if delay_us > 0 {
            std::thread::sleep(Duration::from_micros(delay_us));
        }
        if counts_down_to_zero(&self.syncs_until_failure) {
            return Err(io::Error::other(format!("sync for {what:?} failed (injected)")));
        }
        Ok(())
    }
}

/// Takes one from a counter that is on; true when that was the last one.
fn counts_down_to_zero(counter: &AtomicU64) -> bool {
    let before = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    before == Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbered_sync_fails_once_and_no_other() {
        let disc = FaultyDisc::new();
        disc.fail_sync_number(3);
        let outcomes: Vec<bool> = (0..5).map(|_| disc.before_sync(DiscUse::Log).is_ok()).collect();
        assert_eq!(outcomes, [true, true, false, true, true]);
        assert_eq!(disc.syncs(), 5);
    }

    #[test]
    fn a_full_disc_says_so_until_there_is_space() {
        let disc = FaultyDisc::new();
        disc.set_full(true);
        let error = disc.before_write(DiscUse::Log, 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        disc.set_full(false);
        disc.before_write(DiscUse::Log, 10).unwrap();
    }
}
