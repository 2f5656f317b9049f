//! How the ends of the log move: the arithmetic that callers, writer and recovery must agree on.

use crate::position::Position;

/// The two ends of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Outline {
    /// The index the next entry must have; `None`: any (nothing was ever appended, or all of it was truncated).
    pub(super) next: Option<u64>,
    /// Everything up to here is gone for good. Invariant: `purged.index < next`.
    pub(super) purged: Option<Position>,
}

impl Outline {
    pub(super) fn append(&mut self, index: u64) {
        self.next = Some(index.saturating_add(1));
    }

    pub(super) fn truncate_after(&mut self, kept: Option<u64>) {
        self.next = match (kept, self.next) {
            (Some(kept), Some(next)) => Some(next.min(kept.saturating_add(1))),
            (Some(_), None) => None,
            (None, _) => self.purged.map(|purged| purged.index.saturating_add(1)),
        };
    }

    pub(super) fn purge(&mut self, upto: Position) {
        if self.purged.is_none_or(|purged| purged.index < upto.index) {
            self.purged = Some(upto);
            self.next = Some(self.next.unwrap_or(0).max(upto.index.saturating_add(1)));
        }
    }

    pub(super) fn reset(&mut self, purged: Position) {
        *self = Self { next: Some(purged.index.saturating_add(1)), purged: Some(purged) };
    }
}
