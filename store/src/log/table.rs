//! What the log knows in memory about each of its entries.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::LogEntry;
use super::outline::Outline;
use crate::position::Position;

/// Where the bytes of an entry are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In memory only, until the operation of this number is written.
    Waiting(u64),
    /// In a segment, at the offset of its record.
    Stored { segment: u64, offset: u64 },
}

/// One entry as a reader finds it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) position: Position,
    pub(super) payload: Option<Bytes>,
    pub(super) payload_bytes: u32,
    pub(super) place: Place,
}

#[derive(Debug)]
struct Slot {
    term: u64,
    place: Place,
    payload: Option<Bytes>,
    payload_bytes: u32,
}

/// Term, place and, for the most recent ones, the payload of each entry that is neither purged nor truncated.
#[derive(Debug, Default)]
pub(super) struct EntryTable {
    outline: Outline,
    /// The entries `outline.next - slots.len() .. outline.next`.
    slots: VecDeque<Slot>,
    /// How many slots at the front have given up their payload; all others hold it.
    evicted: usize,
    /// The sum of the payloads in memory.
    cached_bytes: usize,
    /// The sum of all payloads.
    payload_bytes: u64,
}

impl EntryTable {
    /// A table that begins in the middle of a log, for recovery.
    pub(super) fn starting_at(next: Option<u64>) -> Self {
        Self { outline: Outline { next, purged: None }, ..Self::default() }
    }

