//! Setting a node's data aside, bringing it back, or letting it go.
//!
//! A retirement moves several things, and a crash may come between any two moves. So the file `retirement` says, before
//! the first move, what is about to happen, and disappears after the last:
//!
//! | it says | a crash then means, at the next open |
//! |---|---|
//! | retiring | nothing new exists yet: what was moved is moved back |
//! | retired | complete, but undecided: [`DataDir::pending_retirement`] reports it |
//! | restoring | what replaced the data is given up: the restoration is finished |

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{DataDir, DataDirError, IDENTITY, LOG, TABLES, remove};
use crate::disc::DiscUse;
use crate::files::FileSystem;
use crate::small_file::{SmallFile, SmallFileError};

/// What is retired together. Persistent: add, never change or reuse.
const ITEMS: [&str; 3] = [IDENTITY, LOG, TABLES];
const NOTE: &str = "retirement";
const RETIRED_PREFIX: &str = "retired-";
const DISCARDED_PREFIX: &str = "discarded-";
const NOTE_FILE: SmallFile = SmallFile { kind: "retirement", version: 1, disc_use: DiscUse::DataDir };

/// The data of an earlier life, set aside in a folder of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// Counts the retirements of this data directory.
    pub number: u64,
    /// Where it is.
    pub path: PathBuf,
    /// Why it was retired; empty if that is not known any more.
    pub reason: String,
}

/// The content of the file `retirement`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    number: u64,
    reason: String,
    step: Step,
    /// Which of [`ITEMS`] there were.
    items: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    Retiring,
    Retired,
    Restoring,
}

impl DataDir {
    /// Moves log, checkpoint and identity aside, so that the node can begin a new life. They must not be open. If it fails,
    /// everything is moved back, now or when the directory is next opened.
    ///
    /// Until [`keep`](Self::keep_retired), [`restore`](Self::restore) or [`discard`](Self::discard) decides about it,
    /// the retirement is pending, and [`pending_retirement`](Self::pending_retirement) reports it even after a crash.
    ///
    /// # Errors
    /// [`DataDirError::RetirementPending`] if an earlier one is undecided.
    ///
    /// # Durability
    /// Durable when it returns.
    pub fn retire(&self, reason: &str) -> Result<Retired, DataDirError> {
        if let Some(note) = self.read_note()? {
            return Err(DataDirError::RetirementPending { path: self.retired_path(note.number) });
        }
        let number = self.retired()?.last().map_or(1, |last| last.number + 1);
        let items = present_items(&self.path, self.files());
        let mut note = Note { number, reason: reason.to_owned(), step: Step::Retiring, items };
        if let Err(error) = self.move_aside(&mut note) {
            note.step = Step::Retiring;
            // If this fails too, the next open tries again: the note is still there.
            let _ = self.write_note(&note).and_then(|()| self.take_back(&note));
            return Err(error);
        }
        Ok(self.describe(&note))
    }

    /// Brings retired data back in place of what is there now, which is deleted: it belongs to the life that did not come
    /// about. Nothing of it must be open.
    ///
    /// # Errors
    /// [`DataDirError::NotRetired`], or [`DataDirError::RetirementPending`] if another retirement is undecided.
    ///
    /// # Durability
    /// Durable when it returns; once begun it is finished by the next open at the latest.
    pub fn restore(&self, retired: &Retired) -> Result<(), DataDirError> {
        // A restoration that failed half-way may be called again: its note knows what had been retired.
        let items = match self.note_about(retired)? {
            Some(note) => note.items,
            None => present_items(&retired.path, self.files()),
        };
        let note =
            Note { number: retired.number, reason: retired.reason.clone(), step: Step::Restoring, items };
        self.write_note(&note)?;
        self.finish_restoring(&note)
    }

