//! Reading a disc-only table into memory after its mode has changed, while it is read and written as before.

use std::sync::{Arc, PoisonError};

use tabularaft_schema::{TableDef, TableKind};

use crate::error::StoreError;
use crate::memory::{HashedBuilder, MemoryTable, OrderedBuilder};
use crate::reaper::Garbage;
use crate::schema_change::RefillRequest;
use crate::shared::Shared;
use crate::state::State;
use crate::table_range::ALL_KEYS;
use crate::table_view::Records;
use crate::threads::{Turn, Worker};

/// How many records are read between two looks at whether the store is being closed.
const RECORDS_PER_LOOK: usize = 1024;

/// Begins to read the table's records as they are now.
pub(crate) fn start(shared: &Arc<Shared>, state: &State, request: RefillRequest) -> Result<(), StoreError> {
    let Some(table) = state.tables.get(&request.table) else { return Ok(()) };
    let (records, def) = (table.records(), Arc::clone(&table.def));
    let refill = Refill { shared: Arc::clone(shared), records, def, request };
    let running = shared.options.threads.start("tabularaft-refill", Box::new(refill));
    let running = running.map_err(StoreError::from_io)?;
    shared.refills.lock().unwrap_or_else(PoisonError::into_inner).push(running);
    Ok(())
}

/// What one thread does, in one turn.
struct Refill {
    shared: Arc<Shared>,
    records: Records,
    def: Arc<TableDef>,
    request: RefillRequest,
}

impl Worker for Refill {
    fn turn(&mut self, _waits: bool) -> Turn {
        let (shared, def) = (self.shared.as_ref(), self.def.as_ref());
        match read(shared, &self.records, def) {
            Ok(Some(memory)) => hand_over(shared, &self.request, memory),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, table = %def.name, "a disc-only table could not be read into memory");
                shared.poison(error);
            }
        }
        Turn::Ended
    }
}

/// `None` if the store is being closed.
fn read(shared: &Shared, records: &Records, def: &TableDef) -> Result<Option<MemoryTable>, StoreError> {
    let (mut hashed, mut ordered) = (HashedBuilder::new(), OrderedBuilder::new());
    for (number, record) in records.range(ALL_KEYS, false, None).enumerate() {
        if number % RECORDS_PER_LOOK == 0 && shared.control.is_stopped() {
            return Ok(None);
        }
        let record = record?;
        match def.kind {
            TableKind::Set => hashed.push(record.key(), record.row()),
            _ => ordered.push(record.key(), record.row()).expect("a disc-only table is read in key order"),
        }
    }
    Ok(Some(match def.kind {
        TableKind::Set => MemoryTable::Hashed(hashed.finish()),
        _ => MemoryTable::Ordered(ordered.finish()),
    }))
}

fn hand_over(shared: &Shared, request: &RefillRequest, memory: MemoryTable) {
    let mut state = shared.lock();
    let was_staged = state.is_staged();
    let Some(table) = state.tables.get_mut(&request.table) else { return };
    let before = table.refilled(request.ticket, memory);
    state.garbage.push(Garbage::Body(Box::new(before)));
    state.unsaved.anything = true;
    state.note_changed(request.table);
    if !was_staged && shared.check().is_ok() {
        state.publish(shared);
    }
}
