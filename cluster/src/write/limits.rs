//! What a table may hold: read-only tables take no writes, and tables with a limit are counted exactly.
//!
//! A view may hold some of the entries in flight already, and does not say which. So the sequencer counts by itself: it
//! takes the numbers of a view once, while nothing is in flight for the table, and adds what it decides from then on.

use std::collections::BTreeMap;

use bytes::Bytes;
use tabularaft_schema::TableId;
use tabularaft_store::TableView;

use super::decide::{Decider, name, not_applicable};
use super::request::{Rejection, Rewritten, TableLimit};
use super::staged::Staged;

/// How much a table holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) records: u64,
    /// Keys and records together.
    pub(crate) bytes: u64,
}

/// By how much a table has grown, or shrunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) records: i64,
    pub(crate) bytes: i64,
}

/// What the tables with a limit hold, as far as something has been decided on them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    tables: BTreeMap<TableId, Count>,
}

impl Counts {
    pub(crate) fn of(&self, table: TableId, in_view: Count) -> Count {
        self.tables.get(&table).copied().unwrap_or(in_view)
    }

    pub(crate) fn grow(&mut self, table: TableId, in_view: Count, growth: Growth) {
        let count = self.of(table, in_view);
        self.tables.insert(table, count.grown(growth));
    }
}

impl Count {
    pub(crate) fn in_view(copy: &TableView) -> Self {
        Self { records: copy.len(), bytes: copy.payload_bytes() }
    }

    fn grown(self, growth: Growth) -> Self {
        Self {
            records: self.records.saturating_add_signed(growth.records),
            bytes: self.bytes.saturating_add_signed(growth.bytes),
        }
    }
}

impl Growth {
    fn and(self, other: Self) -> Self {
        Self { records: self.records + other.records, bytes: self.bytes + other.bytes }
    }

    /// From a record of so many bytes to another one; `None`: there is none.
    fn between(key_bytes: usize, before: Option<usize>, after: Option<usize>) -> Self {
        let bytes = |value: Option<usize>| value.map_or(0, |value| (key_bytes + value) as i64);
        Self {
            records: i64::from(after.is_some()) - i64::from(before.is_some()),
            bytes: bytes(after) - bytes(before),
        }
    }
}

fn is_limited(copy: &TableView) -> bool {
    let options = &copy.def().options;
    options.records_max.is_some() || options.bytes_max.is_some()
}

/// Fails for a table that takes no writes of callers. What its leader owes it, such as the deletion of records whose
/// owners are gone, is no such write.
pub(super) fn check_writable(copy: &TableView) -> Result<(), Rejection> {
    match copy.def().options.read_only {
        false => Ok(()),
        true => Err(Rejection::ReadOnly { table: name(copy) }),
    }
}

impl Decider<'_> {
    /// Counts what the record under a storage key is about to become: a value of so many bytes, or (`None`) nothing.
    /// Refused if the table holds too much then. A table that exceeds a limit that was lowered may still shrink.
    pub(super) fn resize(
        &self,
        staged: &mut Staged,
        copy: &TableView,
        key: &Bytes,
        after: Option<usize>,
    ) -> Result<(), Rejection> {
        if !is_limited(copy) {
            return Ok(());
        }
        let before = self.stored_bytes(staged, copy, key)?;
        let step = Growth::between(key.len(), before, after);
        self.check_growth(staged, copy, step)?;
        grow(staged, copy, step);
        Ok(())
    }

    /// As [`resize`](Self::resize), of what happens in any case: the record under `key` of so many bytes becomes
    /// another one, or none.
    pub(super) fn reform(
        staged: &mut Staged,
        copy: &TableView,
        before: &Rewritten,
        before_bytes: usize,
        stays: bool,
    ) {
        if is_limited(copy) {
            grow(staged, copy, Growth::between(before.key.len(), Some(before_bytes), None));
            let after = stays.then_some(before.value.len());
            grow(staged, copy, Growth::between(before.to.len(), None, after));
        }
    }

    /// How many bytes the record takes as it is stored, which may be in the shape of a former version.
    fn stored_bytes(
        &self,
        staged: &Staged,
        copy: &TableView,
        key: &Bytes,
    ) -> Result<Option<usize>, Rejection> {
        if copy.upgrade().is_none()
            || staged.row(copy.id(), key).is_some()
            || self.overlay.get(copy.id(), key).is_some()
        {
            return Ok(self.current(staged, copy, key)?.map(|row| row.value.len()));
        }
        let row = copy.get(key).map_err(|error| not_applicable(copy, &error.to_string()))?;
        Ok(row.map(|row| row.value().len()))
    }

    fn check_growth(&self, staged: &Staged, copy: &TableView, step: Growth) -> Result<(), Rejection> {
        let so_far = staged.growth.get(&copy.id()).copied().unwrap_or_default();
        let now = self.overlay.count(copy.id(), Count::in_view(copy)).grown(so_far);
        let then = now.grown(step);
        let options = &copy.def().options;
        let exceeds = |limit: Option<u64>, now: u64, then: u64, of: TableLimit| match limit {
            Some(limit) if then > limit && then > now => {
                Err(Rejection::TableFull { table: name(copy), of, limit, now })
            }
            _ => Ok(()),
        };
        exceeds(options.records_max, now.records, then.records, TableLimit::Records)?;
        exceeds(options.bytes_max, now.bytes, then.bytes, TableLimit::Bytes)
    }

    /// Takes over what the request that is being decided adds to the tables.
    pub(super) fn take_growth(&mut self, staged: &Staged) {
        for (table, growth) in &staged.growth {
            if let Some(copy) = self.view.table(*table) {
                self.overlay.grow(*table, Count::in_view(copy), *growth);
            }
        }
    }
}

fn grow(staged: &mut Staged, copy: &TableView, step: Growth) {
    let so_far = staged.growth.get(&copy.id()).copied().unwrap_or_default();
    staged.growth.insert(copy.id(), so_far.and(step));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_counts_keys_once_per_record() {
        assert_eq!(Growth::between(3, None, Some(4)), Growth { records: 1, bytes: 7 });
        assert_eq!(Growth::between(3, Some(4), Some(1)), Growth { records: 0, bytes: -3 });
        assert_eq!(Growth::between(3, Some(4), None), Growth { records: -1, bytes: -7 });
        assert_eq!(Growth::between(3, None, None), Growth::default());
    }

    #[test]
    fn the_view_counts_until_something_was_decided() {
        let (mut counts, table) = (Counts::default(), TableId(1));
        let view = Count { records: 5, bytes: 50 };
        assert_eq!(counts.of(table, view), view);
        counts.grow(table, view, Growth { records: 1, bytes: 10 });
        let later_view = Count { records: 6, bytes: 60 };
        assert_eq!(counts.of(table, later_view), Count { records: 6, bytes: 60 }, "counted once");
        counts.grow(table, later_view, Growth { records: -2, bytes: -20 });
        assert_eq!(counts.of(table, later_view), Count { records: 4, bytes: 40 });
    }
}
