//! The database's storage, on a file of the disc's door.

use std::io;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use redb::{BackendError, StorageBackend};

use crate::files::DiscFile;

/// One open file as redb sees it.
#[derive(Debug)]
pub(super) struct Backend {
    file: Arc<dyn DiscFile>,
    /// Kept up for as long as somebody wants to know.
    last_read: Weak<LastRead>,
}

/// Which bytes were read last: where verification ends early, the page that does not fit.
#[derive(Debug, Default)]
pub(super) struct LastRead(Mutex<Range<u64>>);

impl Backend {
    pub(super) fn new(file: Arc<dyn DiscFile>, last_read: &Arc<LastRead>) -> Self {
        Self { file, last_read: Arc::downgrade(last_read) }
    }
}

impl LastRead {
    pub(super) fn get(&self) -> Range<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, offset: u64, bytes: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = offset..offset.saturating_add(bytes as u64);
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if let Some(last_read) = self.last_read.upgrade() {
            last_read.set(offset, out.len());
        }
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    /// redb asks for the whole file first, which is all that a single writer needs.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        match (start, end) {
            (Bound::Unbounded | Bound::Included(0), Bound::Unbounded) => Ok(self.file.try_lock()?),
            _ => Err(BackendError::Unsupported),
        }
    }

    /// The lock ends with the file.
    fn unlock_range(&self, _start: Bound<u64>, _end: Bound<u64>) -> Result<(), BackendError> {
        Ok(())
    }
}
