//! Records by administrative request: put, get, delete, and scans over one held view.

use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::{Key, TableDef};
use tabularaft_store::{
    IndexBounds, IndexEntry, IndexView, KeyBounds, StoreError, StoredRecord, TableView, View,
};

use super::answers::{engine, no_table, same_table, written};
use super::protocol::{
    AdminReply, BATCH_RECORDS_MAX, Cursor, PAGE_BYTES_MAX, PAGE_RECORDS_MAX, Page, ReadMode, ScanRequest,
    TableRef,
};
use super::{AdminError, RecordFilter, indexes};
use crate::door;
use crate::engine::Engine;
use crate::inner::NodeInner;
use crate::write::{Op, Request};

/// Records that one page looks at, whatever its filter lets pass: a page does not outlast its caller's patience.
const LOOKED_AT_MAX: usize = 200_000;

type Answer = Result<AdminReply, AdminError>;

pub(super) async fn put_many(node: &Arc<NodeInner>, table: &TableRef, records: Vec<Bytes>) -> Answer {
    if records.len() > BATCH_RECORDS_MAX {
        return Err(AdminError::invalid(format!(
            "{} records in one request, at most {BATCH_RECORDS_MAX} are taken",
            records.len()
        )));
    }
    let engine = engine(node)?;
    let found = same_table(&engine, table)?;
    let ops =
        records.into_iter().map(|record| put(&found.def, table, record)).collect::<Result<Vec<_>, _>>()?;
    let request = Request { guards: Vec::new(), ops, silent: false, releases: None };
    let request = request.with_record_version(found.id, found.def.shape.version);
    let committed = node.write(request, door::now() + node.config.write_timeout()).await?;
    Ok(written(&committed))
}

fn put(def: &TableDef, table: &TableRef, record: Bytes) -> Result<Op, AdminError> {
    def.check_record(&record)
        .map_err(|error| AdminError::invalid(format!("table {}: {error}", table.name)))?;
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
    let bytes = |record| copy.record_bytes(record).map(|record| Bytes::copy_from_slice(&record));
    let records = records.iter().map(bytes).collect::<Result<_, _>>();
    records.map(AdminReply::Records).map_err(|error| AdminError::internal(error.to_string()))
}

/// For a linearizable read: waits until this node has applied everything that was acknowledged before.
pub(super) async fn wait(node: &NodeInner, engine: &Engine, read: ReadMode) -> Result<(), AdminError> {
    if read == ReadMode::Local {
        return Ok(());
    }
    let Some(read_index) = engine.read_index() else {
        return Err(AdminError::not_ready(
            "this node takes no part in its cluster; a local read is still possible",
        ));
    };
    read_index.wait(door::now() + node.config.write_timeout()).await?;
    Ok(())
}

pub(super) fn copy<'a>(view: &'a View, table: &TableRef) -> Result<&'a Arc<TableView>, AdminError> {
    match view.table(table.id) {
        Some(copy) if copy.is_ready() => Ok(copy),
        Some(_) => {
            Err(AdminError::not_ready(format!("the copy of table {} is still being loaded", table.name)))
        }
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

/// What is kept of a scan between two pages.
pub(crate) struct HeldScan {
    view: Arc<View>,
    /// The storage keys that a second page of a set in memory, which has no order of its own, found behind the first
    /// one; sorted once for all pages that follow.
    sorted: OnceLock<Vec<Vec<u8>>>,
}

pub(super) async fn scan(node: &Arc<NodeInner>, scan: ScanRequest) -> Answer {
    let engine = engine(node)?;
    let resumed = scan.after.as_ref().map(|cursor| resume(node, cursor)).transpose()?;
    if resumed.is_none() {
        wait(node, &engine, scan.read).await?;
    }
    let inner = Arc::clone(node);
    let page = door::blocking(move || match resumed {
        Some((held, place)) => page(&inner, &held, Some(place), &scan),
        None => page(&inner, &Arc::new(HeldScan::begin(engine.store.view())), None, &scan),
    });
    page.await.map_err(|error| AdminError::internal(error.to_string()))?.map(AdminReply::Page)
}

fn resume(node: &NodeInner, cursor: &Cursor) -> Result<(Arc<HeldScan>, Place), AdminError> {
    let place: Place = postcard::from_bytes(&cursor.0)
        .map_err(|_| AdminError::invalid("the cursor is none of this node's"))?;
    let gone = || AdminError::not_found("the view of this scan is not held any more; start the scan again");
    let held = node.admin.scans.get(place.view).ok_or_else(gone)?;
    Ok((held, place))
}

impl HeldScan {
    fn begin(view: Arc<View>) -> Self {
        Self { view, sorted: OnceLock::new() }
    }

    /// The records between the bounds, in the order of their storage keys or in reverse. `few` says that no more than
    /// so many of them will be looked at, and no further page is certain to follow.
    fn records<'a>(
        &'a self,
        copy: &'a TableView,
        bounds: KeyBounds<'a>,
        reverse: bool,
        few: Option<usize>,
    ) -> Result<Box<dyn Iterator<Item = Found<'a>> + 'a>, AdminError> {
        if copy.is_ordered() {
            return Ok(Box::new(copy.range(bounds, reverse, None)));
        }
        if few.is_some() && self.sorted.get().is_none() {
            return Ok(Box::new(copy.in_key_order(bounds, reverse, few)));
        }
        let keys = self.sorted_keys(copy, bounds)?;
        let first = keys.partition_point(|key| match bounds.0 {
            Bound::Included(low) => key.as_slice() < low,
            Bound::Excluded(low) => key.as_slice() <= low,
            Bound::Unbounded => false,
        });
        let end = keys.partition_point(|key| match bounds.1 {
            Bound::Included(high) => key.as_slice() <= high,
            Bound::Excluded(high) => key.as_slice() < high,
            Bound::Unbounded => true,
        });
        let keys = keys.get(first..end).unwrap_or_default().iter();
        let find = |key: &'a Vec<u8>| copy.get_all(key).map(|mut found| found.pop()).transpose();
        Ok(if reverse { Box::new(keys.rev().filter_map(find)) } else { Box::new(keys.filter_map(find)) })
    }

    fn sorted_keys(&self, copy: &TableView, bounds: KeyBounds<'_>) -> Result<&[Vec<u8>], AdminError> {
        if let Some(sorted) = self.sorted.get() {
            return Ok(sorted);
        }
        let keys = copy.in_key_order(bounds, false, None);
        let keys = keys.map(|stored| stored.map(|stored| stored.key().to_vec())).collect::<Result<_, _>>();
        let keys = keys.map_err(|error: StoreError| AdminError::internal(error.to_string()))?;
        Ok(self.sorted.get_or_init(|| keys))
    }
}

