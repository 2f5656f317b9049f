//! Records by administrative request: put, get, delete, and scans over one held view.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::{Key, TableDef};
use tabularaft_store::{StoredRecord, TableView, View};

use super::protocol::{AdminReply, BATCH_RECORDS_MAX, Cursor, PAGE_BYTES_MAX, PAGE_RECORDS_MAX, Page, ReadMode, ScanRequest, TableRef};
use super::server::{engine, no_table, same_table, written};
use super::{AdminError, RecordFilter};
use crate::door;
use crate::engine::Engine;
use crate::inner::NodeInner;
use crate::write::{Op, Request};

type Answer = Result<AdminReply, AdminError>;

pub(super) async fn put_many(node: &Arc<NodeInner>, table: &TableRef, records: Vec<Bytes>) -> Answer {
    if records.len() > BATCH_RECORDS_MAX {
        return Err(AdminError::invalid(format!("{} records in one request, at most {BATCH_RECORDS_MAX} are taken", records.len())));
    }
    let engine = engine(node)?;
    let found = same_table(&engine, table)?;
    let ops = records.into_iter().map(|record| put(&found.def, table, record)).collect::<Result<Vec<_>, _>>()?;
    let request = Request { guards: Vec::new(), ops };
    let committed = node.write(request, door::now() + node.config.write_timeout()).await?;
    Ok(written(&committed))
}

fn put(def: &TableDef, table: &TableRef, record: Bytes) -> Result<Op, AdminError> {
    def.check_record(&record).map_err(|error| AdminError::invalid(format!("table {}: {error}", table.name)))?;
    let key = def.key_of_record(&record).map_err(|error| AdminError::invalid(error.to_string()))?;
    Ok(Op::Put { table: table.id, key: key.into_bytes().into(), value: record })
}

pub(super) async fn delete(node: &Arc<NodeInner>, table: &TableRef, key: Bytes) -> Answer {
    let engine = engine(node)?;
    same_table(&engine, table)?;
    let request = Request::one(Op::Delete { table: table.id, key });
    Ok(written(&node.write(request, door::now() + node.config.write_timeout()).await?))
}

pub(super) async fn get(node: &Arc<NodeInner>, table: &TableRef, key: &Bytes, read: ReadMode) -> Answer {
    let engine = engine(node)?;
    wait(node, &engine, read).await?;
    let view = engine.store.view();
    let copy = copy(&view, table)?;
    let records = copy.get_all(key).map_err(|error| AdminError::not_ready(error.to_string()))?;
    Ok(AdminReply::Records(records.iter().map(|record| Bytes::copy_from_slice(copy.record_bytes(record))).collect()))
}

/// For a linearizable read: waits until this node has applied everything that was acknowledged before.
async fn wait(node: &NodeInner, engine: &Engine, read: ReadMode) -> Result<(), AdminError> {
    if read == ReadMode::Local {
        return Ok(());
    }
    let Some(read_index) = engine.read_index() else {
        return Err(AdminError::not_ready("this node takes no part in its cluster; a local read is still possible"));
    };
    read_index.wait(door::now() + node.config.write_timeout()).await?;
    Ok(())
}

fn copy<'a>(view: &'a View, table: &TableRef) -> Result<&'a Arc<TableView>, AdminError> {
    match view.table(table.id) {
        Some(copy) if copy.is_ready() => Ok(copy),
        Some(_) => Err(AdminError::not_ready(format!("the copy of table {} is still being loaded", table.name))),
        None if view.schema().table_by_id(table.id).is_some() => Err(AdminError::refused(format!(
            "this node holds no copy of table {}; ask another node, or make one with `store-admin copy-table`",
            table.name
        ))),
        None => Err(no_table(&table.name)),
    }
}

/// Where a page ended: the held view, and the last storage key.
#[derive(Serialize, Deserialize)]
struct Place {
    view: u64,
    key: Vec<u8>,
}

pub(super) async fn scan(node: &Arc<NodeInner>, scan: ScanRequest) -> Answer {
    let engine = engine(node)?;
    let (view, token, after) = match &scan.after {
        Some(cursor) => resume(node, cursor)?,
        None => {
            wait(node, &engine, scan.read).await?;
            (engine.store.view(), None, None)
        }
    };
    let inner = Arc::clone(node);
    let page = tokio::task::spawn_blocking(move || page(&inner, &view, token, after, &scan)).await;
    page.map_err(|error| AdminError::internal(error.to_string()))?.map(AdminReply::Page)
}

