//! The file `end`: up to where the log was written, kept beside it.
//!
//! Each frame proves that the one before it was written, but nothing proves the last: where the sector that it stood in
//! reads as zeros, the log just seems shorter. This file is what such a log is held against.
//!
//! ```text
//! two slots of 64 bytes, written in turn, so that a torn write leaves the other:
//! 0  magic, 8 bytes
//! 8  format version u32
//! 12 crc32c u32 over bytes 0..12 and 16..56
//! 16 number of the note u64; the higher one counts
//! 24 written up to: segment number u64, offset u64
//! 40 synced up to: segment number u64, offset u64
//! ```
//!
//! A log only ever grows at its end: truncations are records too, and a torn tail is cut off behind what is noted here. So
//! an old note is a true one that says less, and needs neither a sync before the log is continued nor one after each
//! group. It is written when the log's thread has nothing else to do, not after each write by a caller's thread, and synced
//! when the log is closed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::SyncedMark;
use super::fields::{header_crc, put, u32_at, u64_at};
use super::{LogError, LogOptions};
use crate::disc::{DiscControl, DiscUse};
use crate::files::{DiscFile, Opening};

const NAME: &str = "end";
// Persistent: add, never change or reuse.
const MAGIC: [u8; 8] = *b"TabRaftE";
const VERSION: u32 = 1;
const NOTE_BYTES: usize = 56;
const SLOT_BYTES: usize = 64;
const SLOTS: usize = 2;

/// How far a log reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// Handed to the operating system: there unless the machine crashed.
    pub(super) written: SyncedMark,
    /// There in any case. Invariant: `synced <= written`.
    pub(super) synced: SyncedMark,
}

/// The file, open for further notes.
#[derive(Debug)]
pub(super) struct EndMark {
    path: PathBuf,
    /// `None` once a note could not be written: an old one is true too, so the log goes on without.
    file: Option<Arc<dyn DiscFile>>,
    number: u64,
    noted: Option<Reach>,
}

impl EndMark {
    /// Opens the file and notes how far the log reaches, which recovery has just made durable.
    pub(super) fn open(dir: &Path, disc: &dyn DiscControl, reach: Reach) -> Self {
        let path = dir.join(NAME);
        let number = read(&path, disc).ok().flatten().map_or(0, |(number, _)| number);
        let file = disc.files().open(&path, Opening::Kept);
        let mut mark = Self { path, file: None, number, noted: None };
        match file {
            Ok(file) => {
                mark.file = Some(file);
                mark.note(reach);
            }
            Err(error) => mark.give_up(&error),
        }
        mark
    }

    /// Notes how far the log reaches, unless that is what the last note says. The disc's door is not asked: a note that is
    /// refused is only an older one.
    pub(super) fn note(&mut self, reach: Reach) {
        let Some(file) = self.file.as_ref().filter(|_| self.noted != Some(reach)) else { return };
        let number = self.number.saturating_add(1);
        let slot = number % SLOTS as u64 * SLOT_BYTES as u64;
        match file.write_all_at(&encode(number, reach), slot) {
            Ok(()) => (self.number, self.noted) = (number, Some(reach)),
            Err(error) => self.give_up(&error),
        }
    }

    /// Makes the last note durable.
    pub(super) fn sync(&mut self, disc: &dyn DiscControl) {
        let Some(file) = &self.file else { return };
        if let Err(error) = disc.before_sync(DiscUse::Log).and_then(|()| file.sync_data()) {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        tracing::warn!(file = %self.path.display(), %error, "the end of the log is not noted any more");
        self.file = None;
    }
}

/// Up to where the log in `dir` must reach, if that was noted. A file that is damaged says nothing: the log is whole then,
/// or shows itself what is wrong with it.
pub(super) fn least(dir: &Path, options: &LogOptions) -> Result<Option<SyncedMark>, LogError> {
    let reach = read(&dir.join(NAME), options.disc.as_ref())?.map(|(_, reach)| reach);
    Ok(reach.map(|reach| if options.machine_crashed { reach.synced } else { reach.written }))
}

fn read(path: &Path, disc: &dyn DiscControl) -> Result<Option<(u64, Reach)>, LogError> {
    let bytes = match disc.files().read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogError::io(path, "read", 0, error)),
    };
    let mut last = None;
    for note in bytes.chunks(SLOT_BYTES).filter_map(|slot| slot.first_chunk::<NOTE_BYTES>()) {
        if !note.starts_with(&MAGIC) || u32_at(note, 12) != Some(header_crc(note)) {
            continue;
        }
        let found = u32_at(note, 8).unwrap_or_default();
        if found > VERSION {
            return Err(LogError::NewerFormat { file: path.to_owned(), found, known: VERSION });
        }
        last = last.max(decode(note));
    }
    Ok(last.map(|(number, written, synced)| (number, Reach { written, synced })))
}

fn encode(number: u64, reach: Reach) -> [u8; NOTE_BYTES] {
    let mut note = [0; NOTE_BYTES];
    put(&mut note, 0, &MAGIC);
    put(&mut note, 8, &VERSION.to_le_bytes());
    put(&mut note, 16, &number.to_le_bytes());
    put(&mut note, 24, &reach.written.segment.to_le_bytes());
    put(&mut note, 32, &reach.written.offset.to_le_bytes());
    put(&mut note, 40, &reach.synced.segment.to_le_bytes());
    put(&mut note, 48, &reach.synced.offset.to_le_bytes());
    let crc = header_crc(&note);
    put(&mut note, 12, &crc.to_le_bytes());
    note
}

fn decode(note: &[u8; NOTE_BYTES]) -> Option<(u64, SyncedMark, SyncedMark)> {
    let mark = |at| Some(SyncedMark { segment: u64_at(note, at)?, offset: u64_at(note, at + 8)? });
    Some((u64_at(note, 16)?, mark(24)?, mark(40)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disc::OsDisc;

    fn reach(written: u64, synced: u64) -> Reach {
        let mark = |offset| SyncedMark { segment: 3, offset };
        Reach { written: mark(written), synced: mark(synced) }
    }

    fn read_back(dir: &Path) -> Option<Reach> {
        read(&dir.join(NAME), &OsDisc).unwrap().map(|(_, reach)| reach)
    }

    #[test]
    fn the_last_note_counts_and_a_damaged_one_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read_back(dir.path()), None);
        let mut mark = EndMark::open(dir.path(), &OsDisc, reach(100, 100));
        mark.note(reach(300, 200));
        assert_eq!(read_back(dir.path()), Some(reach(300, 200)));
        drop(mark);
        EndMark::open(dir.path(), &OsDisc, reach(400, 400));
        assert_eq!(read_back(dir.path()), Some(reach(400, 400)), "notes are numbered on");

        let path = dir.path().join(NAME);
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, damaged).unwrap();
            let found = read_back(dir.path());
            assert!([Some(reach(400, 400)), Some(reach(300, 200))].contains(&found), "bit {bit}: {found:?}");
        }
        std::fs::write(&path, vec![0; whole.len()]).unwrap();
        assert_eq!(read_back(dir.path()), None);
    }

    #[test]
    fn a_note_of_a_newer_format_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut note = encode(1, reach(1, 1));
        put(&mut note, 8, &7_u32.to_le_bytes());
        let crc = header_crc(&note);
        put(&mut note, 12, &crc.to_le_bytes());
        std::fs::write(dir.path().join(NAME), note).unwrap();
        let refused = least(dir.path(), &LogOptions::default());
        assert!(matches!(refused, Err(LogError::NewerFormat { found: 7, .. })), "{refused:?}");
    }
}
