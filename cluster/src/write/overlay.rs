//! What entries in flight will have done: the sequencer decides against this over the newest view.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;
use tabularaft_schema::TableId;

use super::claims::Claims;
use super::limits::{Count, Counts, Growth};

type Place = (TableId, Bytes);

/// A record as an entry in flight leaves it; `None`: deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) row: Option<PendingRow>,
    entry: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PendingRow {
    pub(crate) version: u64,
    pub(crate) value: Bytes,
}

/// Changes decided but not yet applied, in the order of their entries.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    rows: BTreeMap<Place, Pending>,
    /// Invariant: holds exactly the places of `rows`, once per entry that changed them.
    entries: VecDeque<(u64, Vec<Place>)>,
    /// What these changes claim of unique indexes.
    pub(super) claims: Claims,
    /// What tables with a limit hold, entries in flight included.
    counts: Counts,
}

impl Overlay {
    pub(crate) fn get(&self, table: TableId, key: &Bytes) -> Option<&Pending> {
        if self.rows.is_empty() {
            return None;
        }
        self.rows.get(&(table, key.clone()))
    }

    /// The changed records of `table` whose keys start with `prefix`, in key order.
    pub(crate) fn prefix<'a>(
        &'a self,
        table: TableId,
        prefix: &'a Bytes,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Pending)> {
        self.rows
            .range((Bound::Included((table, prefix.clone())), Bound::Unbounded))
            .take_while(move |((t, key), _)| *t == table && key.starts_with(prefix))
            .map(|((_, key), pending)| (key, pending))
    }

    pub(crate) fn set(&mut self, entry: u64, table: TableId, key: Bytes, row: Option<PendingRow>) {
        match self.entries.back_mut() {
            Some((last, places)) if *last == entry => places.push((table, key.clone())),
            _ => self.entries.push_back((entry, vec![(table, key.clone())])),
        }
        self.rows.insert((table, key), Pending { row, entry });
    }

    /// What a table with a limit holds, given what the view says, if nothing is known of entries in flight.
    pub(crate) fn count(&self, table: TableId, in_view: Count) -> Count {
        self.counts.of(table, in_view)
    }

    pub(crate) fn grow(&mut self, table: TableId, in_view: Count, growth: Growth) {
        self.counts.grow(table, in_view, growth);
    }

    /// Nothing is in flight, so that the view's own counts hold again.
    pub(crate) fn forget_counts(&mut self) {
        self.counts = Counts::default();
    }

    /// Forgets what entries up to `entry` did: the view holds it now.
    pub(crate) fn retire(&mut self, entry: u64) {
        self.claims.retire(entry);
        while self.entries.front().is_some_and(|(first, _)| *first <= entry) {
            let Some((retired, places)) = self.entries.pop_front() else { return };
            for place in places {
                if self.rows.get(&place).is_some_and(|pending| pending.entry == retired) {
                    self.rows.remove(&place);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(version: u64) -> Option<PendingRow> {
        Some(PendingRow { version, value: Bytes::new() })
    }

    #[test]
    fn a_later_entry_keeps_its_change_when_an_earlier_one_retires() {
        let mut overlay = Overlay::default();
        let key = Bytes::from_static(b"k");
        overlay.set(1, TableId(1), key.clone(), row(1));
        overlay.set(2, TableId(1), key.clone(), row(2));
        overlay.retire(1);
        assert_eq!(overlay.get(TableId(1), &key).and_then(|p| p.row.as_ref()).map(|r| r.version), Some(2));
        overlay.retire(2);
        assert!(overlay.get(TableId(1), &key).is_none());
    }

    #[test]
    fn a_prefix_stays_within_its_table() {
        let mut overlay = Overlay::default();
        overlay.set(1, TableId(1), Bytes::from_static(b"ab"), row(1));
        overlay.set(1, TableId(1), Bytes::from_static(b"b"), row(2));
        overlay.set(1, TableId(2), Bytes::from_static(b"ac"), row(3));
        let found: Vec<_> =
            overlay.prefix(TableId(1), &Bytes::from_static(b"a")).map(|(key, _)| key.clone()).collect();
        assert_eq!(found, vec![Bytes::from_static(b"ab")]);
    }
}