type Resumed = (Arc<View>, Option<u64>, Option<Vec<u8>>);

fn resume(node: &NodeInner, cursor: &Cursor) -> Result<Resumed, AdminError> {
    let place: Place = postcard::from_bytes(&cursor.0).map_err(|_| AdminError::invalid("the cursor is none of this node's"))?;
    let gone = || AdminError::not_found("the view of this scan is not held any more; start the scan again");
    let view = node.admin.scans.get(place.view).ok_or_else(gone)?;
    Ok((view, Some(place.view), Some(place.key)))
}

fn page(
    node: &NodeInner,
    view: &Arc<View>,
    token: Option<u64>,
    after: Option<Vec<u8>>,
    scan: &ScanRequest,
) -> Result<Page, AdminError> {
    let copy = copy(view, &scan.table)?;
    let filter = RecordFilter::new(copy.def(), &scan.filters)?;
    let limit = scan.limit.clamp(1, PAGE_RECORDS_MAX) as usize;
    let (mut records, mut bytes, mut last) = (Vec::new(), 0, None);
    for record in ordered(copy, scan, after.as_deref()) {
        let record = record.map_err(|error| AdminError::internal(error.to_string()))?;
        if records.len() >= limit || bytes >= PAGE_BYTES_MAX {
            return Ok(Page { records, next: next(node, view, token, last)?, log_index: view.applied_index().0 });
        }
        last = Some(record.key().to_vec());
        let found = copy.record_bytes(&record);
        if filter.passes(copy.def(), found) {
            bytes += found.len();
            records.push(Bytes::copy_from_slice(found));
        }
    }
    if let Some(token) = token {
        node.admin.scans.close(token);
    }
    Ok(Page { records, next: None, log_index: view.applied_index().0 })
}

fn next(node: &NodeInner, view: &Arc<View>, token: Option<u64>, last: Option<Vec<u8>>) -> Result<Option<Cursor>, AdminError> {
    let Some(key) = last else { return Ok(None) };
    let busy = || AdminError::not_ready("too many scans are open on this node; try again later");
    let view = token.or_else(|| node.admin.scans.hold(Arc::clone(view))).ok_or_else(busy)?;
    let bytes = postcard::to_stdvec(&Place { view, key }).map_err(|error| AdminError::internal(error.to_string()))?;
    Ok(Some(Cursor(bytes.into())))
}

type Found<'a> = Result<StoredRecord<'a>, tabularaft_store::StoreError>;

/// The records of the scan in the order of their storage keys; of a set in memory they are sorted for it.
fn ordered<'a>(copy: &'a TableView, scan: &ScanRequest, after: Option<&[u8]>) -> Box<dyn Iterator<Item = Found<'a>> + 'a> {
    let (low, high) = bounds(scan, after);
    let range = (low.as_ref().map(Vec::as_slice), high.as_ref().map(Vec::as_slice));
    if copy.is_ordered() {
        return Box::new(copy.range(range, scan.reverse, None));
    }
    let mut found: Vec<Found<'a>> = copy.range(range, false, None).collect();
    found.sort_by(|a, b| match (a, b) {
        (Ok(a), Ok(b)) => a.key().cmp(b.key()),
        _ => std::cmp::Ordering::Equal,
    });
    if scan.reverse {
        found.reverse();
    }
    Box::new(found.into_iter())
}

/// The tightest bounds of the range, the prefix and the place where the last page ended.
fn bounds(scan: &ScanRequest, after: Option<&[u8]>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let prefix_end = scan.prefix.as_ref().and_then(|prefix| Key::successor_of_prefix(prefix)).map(Key::into_bytes);
    let lows = [scan.from.as_ref().map(|key| key.to_vec()), scan.prefix.as_ref().map(|key| key.to_vec())];
    let highs = [scan.to.as_ref().map(|key| key.to_vec()), prefix_end];
    let mut low = lows.into_iter().flatten().max().map_or(Bound::Unbounded, Bound::Included);
    let mut high = highs.into_iter().flatten().min().map_or(Bound::Unbounded, Bound::Excluded);
    match after {
        Some(after) if scan.reverse => high = Bound::Excluded(after.to_vec()),
        Some(after) => low = Bound::Excluded(after.to_vec()),
        None => {}
    }
    (low, high)
}