    pub(super) fn outline(&self) -> Outline {
        self.outline
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The index of the first entry; where the first entry will be if there is none.
    pub(super) fn first_index(&self) -> Option<u64> {
        self.outline.next.map(|next| next - self.slots.len() as u64)
    }

    pub(super) fn first(&self) -> Option<Position> {
        Some(Position { term: self.slots.front()?.term, index: self.first_index()? })
    }

    /// The last entry, or the purge position if nothing follows it.
    pub(super) fn last(&self) -> Option<Position> {
        match (self.slots.back(), self.outline.next) {
            (Some(slot), Some(next)) => Some(Position { term: slot.term, index: next - 1 }),
            _ => self.outline.purged,
        }
    }

    pub(super) fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    pub(super) fn position_at(&self, index: u64) -> Option<Position> {
        if let Some(purged) = self.outline.purged.filter(|purged| purged.index == index) {
            return Some(purged);
        }
        let at = index.checked_sub(self.first_index()?)?;
        let slot = self.slots.get(usize::try_from(at).ok()?)?;
        Some(Position { term: slot.term, index })
    }

    /// Adds an entry; the caller has checked that it follows on.
    pub(super) fn push(&mut self, entry: &LogEntry, place: Place) {
        let payload_bytes = entry.payload.len();
        self.outline.append(entry.position.index);
        self.cached_bytes += payload_bytes;
        self.payload_bytes += payload_bytes as u64;
        self.slots.push_back(Slot {
            term: entry.position.term,
            place,
            payload: Some(entry.payload.clone()),
            payload_bytes: payload_bytes as u32,
        });
    }

    pub(super) fn truncate_after(&mut self, kept: Option<u64>) {
        let first = self.first_index();
        self.outline.truncate_after(kept);
        let left = self.outline.next.zip(first).map_or(0, |(next, first)| next.saturating_sub(first));
        while self.slots.len() as u64 > left {
            if let Some(slot) = self.slots.pop_back() {
                self.forget(&slot);
            }
            self.evicted = self.evicted.min(self.slots.len());
        }
    }

    pub(super) fn purge(&mut self, upto: Position) {
        let first = self.first_index();
        self.outline.purge(upto);
        let gone = self
            .outline
            .purged
            .zip(first)
            .map_or(0, |(purged, first)| purged.index.saturating_add(1).saturating_sub(first));
        for _ in 0..gone.min(self.slots.len() as u64) {
            if let Some(slot) = self.slots.pop_front() {
                self.forget(&slot);
                self.evicted = self.evicted.saturating_sub(1);
            }
        }
        if self.slots.capacity() / 4 > self.slots.len() {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }

    pub(super) fn reset(&mut self, purged: Position) {
        *self = Self::default();
        self.outline.reset(purged);
    }

    /// Notes where an entry was written. Ignored if the entry has gone, or was replaced, since it was handed in.
    pub(super) fn stored(&mut self, operation: u64, index: u64, segment: u64, offset: u64) {
        let at = self.first_index().and_then(|first| usize::try_from(index.checked_sub(first)?).ok());
        if let Some(slot) = at.and_then(|at| self.slots.get_mut(at))
            && slot.place == Place::Waiting(operation)
        {
            slot.place = Place::Stored { segment, offset };
        }
    }

    /// Gives up the oldest payloads beyond the limit; never one that is not on disc yet.
    pub(super) fn evict(&mut self, cache_bytes: usize) {
        while self.cached_bytes > cache_bytes {
            let Some(slot) = self.slots.get_mut(self.evicted) else { return };
            if matches!(slot.place, Place::Waiting(_)) {
                return;
            }
            slot.payload = None;
            self.cached_bytes -= slot.payload_bytes as usize;
            self.evicted += 1;
        }
    }

    /// What of `range` is there, from its first present entry on: at most `bytes_max` of payload, but at least one entry.
    pub(super) fn find(&self, range: Range<u64>, bytes_max: usize) -> Vec<Found> {
        let Some(first) = self.first_index() else { return Vec::new() };
        let skip = usize::try_from(range.start.saturating_sub(first)).unwrap_or(usize::MAX);
        let start = range.start.max(first);
        let mut found = Vec::new();
        let mut bytes = 0usize;
        for (slot, index) in self.slots.iter().skip(skip).zip(start..range.end) {
            bytes = bytes.saturating_add(slot.payload_bytes as usize);
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(Found {
                position: Position { term: slot.term, index },
                payload: slot.payload.clone(),
                payload_bytes: slot.payload_bytes,
                place: slot.place,
            });
        }
        found
    }

    fn forget(&mut self, slot: &Slot) {
        self.payload_bytes -= u64::from(slot.payload_bytes);
        if slot.payload.is_some() {
            self.cached_bytes -= slot.payload_bytes as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, payload: &'static str) -> LogEntry {
        LogEntry { position: Position::new(1, index), payload: payload.into() }
    }

    #[test]
    fn the_late_write_of_a_truncated_entry_does_not_speak_for_the_one_that_replaced_it() {
        let mut table = EntryTable::default();
        table.push(&entry(0, "old"), Place::Waiting(1));
        table.truncate_after(None);
        table.push(&entry(0, "new"), Place::Waiting(3));
        table.stored(1, 0, 1, 100);
        table.evict(0);
        let found = table.find(0..1, usize::MAX);
        assert_eq!(found[0].place, Place::Waiting(3));
        assert_eq!(found[0].payload.as_deref(), Some(&b"new"[..]), "not written yet, so it stays in memory");
        table.stored(3, 0, 1, 200);
        table.evict(0);
        let found = table.find(0..1, usize::MAX);
        assert_eq!(
            (found[0].place, found[0].payload.clone()),
            (Place::Stored { segment: 1, offset: 200 }, None)
        );
    }

    #[test]
    fn the_oldest_payloads_leave_memory_first() {
        let mut table = EntryTable::default();
        for index in 0..10 {
            table.push(&entry(index, "12345678"), Place::Stored { segment: 1, offset: index * 100 });
        }
        table.evict(24);
        let cached: Vec<bool> =
            table.find(0..10, usize::MAX).iter().map(|entry| entry.payload.is_some()).collect();
        assert_eq!(cached, [[false; 7].as_slice(), &[true; 3]].concat());
        table.truncate_after(Some(4));
        table.push(&entry(5, "12345678"), Place::Stored { segment: 1, offset: 2000 });
        table.purge(Position::new(1, 2));
        assert_eq!((table.cached_bytes, table.payload_bytes, table.evicted), (8, 24, 2));
    }
}
