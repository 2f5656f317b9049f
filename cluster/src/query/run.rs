//! Going the chosen way.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use tabularaft_schema::Value;
use tabularaft_store::{StoreError, StoredRecord, TableView};

use super::compiled::Compiled;
use super::filter::{Filter, text};
use super::plan::{Chosen, Path, Plan};
use super::planner::{self, bytes_of};
use crate::error::ReadError;

/// What a query asks of a table, without what only the program can say.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) filter: Filter,
    pub(super) order: Option<String>,
    pub(super) reverse: bool,
    pub(super) limit: Option<usize>,
}

/// A way, and what each record on it is still asked.
pub(super) struct Prepared {
    chosen: Chosen,
    rest: Compiled,
    /// The place of the field by which the records have to be sorted.
    sort: Option<usize>,
    reverse: bool,
}

/// What the visitor says after each record.
type Next = Result<ControlFlow<()>, ReadError>;

impl Wanted {
    pub(super) fn prepare(&self, copy: &TableView) -> Result<Prepared, ReadError> {
        let filter = Compiled::new(copy, &self.filter)?;
        let place = self.order.as_ref().map(|field| order_place(copy, field)).transpose()?;
        let order = self.order.as_deref().map(|field| (field, self.limit));
        let chosen = planner::choose(copy, &filter, order);
        let left = filter.filter.conjuncts().into_iter().enumerate();
        let left =
            left.filter(|(place, _)| !chosen.covered.contains(place)).map(|(_, filter)| filter.clone());
        let rest = Compiled::new(copy, &Filter::All(left.collect()))?;
        let in_order = |field: &String| planner::is_in_order(copy, &chosen.path, field);
        let sort = place.filter(|_| !self.order.as_ref().is_some_and(in_order));
        Ok(Prepared { chosen, rest, sort, reverse: self.reverse })
    }

    pub(super) fn plan(&self, copy: &TableView) -> Result<Plan, ReadError> {
        let Prepared { chosen, rest, sort, .. } = self.prepare(copy)?;
        let has_rest = !matches!(&rest.filter, Filter::All(all) if all.is_empty());
        Ok(Plan {
            table: copy.def().name.to_string(),
            access: chosen.access,
            rows: chosen.rows,
            rows_exact: chosen.rows_exact,
            rest: has_rest.then(|| rest.filter.to_string()),
            sort: sort.and(self.order.clone()),
            limit: self.limit,
        })
    }
}

fn order_place(copy: &TableView, field: &str) -> Result<usize, ReadError> {
    let place = copy.def().shape.position(field);
    place.ok_or_else(|| {
        let (table, field) = (&copy.def().name, text(&Value::from(field)));
        ReadError::Query(format!("table {table} has no field {field} to order by"))
    })
}

impl Prepared {
    /// Gives the records that meet the filter to `visit`, in the wanted order, until it has enough.
    pub(super) fn visit(
        &self,
        copy: &TableView,
        visit: &mut dyn FnMut(&[u8]) -> Next,
    ) -> Result<(), ReadError> {
        let Some(place) = self.sort else {
            return self.walk(
                copy,
                self.reverse,
                &mut |key, record| match self.rest.passes(copy, key, record) {
                    true => visit(record),
                    false => Ok(ControlFlow::Continue(())),
                },
            );
        };
        let mut found: Vec<(Value, Vec<u8>)> = Vec::new();
        self.walk(copy, self.reverse, &mut |key, record| {
            if self.rest.passes(copy, key, record) {
                let value = copy.def().shape.decode_first(record, place + 1)?.pop();
                found.push((value.unwrap_or(Value::Null), record.to_vec()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        found.sort_by(|(a, _), (b, _)| if self.reverse { b.cmp(a) } else { a.cmp(b) });
        for (_, record) in found {
            if visit(&record)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// As [`visit`](Self::visit), in no particular order, and only those that fall to this one of several threads.
    pub(super) fn visit_share(
        &self,
        copy: &TableView,
        share: Share,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut number = 0;
        self.walk(copy, false, &mut |key, record| {
            let is_mine = share.has(number);
            number += 1;
            if is_mine && self.rest.passes(copy, key, record) {
                visit(record)?;
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn walk(
        &self,
        copy: &TableView,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Next,
    ) -> Result<(), ReadError> {
        let mut give = |stored: Result<StoredRecord<'_>, StoreError>| {
            let stored = stored?;
            visit(stored.key(), &copy.record_bytes(&stored)?)
        };
        match &self.chosen.path {
            Path::Scan => until_enough(copy.range(tabularaft_store::ALL_KEYS, reverse, None), &mut give),
            Path::Keys(keys) => {
                let mut all = Vec::new();
                for key in directed(keys, reverse) {
                    let mut under = copy.get_all(key)?;
                    if reverse {
                        under.reverse();
                    }
                    all.extend(under.into_iter().map(Ok));
                }
                until_enough(all.into_iter(), &mut give)
            }
            Path::KeyRanges(ranges) => {
                let ranges = directed(ranges, reverse);
                until_enough(ranges.flat_map(|range| copy.range(bytes_of(range), reverse, None)), &mut give)
            }
            Path::Index { index, ranges, repeats } => {
                let index = copy.index(index)?;
                let mut seen = BTreeSet::new();
                for entry in directed(ranges, reverse).flat_map(|range| index.entries(range, reverse)) {
                    let key = entry.storage_key();
                    if *repeats && !seen.insert(key.to_vec()) {
                        continue;
                    }
                    let next = copy.get_with(key, |row| {
                        let record = copy.record_of(key, row)?;
                        visit(key, &record)
                    });
                    let Some(next) = next?.transpose()? else { continue };
                    if next.is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }
}

fn directed<T>(all: &[T], reverse: bool) -> impl Iterator<Item = &T> {
    let (forward, backward) = if reverse { (None, Some(all.iter().rev())) } else { (Some(all.iter()), None) };
    forward.into_iter().flatten().chain(backward.into_iter().flatten())
}

fn until_enough<'v>(
    stored: impl Iterator<Item = Result<StoredRecord<'v>, StoreError>>,
    give: &mut dyn FnMut(Result<StoredRecord<'v>, StoreError>) -> Next,
) -> Result<(), ReadError> {
    for stored in stored {
        if give(stored)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Which records fall to one of several threads: runs of them in turn, so that all have about as much to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) thread: u64,
    pub(super) threads: u64,
}

const RUN_RECORDS: u64 = 256;

impl Share {
    fn has(self, number: u64) -> bool {
        (number / RUN_RECORDS) % self.threads == self.thread
    }
}
