//! The published history: a ring of entries, bounded in bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tabularaft_schema::TableId;

use super::change::HistoryEntry;
use super::recorder::Staged;
use crate::LogIndex;

/// What lately published entries have changed. Any number of readers, each with a place of its own, which costs the
/// history nothing.
pub struct History {
    bytes_max: usize,
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    /// Entries with changes, oldest first.
    entries: VecDeque<(Arc<HistoryEntry>, usize)>,
    /// Of `entries` together. Invariant: `bytes <= bytes_max`.
    bytes: usize,
    /// Every change of the entries from `begin` on and before `end` is in `entries`. Invariant: `begin <= end`.
    begin: u64,
    end: u64,
    /// Of these tables only the changes from this log index on. Invariant: greater than `begin`.
    table_begins: BTreeMap<TableId, u64>,
}

/// Some entries of the history.
#[derive(Debug, Clone)]
pub struct HistoryPage {
    /// The entries, in the order of the log. They may have changes of other tables, too.
    pub entries: Vec<Arc<HistoryEntry>>,
    /// The place behind them, and behind entries without changes: what to read after next. `None` if the log has
    /// nothing yet.
    pub upto: Option<LogIndex>,
}

/// Why the history does not have what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// It no longer reaches back so far.
    #[error("the changes up to log index {oldest} are not kept any more")]
    Compacted {
        /// The lowest log index after which all changes are still there.
        oldest: LogIndex,
    },
    /// Nothing is recorded.
    #[error("this node keeps no history of changes: history_bytes is 0")]
    Off,
}

impl History {
    /// An empty history that begins with the entry at `next`.
    pub(crate) fn new(bytes_max: usize, next: u64) -> Self {
        let ring = Ring { begin: next, end: next, ..Ring::default() };
        Self { bytes_max, ring: Mutex::new(ring) }
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// What it takes in memory, as an estimate.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The lowest log index after which all changes of a table, or of all tables, are there. `None`: from the log's
    /// first entry on.
    #[must_use]
    pub fn oldest(&self, table: Option<TableId>) -> Option<LogIndex> {
        self.lock().begin_of(table).checked_sub(1).map(LogIndex)
    }

    /// At most `entries_max` entries after a log index (`None`: from the log's first one), as far as they are
    /// published. Of `table` if one is named: then it is certain that none of its changes is missing.
    ///
    /// # Errors
    /// [`HistoryError`] if they are not all there any more.
    pub fn read(
        &self,
        after: Option<LogIndex>,
        table: Option<TableId>,
        entries_max: usize,
    ) -> Result<HistoryPage, HistoryError> {
        if !self.is_on() {
            return Err(HistoryError::Off);
        }
        let next = after.map_or(0, |after| after.0.saturating_add(1));
        let ring = self.lock();
        let begin = ring.begin_of(table);
        if next < begin {
            return Err(HistoryError::Compacted { oldest: LogIndex(begin.saturating_sub(1)) });
        }
        let first = ring.entries.partition_point(|(entry, _)| entry.index.0 < next);
        let entries = ring.entries.range(first..).map(|(entry, _)| Arc::clone(entry));
        let entries: Vec<_> = entries.take(entries_max).collect();
        let upto = match entries.last() {
            Some(last) if entries.len() == entries_max => Some(last.index),
            _ => next.max(ring.end).checked_sub(1).map(LogIndex),
        };
        Ok(HistoryPage { entries, upto })
    }

    /// Appends what a view that was just published has over the one before; it includes the entries before `end`.
    pub(crate) fn append(&self, staged: Staged, end: u64) {
        if !self.is_on() {
            return;
        }
        // What goes is dropped after the lock: freeing it takes longer than taking it out.
        let mut dropped = Vec::new();
        let mut ring = self.lock();
        for (entry, bytes) in staged.entries {
            ring.bytes += bytes;
            ring.entries.push_back((Arc::new(entry), bytes));
        }
        ring.end = ring.end.max(end);
        while ring.bytes > self.bytes_max
            && let Some((entry, bytes)) = ring.entries.pop_front()
        {
            ring.bytes -= bytes;
            ring.begin = entry.index.0 + 1;
            dropped.push(entry);
        }
        if !staged.begins.is_empty() || !dropped.is_empty() {
            ring.table_begins.extend(staged.begins);
            let begin = ring.begin;
            ring.table_begins.retain(|_, table_begin| *table_begin > begin);
        }
        drop(ring);
    }

    /// Begins anew with the entry at `next`: what was before is another state's history.
    pub(crate) fn reset(&self, next: u64) {
        *self.lock() = Ring { begin: next, end: next, ..Ring::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn begin_of(&self, table: Option<TableId>) -> u64 {
        let of_table = table.and_then(|table| self.table_begins.get(&table));
        of_table.map_or(self.begin, |begin| (*begin).max(self.begin))
    }
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ring = self.lock();
        f.debug_struct("History")
            .field("entries", &ring.entries.len())
            .field("bytes", &ring.bytes)
            .field("begin", &ring.begin)
            .field("end", &ring.end)
            .finish_non_exhaustive()
    }
}