    /// Decides that the node goes on with its new life, and leaves the retired data where it is.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn keep_retired(&self, retired: &Retired) -> Result<(), DataDirError> {
        self.check_undecided(retired)?;
        self.remove_note()
    }

    /// Decides that the node goes on with its new life, and deletes the retired data.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn discard(&self, retired: &Retired) -> Result<(), DataDirError> {
        self.check_undecided(retired)?;
        // Renamed first, so that data that is half deleted can never be restored.
        let discarded = self.path.join(format!("{DISCARDED_PREFIX}{}", retired.number));
        self.step(&retired.path, "rename", || self.files().rename(&retired.path, &discarded))?;
        self.sync(&self.path)?;
        self.remove_note()?;
        self.step(&discarded, "remove", || remove(&discarded, self.files()))?;
        self.sync(&self.path)
    }

    /// The retirement that is complete but undecided, if there is one: the process ended in the middle of a join.
    ///
    /// # Errors
    /// [`DataDirError::Damaged`], [`DataDirError::NewerFormat`] if the note about it cannot be read.
    pub fn pending_retirement(&self) -> Result<Option<Retired>, DataDirError> {
        Ok(self.read_note()?.filter(|note| note.step == Step::Retired).map(|note| self.describe(&note)))
    }

    /// All retired data there is, oldest first, pending or kept.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn retired(&self) -> Result<Vec<Retired>, DataDirError> {
        let pending = self.pending_retirement()?;
        let mut retired: Vec<Retired> = self
            .numbered(RETIRED_PREFIX)?
            .into_iter()
            .map(|(number, path)| match &pending {
                Some(pending) if pending.number == number => pending.clone(),
                _ => Retired { number, path, reason: String::new() },
            })
            .collect();
        retired.sort_unstable_by_key(|retired| retired.number);
        Ok(retired)
    }

    /// Brings whatever a crash interrupted to an end, so that a note that is left says "retired".
    pub(super) fn resolve_interrupted_retirement(&self) -> Result<(), DataDirError> {
        for (_, discarded) in self.numbered(DISCARDED_PREFIX)? {
            self.step(&discarded, "remove", || remove(&discarded, self.files()))?;
        }
        let Some(note) = self.read_note()? else { return Ok(()) };
        match note.step {
            Step::Retiring => {
                tracing::info!(
                    reason = note.reason,
                    "taking back an interrupted retirement of the data directory"
                );
                self.take_back(&note)
            }
            Step::Restoring => {
                tracing::info!(
                    reason = note.reason,
                    "finishing an interrupted restoration of the data directory"
                );
                self.finish_restoring(&note)
            }
            Step::Retired if self.files().exists(&self.retired_path(note.number)) => Ok(()),
            // Discarded, but the note was still there when the crash came.
            Step::Retired => self.remove_note(),
        }
    }

    fn move_aside(&self, note: &mut Note) -> Result<(), DataDirError> {
        let folder = self.retired_path(note.number);
        // The note comes first: a folder without a note would look like data that was kept.
        self.write_note(note)?;
        self.step(&folder, "create", || self.files().create_dir_all(&folder))?;
        self.sync(&self.path)?;
        for item in &note.items {
            self.move_item(&self.path.join(item), &folder.join(item))?;
        }
        note.step = Step::Retired;
        self.write_note(note)
    }

    fn take_back(&self, note: &Note) -> Result<(), DataDirError> {
        let folder = self.retired_path(note.number);
        for item in &note.items {
            let (aside, place) = (folder.join(item), self.path.join(item));
            if self.files().exists(&aside) && self.files().exists(&place) {
                let reason = format!("it says that {item} was being retired, but a new one exists already");
                return Err(DataDirError::Damaged { path: self.note_path(), offset: 0, reason });
            }
            if self.files().exists(&aside) {
                self.move_item(&aside, &place)?;
            }
        }
        self.remove_folder(&folder)?;
        self.remove_note()
    }

    /// Each step looks at what is there, so it may begin again wherever a crash interrupted it.
    fn finish_restoring(&self, note: &Note) -> Result<(), DataDirError> {
        let folder = self.retired_path(note.number);
        for item in ITEMS {
            let (aside, place) = (folder.join(item), self.path.join(item));
            // An item that was retired and is not aside any more has come back already: it must not be deleted.
            let came_back = note.items.iter().any(|retired| retired == item) && !self.files().exists(&aside);
            if came_back {
                continue;
            }
            self.step(&place, "remove", || remove(&place, self.files()))?;
            self.sync(&self.path)?;
            if self.files().exists(&aside) {
                self.move_item(&aside, &place)?;
            }
        }
        self.remove_folder(&folder)?;
        self.remove_note()
    }

    /// Renames, and makes both names durable; the new one first, so that there is always one.
    fn move_item(&self, from: &Path, to: &Path) -> Result<(), DataDirError> {
        self.step(from, "move", || self.files().rename(from, to))?;
        for dir in [to.parent(), from.parent()].into_iter().flatten() {
            self.sync(dir)?;
        }
        Ok(())
    }

    /// Removes an emptied folder. What somebody else put into it stays.
    fn remove_folder(&self, folder: &Path) -> Result<(), DataDirError> {
        self.step(folder, "remove", || match self.files().remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                tracing::warn!(folder = %folder.display(), "retired folder holds unknown files and is left where it is");
                Ok(())
            }
            other => other,
        })?;
        self.sync(&self.path)
    }

    /// The note about this retirement; `None` if it was kept. Refuses if there is a note about another one.
    fn note_about(&self, retired: &Retired) -> Result<Option<Note>, DataDirError> {
        match self.read_note()? {
            Some(note) if note.number != retired.number => {
                Err(DataDirError::RetirementPending { path: self.retired_path(note.number) })
            }
            _ if !self.files().is_dir(&retired.path) => {
                Err(DataDirError::NotRetired { path: retired.path.clone() })
            }
            note => Ok(note),
        }
    }

    /// Refuses a retirement that is being taken back or restored: some of its data is back in place already.
    fn check_undecided(&self, retired: &Retired) -> Result<(), DataDirError> {
        match self.note_about(retired)? {
            Some(note) if note.step != Step::Retired => {
                Err(DataDirError::RetirementPending { path: retired.path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Folders with a prefix and a number.
    fn numbered(&self, prefix: &str) -> Result<Vec<(u64, PathBuf)>, DataDirError> {
        let fail = |error| DataDirError::io(&self.path, "list", error);
        let mut found = Vec::new();
        for name in self.files().names(&self.path).map_err(fail)? {
            let number = name
                .to_str()
                .and_then(|name| name.strip_prefix(prefix))
                .and_then(|number| number.parse().ok());
            if let Some(number) = number {
                found.push((number, self.path.join(&name)));
            }
        }
        Ok(found)
    }

    fn describe(&self, note: &Note) -> Retired {
        Retired { number: note.number, path: self.retired_path(note.number), reason: note.reason.clone() }
    }

    fn retired_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("{RETIRED_PREFIX}{number}"))
    }

    fn note_path(&self) -> PathBuf {
        self.path.join(NOTE)
    }

    fn read_note(&self) -> Result<Option<Note>, DataDirError> {
        let path = self.note_path();
        let body = NOTE_FILE.read(&path, self.files()).map_err(|error| match error {
            SmallFileError::Io(error) => DataDirError::io(&path, "read", error),
            SmallFileError::Damaged { offset, reason } => {
                DataDirError::Damaged { path: path.clone(), offset, reason }
            }
            SmallFileError::NewerFormat(found) => {
                DataDirError::NewerFormat { path: path.clone(), found, known: NOTE_FILE.version }
            }
        })?;
        let note = body.map(|body| serde_json::from_str(&body)).transpose();
        note.map_err(|error| DataDirError::Damaged { path, offset: 0, reason: error.to_string() })
    }

    fn write_note(&self, note: &Note) -> Result<(), DataDirError> {
        let path = self.note_path();
        let body = serde_json::to_string_pretty(note).map_err(io::Error::other);
        body.and_then(|body| NOTE_FILE.write(&path, &body, self.disc.as_ref()))
            .map_err(|error| DataDirError::io(&path, "write", error))
    }

    fn remove_note(&self) -> Result<(), DataDirError> {
        let path = self.note_path();
        self.step(&path, "remove", || remove(&path, self.files()))?;
        self.sync(&self.path)
    }
}

fn present_items(dir: &Path, files: &dyn FileSystem) -> Vec<String> {
    ITEMS.iter().filter(|item| files.exists(&dir.join(item))).map(ToString::to_string).collect()
}
