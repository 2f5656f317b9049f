//! Entries of indexes that a request moves, for the guards of transactions that have read through an index.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::{IndexValues, TableId};
use tabularaft_store::{IndexView, TableView};

use super::decide::Decider;
use super::guard::Space;
use super::overlay::PendingRow;
use super::request::Rejection;
use super::staged::Staged;

/// The indexes that transactions read through, and since which version the leader remembers how they change.
///
/// Few indexes are read in transactions, and finding the entries that a write moves costs as much as applying it. So
/// an index is followed from the first guard on: that one counts as broken, and its transaction runs again.
#[derive(Debug, Default)]
pub(crate) struct Followed(BTreeMap<TableId, BTreeMap<Arc<str>, u64>>);

/// An entry that came or went.
pub(super) struct Moved {
    table: TableId,
    space: Space,
    entry: Bytes,
}

impl Followed {
    /// Whether all changes after version `at` are known. If not, they are from `next_version` on.
    pub(super) fn reaches_back(
        &mut self,
        table: TableId,
        index: &Arc<str>,
        at: u64,
        next_version: u64,
    ) -> bool {
        let since = next_version.saturating_sub(1);
        let indexes = self.0.entry(table).or_default();
        *indexes.entry(Arc::clone(index)).or_insert(since) <= at
    }

    fn of(&self, table: TableId) -> Option<&BTreeMap<Arc<str>, u64>> {
        self.0.get(&table)
    }
}

impl Decider<'_> {
    /// The entries of followed indexes that a request moves.
    pub(super) fn moved(&self, staged: &Staged) -> Result<Vec<Moved>, Rejection> {
        let mut moved = Vec::new();
        let (mut old, mut new) = (IndexValues::default(), IndexValues::default());
        for ((table, key), row) in staged.rows() {
            let Some(followed) = self.recent.followed.of(*table) else { continue };
            let Some(copy) = self.view.table(*table) else { continue };
            let before = self.settled(copy, key)?;
            for index in copy.indexes() {
                let Some((name, _)) = followed.get_key_value(index.def().name.as_str()) else { continue };
                gather(copy, index, key, before.as_ref(), &mut old);
                gather(copy, index, key, row.as_ref(), &mut new);
                let gone = old.iter().filter(|value| !new.contains(value));
                let come = new.iter().filter(|value| !old.contains(value));
                moved.extend(gone.chain(come).map(|value| Moved {
                    table: *table,
                    space: Space::Index(Arc::clone(name)),
                    entry: [value, key.as_ref()].concat().into(),
                }));
            }
        }
        Ok(moved)
    }

    /// Remembers them under `version`, the last one that the request uses up.
    pub(super) fn note_moved(&mut self, moved: Vec<Moved>, version: u64) {
        for Moved { table, space, entry } in moved {
            self.recent.note_change(table, space, entry, version);
        }
    }
}

fn gather(
    copy: &TableView,
    index: &IndexView,
    key: &[u8],
    row: Option<&PendingRow>,
    values: &mut IndexValues,
) {
    match row {
        Some(row) => copy.index_values(index, key, &row.value, values),
        None => values.clear(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_followed_from_its_first_guard_on() {
        let mut followed = Followed::default();
        let index: Arc<str> = "i".into();
        assert!(!followed.reaches_back(TableId(1), &index, 5, 10));
        assert!(!followed.reaches_back(TableId(1), &index, 8, 12));
        assert!(followed.reaches_back(TableId(1), &index, 9, 12));
        assert!(followed.of(TableId(2)).is_none());
    }
}
