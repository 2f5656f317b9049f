//! Building indexes from the records of a view, while the table is read and written.

use std::sync::{Arc, PoisonError};

use tabularaft_schema::{IndexValues, TableDef, TableId, Upgrade};

use super::entries::values_of;
use super::table_indexes::Begun;
use crate::changes::Changes;
use crate::error::StoreError;
use crate::memory::{OrderedBuilder, OrderedMap};
use crate::reaper::Garbage;
use crate::row::RowRef;
use crate::shared::Shared;
use crate::state::State;
use crate::table_range::ALL_KEYS;
use crate::table_view::Records;
use crate::threads::{Turn, Worker};

/// A table with at most so many records is indexed at once, under the writer's lock.
const RECORDS_AT_ONCE: u64 = 1_000;
/// How many records are read between two looks at whether the store is being closed.
const RECORDS_PER_LOOK: u64 = 1_024;
/// So few changes are taken over under the writer's lock; more of them are taken over beside it first.
const CHANGES_AT_ONCE: usize = 256;
/// Rounds of taking over changes beside the lock; each is over faster than the one before, unless the writer is as fast.
const ROUNDS_MAX: usize = 64;

/// An index to be built, from records that no longer change.
struct Job {
    table: TableId,
    def: Arc<TableDef>,
    upgrade: Option<Arc<Upgrade>>,
    records: Records,
    begun: Begun,
}

/// Sees to it that all indexes that have to be built are: at once where that takes no time, else by a thread.
pub(crate) fn start_wanted(shared: &Arc<Shared>, state: &mut State) -> Result<(), StoreError> {
    let mut large = false;
    for id in wanting(state) {
        if state.tables.get(&id).is_some_and(|table| table.records().len() > RECORDS_AT_ONCE) {
            large = true;
            continue;
        }
        while let Some(job) = begin(state, id) {
            let entries = read(&job, || false)?.unwrap_or_default();
            finish(state, &job, entries);
        }
    }
    if !large || std::mem::replace(&mut state.indexing, true) {
        return Ok(());
    }
    let builder = Box::new(IndexBuilder { shared: Arc::clone(shared) });
    let running = shared.options.threads.start("tabularaft-index", builder).map_err(StoreError::from_io)?;
    shared.refills.lock().unwrap_or_else(PoisonError::into_inner).push(running);
    Ok(())
}

/// The tables with records and with an index to be built.
fn wanting(state: &State) -> Vec<TableId> {
    let wants =
        state.tables.values().filter(|table| table.loading.is_none() && table.indexes.wants_building());
    wants.map(|table| table.id).collect()
}

fn begin(state: &mut State, id: TableId) -> Option<Job> {
    let ticket = state.next_ticket();
    let table = state.tables.get_mut(&id)?;
    let records = table.records();
    let begun = table.indexes.begin(ticket, records.len())?;
    table.view = None;
    let job = Job { table: id, def: Arc::clone(&table.def), upgrade: table.upgrade.clone(), records, begun };
    state.note_changed(id);
    Some(job)
}

/// Builds one index in each turn, until none is wanted.
struct IndexBuilder {
    shared: Arc<Shared>,
}

impl Worker for IndexBuilder {
    fn turn(&mut self, _waits: bool) -> Turn {
        let shared = self.shared.as_ref();
        let Some(job) = next(shared) else { return Turn::Ended };
        let built = read(&job, || shared.control.is_stopped());
        match built {
            Ok(Some(entries)) => hand_over(shared, &job, entries),
            Ok(None) => return Turn::Ended,
            Err(error) => {
                tracing::error!(%error, table = %job.def.name, index = job.begun.name, "a secondary index could not be built");
                shared.poison(error);
                return Turn::Ended;
            }
        }
        Turn::Worked
    }
}

fn next(shared: &Shared) -> Option<Job> {
    let mut state = shared.lock();
    let was_staged = state.is_staged();
    let id = wanting(&state).first().copied();
    let job = id.filter(|_| !shared.control.is_stopped()).and_then(|id| begin(&mut state, id));
    state.indexing = job.is_some();
    publish(shared, &mut state, was_staged);
    job
}

/// Shows what this thread has changed, unless that would show what a writer has not finished.
fn publish(shared: &Shared, state: &mut State, was_staged: bool) {
    if state.is_staged() && !was_staged && shared.check().is_ok() {
        state.publish(shared);
    }
}