type Found<'a> = Result<StoredRecord<'a>, StoreError>;

fn page(
    node: &NodeInner,
    held: &Arc<HeldScan>,
    place: Option<Place>,
    scan: &ScanRequest,
) -> Result<Page, AdminError> {
    let log_index = held.view.applied_index().0;
    let copy = copy(&held.view, &scan.table)?;
    let filter = RecordFilter::new(copy.def(), &scan.filters)?;
    let limit = scan.limit.clamp(1, PAGE_RECORDS_MAX) as usize;
    let (low, high) = bounds(scan, place.as_ref().map(|place| place.key.as_slice()));
    let (low, high) = (low.as_ref().map(Vec::as_slice), high.as_ref().map(Vec::as_slice));
    let (mut records, mut bytes, mut last) = (Vec::new(), 0, None);
    // Of a set in memory the first page sorts no more than it shows: most scans have no second one.
    let few = (place.is_none() && scan.filters.is_empty()).then_some(limit.saturating_add(1));
    let found = match indexes::narrowest(copy, filter.conditions()) {
        Some((index, value, _)) => indexed(copy, index, &value, (low, high), scan.reverse),
        None => held.records(copy, (low, high), scan.reverse, few)?,
    };
    for (looked_at, stored) in found.enumerate() {
        let stored = stored.map_err(|error| AdminError::internal(error.to_string()))?;
        if records.len() >= limit || bytes >= PAGE_BYTES_MAX || looked_at >= LOOKED_AT_MAX {
            let token = place.map(|place| place.view);
            return Ok(Page { records, next: next(node, held, token, last)?, log_index });
        }
        last = Some(stored.key().to_vec());
        let record = copy.record_bytes(&stored).map_err(|error| AdminError::internal(error.to_string()))?;
        if filter.passes(copy.def(), &record) {
            bytes += record.len();
            records.push(Bytes::copy_from_slice(&record));
        }
    }
    if let Some(place) = place {
        node.admin.scans.close(place.view);
    }
    Ok(Page { records, next: None, log_index })
}

/// The records with one value of an index, in the order of their storage keys as without it.
fn indexed<'a>(
    copy: &'a TableView,
    index: &'a IndexView,
    value: &[u8],
    bounds: KeyBounds<'_>,
    reverse: bool,
) -> Box<dyn Iterator<Item = Found<'a>> + 'a> {
    let within = |bound: Bound<&[u8]>, otherwise| match bound {
        Bound::Included(key) => Bound::Included([value, key].concat()),
        Bound::Excluded(key) => Bound::Excluded([value, key].concat()),
        Bound::Unbounded => otherwise,
    };
    let whole = IndexBounds::value(value);
    let bounds = IndexBounds { low: within(bounds.0, whole.low), high: within(bounds.1, whole.high) };
    let find =
        |entry: IndexEntry<'a>| copy.get_all(entry.storage_key()).map(|mut found| found.pop()).transpose();
    Box::new(index.entries(&bounds, reverse).filter_map(find))
}

pub(super) fn explain(node: &NodeInner, scan: &ScanRequest) -> Answer {
    let view = engine(node)?.store.view();
    let copy = copy(&view, &scan.table)?;
    let filter = RecordFilter::new(copy.def(), &scan.filters)?;
    Ok(AdminReply::Plan(indexes::plan(copy, filter.conditions())))
}

fn next(
    node: &NodeInner,
    held: &Arc<HeldScan>,
    token: Option<u64>,
    last: Option<Vec<u8>>,
) -> Result<Option<Cursor>, AdminError> {
    let Some(key) = last else { return Ok(None) };
    let busy = || AdminError::not_ready("too many scans are open on this node; try again later");
    let view = token.or_else(|| node.admin.scans.hold(Arc::clone(held))).ok_or_else(busy)?;
    let bytes =
        postcard::to_stdvec(&Place { view, key }).map_err(|error| AdminError::internal(error.to_string()))?;
    Ok(Some(Cursor(bytes.into())))
}

/// The tightest bounds of the range, the prefix and the place where the last page ended.
fn bounds(scan: &ScanRequest, after: Option<&[u8]>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let prefix_end =
        scan.prefix.as_ref().and_then(|prefix| Key::successor_of_prefix(prefix)).map(Key::into_bytes);
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
