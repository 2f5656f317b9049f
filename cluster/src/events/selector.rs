//! Which changes a subscriber wants.

use std::ops::Bound;

use tabularaft_schema::TableId;
use tabularaft_store::{Change, TableEvent};

/// A pure filter on changes.
#[derive(Debug, Clone)]
pub(crate) enum Selector {
    /// All changes of all tables, and of the members.
    Store,
    /// The changes of the members.
    Members,
    /// The changes of one table, of its records only those whose storage keys lie between the bounds.
    Table { id: TableId, low: Bound<Vec<u8>>, high: Bound<Vec<u8>> },
}

impl Selector {
    /// The one table that is wanted.
    pub(super) fn table(&self) -> Option<TableId> {
        match self {
            Selector::Table { id, .. } => Some(*id),
            Selector::Store | Selector::Members => None,
        }
    }

    pub(super) fn wants(&self, change: &Change) -> bool {
        match self {
            Selector::Store => true,
            Selector::Members => matches!(change, Change::Member { .. }),
            Selector::Table { id, low, high } => {
                // Who follows a table has begun with its whole copy, so that it was completed is no news.
                let news = !matches!(change, Change::Table { event: TableEvent::CopyLoaded, .. });
                let within = |key: &[u8]| lies_above(low, key) && lies_below(high, key);
                change.table() == Some(*id) && news && change.storage_key().is_none_or(|key| within(key))
            }
        }
    }

    /// Whether nothing can come after this change: the table is gone from the cluster, or from this node.
    pub(super) fn ends_with(&self, change: &Change) -> bool {
        let Selector::Table { id, .. } = self else { return false };
        let end = |event: &TableEvent| matches!(event, TableEvent::Dropped | TableEvent::CopyGivenUp);
        matches!(change, Change::Table { table, event, .. } if table == id && end(event))
    }
}

fn lies_above(low: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match low {
        Bound::Included(low) => key >= low.as_slice(),
        Bound::Excluded(low) => key > low.as_slice(),
        Bound::Unbounded => true,
    }
}

fn lies_below(high: &Bound<Vec<u8>>, key: &[u8]) -> bool {
    match high {
        Bound::Included(high) => key <= high.as_slice(),
        Bound::Excluded(high) => key < high.as_slice(),
        Bound::Unbounded => true,
    }
}
