//! Where something stands in the Raft log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One entry of the log, named by the term that proposed it and its place in the log.
///
/// Ordered by term first: of two logs the one with the greater last position is the more up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Position {
    /// The term in which the entry was proposed.
    pub term: u64,
    /// The place in the log, counted from 0 without gaps.
    pub index: u64,
}

impl Position {
    /// A position from its two parts.
    #[must_use]
    pub const fn new(term: u64, index: u64) -> Self {
        Self { term, index }
    }

    /// The place in the log alone.
    #[must_use]
    pub const fn log_index(self) -> LogIndex {
        LogIndex(self.index)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}-N{}", self.term, self.index)
    }
}

/// A place in the log: what a write returns and `AtLeast` reads wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogIndex(pub u64);

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u64> for LogIndex {
    fn from(index: u64) -> Self {
        Self(index)
    }
}

impl From<LogIndex> for u64 {
    fn from(index: LogIndex) -> Self {
        index.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_term_outranks_a_longer_log() {
        assert!(Position::new(2, 1) > Position::new(1, 100));
        assert!(Position::new(2, 2) > Position::new(2, 1));
    }

    #[test]
    fn positions_and_indexes_print_briefly() {
        assert_eq!(Position::new(3, 17).to_string(), "T3-N17");
        assert_eq!(LogIndex(17).to_string(), "17");
    }
}