/// The entries of all records; `None` if reading was stopped.
fn read(job: &Job, is_stopped: impl Fn() -> bool) -> Result<Option<OrderedMap>, StoreError> {
    let mut unsorted = Unsorted::default();
    let mut values = IndexValues::default();
    for (number, record) in (0..).zip(job.records.range(ALL_KEYS, false, None)) {
        if number % RECORDS_PER_LOOK == 0 {
            if is_stopped() {
                return Ok(None);
            }
            job.begun.progress.reached(number);
        }
        let record = record?;
        values_of(&job.def, job.upgrade.as_deref(), &job.begun.keys, record.key(), record.row(), &mut values);
        values.iter().for_each(|value| unsorted.push(value, record.key()));
    }
    Ok(Some(unsorted.sorted()))
}

/// Takes over what has changed meanwhile: in rounds beside the lock, until so little is left that the writer need not
/// notice.
fn hand_over(shared: &Shared, job: &Job, mut entries: OrderedMap) {
    for round in 0.. {
        let mut state = shared.lock();
        let Some(table) = state.tables.get_mut(&job.table) else { return };
        let Some(waiting) = table.indexes.changes(job.begun.ticket) else { return };
        if waiting <= CHANGES_AT_ONCE || round == ROUNDS_MAX {
            let was_staged = state.is_staged();
            finish(&mut state, job, entries);
            publish(shared, &mut state, was_staged);
            return;
        }
        let changes = table.indexes.take_changes(job.begun.ticket).unwrap_or_default();
        drop(state);
        take_over(&mut entries, changes);
    }
}

/// The index is ready, with the changes that are left.
fn finish(state: &mut State, job: &Job, mut entries: OrderedMap) {
    let Some(table) = state.tables.get_mut(&job.table) else { return };
    take_over(&mut entries, table.indexes.take_changes(job.begun.ticket).unwrap_or_default());
    let given_up = table.indexes.built(job.begun.ticket, entries);
    table.view = None;
    state.garbage.extend(given_up.map(Garbage::Index));
    state.note_changed(job.table);
}

fn take_over(entries: &mut OrderedMap, changes: Changes) {
    if changes.is_whole() {
        *entries = OrderedMap::new();
    }
    changes.deleted_keys().for_each(|entry| drop(entries.remove(entry)));
    changes.puts().iter().for_each(|(entry, row)| drop(entries.insert(entry, row)));
}

/// Entries in the order of the records, side by side in one allocation.
#[derive(Default)]
struct Unsorted {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

/// Where an entry stands in the bytes.
#[derive(Clone, Copy)]
struct Place {
    /// Eight bytes of the entry behind those that all entries share: most comparisons need no more.
    head: u64,
    start: usize,
    end: usize,
}

impl Unsorted {
    fn push(&mut self, value: &[u8], storage_key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(storage_key);
        self.places.push(Place { head: 0, start, end: self.bytes.len() });
    }

    /// Sorting first builds a map several times faster than inserting in any order, and as small as it can be.
    fn sorted(mut self) -> OrderedMap {
        let bytes = &self.bytes;
        let at = |place: &Place| bytes.get(place.start..place.end).unwrap_or_default();
        let shared = self.places.first().map_or(0, |first| {
            let common = |entry: &[u8], max: usize| {
                at(first).iter().zip(entry).take(max).take_while(|(a, b)| a == b).count()
            };
            self.places.iter().fold(at(first).len(), |shared, place| common(at(place), shared))
        });
        for place in &mut self.places {
            place.head = head(bytes.get(place.start + shared..place.end).unwrap_or_default());
        }
        self.places.sort_unstable_by(|a, b| a.head.cmp(&b.head).then_with(|| at(a).cmp(at(b))));
        let mut builder = OrderedBuilder::new();
        for place in &self.places {
            // A record has each of its values once, and no two records have one storage key.
            let pushed = builder.push(at(place), RowRef::EMPTY);
            debug_assert!(pushed.is_ok(), "entries are distinct");
        }
        builder.finish()
    }
}

/// The first bytes as a number that sorts as they do; what ends early is filled up with zeros.
fn head(bytes: &[u8]) -> u64 {
    let mut head = [0; 8];
    head.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(head)
}
