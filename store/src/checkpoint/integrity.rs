//! Whether a database file is still what was written, asked once when it is opened.
//!
//! redb keeps a checksum of every page in the page above it, and of each commit in its header, but reads without
//! looking at them. A record's own checksum notices a changed record; it does not notice a changed branch page, which
//! leads a lookup to the wrong leaf: the record then seems not to exist. So all pages are verified before any is used.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::{Builder, Database};
use xxhash_rust::xxh3::xxh3_128;

use super::backend::{Backend, LastRead};
use crate::error::StoreError;
use crate::files::DiscFile;

/// Opens the database in a file; fails if anything in it that counts has changed since it was written.
pub(super) fn open(path: &Path, file: Arc<dyn DiscFile>, cache_bytes: usize) -> Result<Database, StoreError> {
    newest_commit_counts(path, file.as_ref())?;
    create(path, file, cache_bytes)
}

/// As [`open`], in a file that may be empty: redb takes it for a new one then.
pub(super) fn create(
    path: &Path,
    file: Arc<dyn DiscFile>,
    cache_bytes: usize,
) -> Result<Database, StoreError> {
    let last_read = Arc::new(LastRead::default());
    let backend = Backend::new(file, &last_read);
    let opened = guard(path, "opening", || {
        let mut database = Builder::new()
            .set_cache_size(cache_bytes)
            .create_with_backend(backend)
            .map_err(|error| StoreError::database("opening", path, error))?;
        let whole =
            database.check_integrity().map_err(|error| StoreError::database("verifying", path, error))?;
        if whole { Ok(database) } else { Err(damaged(path, "its pages do not fit together")) }
    });
    opened.map_err(|error| located(error, &last_read.get()))
}

/// Verification ends at the first page that does not fit, so that is the one that was read last.
fn located(error: StoreError, read: &Range<u64>) -> StoreError {
    match error {
        StoreError::Damaged { file, what, why } => {
            let why = format!("{why}; noticed in bytes {} to {}", read.start, read.end);
            StoreError::Damaged { file, what, why }
        }
        error => error,
    }
}

/// Runs something that reads the file. Where redb meets bytes that it cannot have written, it may panic: for whoever
/// reads that is one more kind of damage.
pub(super) fn guard<T>(
    path: &Path,
    doing: &'static str,
    read: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Nothing of ours is left half changed: what is read is returned whole or not at all.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        tracing::error!(file = %path.display(), doing, "the database panicked over the content of its file");
        Err(damaged(path, "it has content that the database cannot have written"))
    })
}

fn damaged(path: &Path, why: &str) -> StoreError {
    StoreError::Damaged { file: path.to_owned(), what: "the database".to_owned(), why: why.to_owned() }
}

// The header of redb's file format 3: a byte of flags, then two commits, of which one flag says which counts.
const MAGIC: &[u8] = b"redb\x1A\x0A\xA9\x0D\x0A";
const HEADER_BYTES: usize = 320;
const FLAGS_AT: usize = 9;
const SECOND_COUNTS: u8 = 1;
const WAS_NOT_CLOSED: u8 = 2;
const COMMITS_AT: usize = 64;
const COMMIT_BYTES: usize = 128;
const FORMAT: u8 = 3;
const NUMBER_AT: usize = 104;
const CHECKSUM_AT: usize = 112;

/// The one bit of a database file that no checksum covers says which of the last two commits counts. In a file that was
/// closed in order it is the newer one; the other is a state that was true once, and would be believed.
fn newest_commit_counts(path: &Path, file: &dyn DiscFile) -> Result<(), StoreError> {
    let mut header = [0; HEADER_BYTES];
    let failed = |error| StoreError::io("opening", path, error);
    let bytes = file.len().map_err(failed)?;
    // A database has its name only once its header is whole.
    if bytes < header.len() as u64 {
        return Err(damaged(path, &format!("it is cut off at byte {bytes}")));
    }
    file.read_exact_at(&mut header, 0).map_err(failed)?;
    if !header.starts_with(MAGIC) {
        return Err(damaged(path, "its first bytes (from byte 0) are not those of a database"));
    }
    let flags = header.get(FLAGS_AT).copied().unwrap_or_default();
    let (first, second) = (commit(&header, 0), commit(&header, 1));
    let (counts, other) = if flags & SECOND_COUNTS == 0 { (first, second) } else { (second, first) };
    // After a crash the newer commit may not be whole, and redb chooses between the two by itself.
    if flags & WAS_NOT_CLOSED == 0 && other.is_some() && other > counts {
        return Err(damaged(path, "its header (byte 9) points to an older commit than the last one"));
    }
    Ok(())
}

/// The number of a commit, if its checksum is right.
fn commit(header: &[u8; HEADER_BYTES], which: usize) -> Option<u64> {
    let commit = header.get(COMMITS_AT + which * COMMIT_BYTES..)?.first_chunk::<COMMIT_BYTES>()?;
    let (content, checksum) = commit.split_at_checked(CHECKSUM_AT)?;
    let is_whole = commit.first() == Some(&FORMAT) && xxh3_128(content).to_le_bytes() == checksum;
    let number = content.get(NUMBER_AT..)?.first_chunk::<8>()?;
    is_whole.then(|| u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use redb::TableDefinition;

    use super::*;
    use crate::files::{FileSystem as _, Opening, OsFiles};

    const CACHE_BYTES: usize = 1 << 20;
    const TABLE: TableDefinition<'_, u64, u64> = TableDefinition::new("t");

    fn reopen(path: &Path) -> Result<Database, StoreError> {
        open(path, OsFiles.open(path, Opening::Kept).unwrap(), CACHE_BYTES)
    }

    fn closed_file(path: &Path, commits: u64) {
        let database = Database::create(path).unwrap();
        for number in 0..commits {
            let transaction = database.begin_write().unwrap();
            transaction.open_table(TABLE).unwrap().insert(number, number).unwrap();
            transaction.commit().unwrap();
        }
    }

    #[test]
    fn a_file_that_was_closed_in_order_opens_and_a_new_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.redb");
        drop(create(&path, OsFiles.open(&path, Opening::Kept).unwrap(), CACHE_BYTES).unwrap());
        reopen(&path).unwrap();
        closed_file(&path, 5);
        reopen(&path).unwrap();
    }

    #[test]
    fn a_file_that_ends_in_its_header_is_damaged_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.redb");
        closed_file(&path, 2);
        let bytes = std::fs::read(&path).unwrap();
        for end in [0, 1, 9, 64, HEADER_BYTES - 1] {
            std::fs::write(&path, &bytes[..end]).unwrap();
            let error = reopen(&path).map(drop).unwrap_err().to_string();
            assert!(error.contains(&format!("cut off at byte {end}")), "{error}");
        }
    }

    #[test]
    fn the_bit_that_says_which_commit_counts_is_covered_by_the_commits_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for commits in 1..5 {
            let path = dir.path().join(format!("{commits}.redb"));
            closed_file(&path, commits);
            let mut bytes = std::fs::read(&path).unwrap();
            let commits: Vec<_> = (0..2).map(|n| commit(bytes.first_chunk().unwrap(), n)).collect();
            assert!(commits.iter().all(Option::is_some), "the header is read right: {commits:?}");
            bytes[FLAGS_AT] ^= SECOND_COUNTS;
            std::fs::write(&path, bytes).unwrap();
            let error = reopen(&path).map(drop).unwrap_err().to_string();
            assert!(error.contains("byte 9") && error.contains("redb"), "{error}");
        }
    }
}
