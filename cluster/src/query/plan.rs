//! How a query finds its records.

use std::fmt;

use serde::Serialize;
use tabularaft_store::IndexBounds;

/// The chosen way, as [`Query::explain`](super::Query::explain) shows it: as text for people, and as fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The table.
    pub table: String,
    /// How records are found.
    pub access: Access,
    /// How many records are looked at; if it is not exact there are at least so many.
    pub rows: u64,
    /// Whether `rows` is exact.
    pub rows_exact: bool,
    /// The part of the filter that each found record is asked, if there is one.
    pub rest: Option<String>,
    /// The field by which the records have to be sorted afterwards; none if they come in the wanted order.
    pub sort: Option<String>,
    /// At most so many records are given.
    pub limit: Option<usize>,
}

/// The ways to records, the quickest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Access {
    /// By their keys.
    Key {
        /// What is said of the key.
        condition: String,
    },
    /// By ranges of keys.
    KeyRange {
        /// What is said of the key.
        condition: String,
    },
    /// Through a secondary index.
    Index {
        /// Its name.
        index: String,
        /// What is said of its values; none if only its order is used.
        condition: Option<String>,
    },
    /// By looking at all.
    Scan,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}: {}", self.table, self.access)?;
        let more = if self.rows_exact { "" } else { " or more" };
        write!(f, ", {}{more} records looked at", self.rows)?;
        if let Some(rest) = &self.rest {
            write!(f, "; of these where {rest}")?;
        }
        if let Some(sort) = &self.sort {
            write!(f, "; sorted by {sort}")?;
        }
        if let Some(limit) = self.limit {
            write!(f, "; at most {limit}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { condition } => write!(f, "by key, {condition}"),
            Self::KeyRange { condition } => write!(f, "range of keys, {condition}"),
            Self::Index { index, condition: Some(condition) } => write!(f, "index {index}, {condition}"),
            Self::Index { index, condition: None } => write!(f, "index {index}, for its order"),
            Self::Scan => f.write_str("scan of all records"),
        }
    }
}

/// The way itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Path {
    /// Whole keys, encoded, in ascending order.
    Keys(Vec<Vec<u8>>),
    /// Ranges of storage keys, in ascending order.
    KeyRanges(Vec<IndexBounds>),
    /// Ranges of entries of an index, in ascending order. `repeats`: a record may have several entries in them.
    Index {
        index: String,
        ranges: Vec<IndexBounds>,
        repeats: bool,
    },
    Scan,
}

/// A way, and what is left to do after it.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) path: Path,
    pub(super) access: Access,
    pub(super) rows: u64,
    pub(super) rows_exact: bool,
    /// The conjuncts of the filter that the way has dealt with, by their places.
    pub(super) covered: Vec<usize>,
}
