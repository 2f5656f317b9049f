//! Rewrites records of former record versions, while this node leads.
//!
//! Nothing is remembered of how far this is: the records themselves say it, so that any later leader goes on where the
//! last one ended. Each record is rewritten only if it is still as it was found, and keeps its version, so that no
//! write and no transaction notices.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tabularaft_schema::{SchemaChange, TableId, TableKind};
use tabularaft_store::{StoreError, StoredRecord, TableView, View, bag_storage_key};

use super::Engine;
use crate::door;
use crate::error::WriteError;
use crate::write::{Op, Request, Rewritten};

const LOOK_EVERY_MS: u64 = 200;
/// Between two batches, so that callers' writes are not delayed for long.
const PAUSE_MS: u64 = 2;
const WRITE_MS: u64 = 5_000;
const BATCH_RECORDS: usize = 500;
const BATCH_BYTES: usize = 128 * 1024;
/// How many records are looked at in one go.
const LOOKED_AT_MAX: usize = 50_000;

/// How far the rewriting of tables is, for those who wait for its end on the leader.
#[derive(Default)]
pub(crate) struct Rewriting {
    done: Mutex<BTreeMap<TableId, u64>>,
}

impl Rewriting {
    /// How many records of the table have been rewritten by this node.
    pub(crate) fn done(&self, table: TableId) -> Option<u64> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).get(&table).copied()
    }

    fn add(&self, table: TableId, records: u64) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner).entry(table).or_default() += records;
    }

    fn forget(&self, table: TableId) {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).remove(&table);
    }
}

/// Some records to be rewritten, and where to look on.
struct Batch {
    records: Vec<Rewritten>,
    /// `None` behind the last record.
    next: Option<Vec<u8>>,
}

pub(super) async fn run(engine: Weak<Engine>) {
    loop {
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
        let Some(engine) = engine.upgrade() else { return };
        if !engine.is_leading() {
            continue;
        }
        let view = engine.store.view();
        let transformed = view.schema().tables().filter(|table| !table.former.is_empty());
        let ids: Vec<TableId> = transformed.map(|table| table.id).collect();
        drop(view);
        for id in ids {
            if let Err(why) = rewrite(&engine, id).await {
                tracing::warn!(table = id.0, why, "records of former versions are not rewritten yet");
            }
        }
    }
}

/// One pass over the records of a view. Once nothing is found, the former shapes are forgotten.
async fn rewrite(engine: &Arc<Engine>, id: TableId) -> Result<(), String> {
    let view = engine.store.view();
    let Some(copy) = view.table(id).filter(|copy| copy.is_ready()) else { return Ok(()) };
    let (name, record_version) = (copy.def().name.clone(), copy.def().shape.version);
    let (mut cursor, mut found) = (None, false);
    loop {
        let (held, after) = (Arc::clone(&view), cursor.take());
        let batch = door::blocking(move || batch(&held, id, after.as_deref()));
        let Batch { records, next } =
            batch.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        if !records.is_empty() {
            found = true;
            let count = records.len() as u64;
            write(engine, Request::one(Op::Rewrite { table: id, record_version, records })).await?;
            engine.rewriting.add(id, count);
            door::sleep(door::ms(PAUSE_MS)).await;
        }
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    if found {
        return Ok(());
    }
    engine.rewriting.forget(id);
    let forget = Op::Schema(SchemaChange::ForgetFormerShapes { table: name });
    write(engine, Request::one(forget).with_record_version(id, record_version)).await
}

async fn write(engine: &Engine, request: Request) -> Result<(), String> {
    let written = engine.write(request, door::now() + door::ms(WRITE_MS)).await;
    written.map(drop).map_err(|error: WriteError| error.to_string())
}

fn batch(view: &View, id: TableId, after: Option<&[u8]>) -> Result<Batch, StoreError> {
    let Some(copy) = view.table(id) else { return Ok(Batch { records: Vec::new(), next: None }) };
    let (mut records, mut bytes) = (Vec::new(), 0);
    for (looked_at, stored) in (1..).zip(copy.rows_after(after)) {
        let stored = stored?;
        if stored.record_version() != copy.def().shape.version {
            let record = rewritten(copy, &stored)?;
            bytes += record.bytes();
            records.push(record);
        }
        if records.len() >= BATCH_RECORDS || bytes >= BATCH_BYTES || looked_at >= LOOKED_AT_MAX {
            return Ok(Batch { records, next: Some(stored.key().to_vec()) });
        }
    }
    Ok(Batch { records, next: None })
}

fn rewritten(copy: &TableView, stored: &StoredRecord<'_>) -> Result<Rewritten, StoreError> {
    let record = copy.record_bytes(stored)?;
    let (to, value) = match copy.def().kind {
        TableKind::Bag => (bag_storage_key(copy.record_key(stored), &record), Bytes::new()),
        _ => (Bytes::copy_from_slice(stored.key()), Bytes::copy_from_slice(&record)),
    };
    Ok(Rewritten { key: Bytes::copy_from_slice(stored.key()), version: stored.version(), to, value })
}
