//! Answers watches: a page of changes, waited for if there are none yet.

use std::ops::Bound;
use std::sync::Arc;

use tabularaft_schema::{Key, RecordError, TableDef, TableKind};
use tabularaft_store::{Change, LogIndex, View};

use super::AdminError;
use super::answers::{engine, no_table};
use super::protocol::{AdminReply, PAGE_BYTES_MAX, PAGE_RECORDS_MAX, TableRef};
use super::watched::{
    WATCH_WAIT_MAX_MS, WatchPage, WatchPlace, WatchRecords, WatchRequest, WatchScope, WatchedChange,
    WatchedKind, WatchedMember,
};
use crate::door;
use crate::engine::Engine;
use crate::events::{ChangeKind, Feed, Given, MemberEvent, Selector, SubscribeError, check_followed};
use crate::inner::NodeInner;

pub(super) async fn watch(node: &Arc<NodeInner>, request: WatchRequest) -> Result<AdminReply, AdminError> {
    let engine = engine(node)?;
    let view = engine.store.view();
    let Some(place) = request.after else {
        check_there(&view, &request.scope)?;
        let next = WatchPlace { index: view.applied_index().0, given: 0 };
        return Ok(AdminReply::Watched(page(&view, next)));
    };
    let feed = Feed::begin(&engine, selector(&view, &request.scope), Some(LogIndex(place.index)));
    let mut feed = feed.map_err(|error| refusal(error, place))?;
    // The request's own life is short, the node's may end meanwhile: nothing of it is held while this waits.
    let page = page(&view, place);
    drop((view, engine));
    let deadline = door::now() + door::ms(u64::from(request.wait_ms.min(WATCH_WAIT_MAX_MS)));
    match door::until(deadline, fill(&mut feed, place, page.clone())).await {
        Some(filled) => filled.map(AdminReply::Watched),
        None => {
            // What has happened outside of what is watched brings the place forward all the same.
            let index = feed.position().map_or(place.index, |position| position.0).max(place.index);
            let next = if place.given == 0 { WatchPlace { index, given: 0 } } else { place };
            check_still_there(node, &request.scope)?;
            Ok(AdminReply::Watched(WatchPage { next, ..page }))
        }
    }
}

fn page(view: &View, next: WatchPlace) -> WatchPage {
    let cluster_id = view.system().cluster.as_ref().map_or(0, |cluster| cluster.id);
    WatchPage { changes: Vec::new(), next, ended: false, cluster_id }
}

/// Waits for a first change and adds those that are there already, up to the size of a page.
async fn fill(feed: &mut Feed, place: WatchPlace, mut page: WatchPage) -> Result<WatchPage, AdminError> {
    let refused = |error| refusal(error, place);
    for _ in 0..place.given {
        if feed.next().await.map_err(refused)?.is_none() {
            page.ended = true;
            return Ok(page);
        }
    }
    let mut bytes = 0;
    while page.changes.is_empty()
        || (bytes < PAGE_BYTES_MAX && page.changes.len() < PAGE_RECORDS_MAX as usize)
    {
        let given = match page.changes.is_empty() {
            true => feed.next().await,
            false => feed.try_next(),
        };
        let Some(given) = given.map_err(refused)? else { break };
        let change = watched(&given)?;
        bytes += change.old.as_ref().map_or(0, String::len) + change.new.as_ref().map_or(0, String::len);
        page.next = match given.more {
            true => WatchPlace { given: page.next.given + 1, ..page.next },
            false => WatchPlace { index: given.index.0, given: 0 },
        };
        page.changes.push(change);
    }
    page.ended = feed.has_ended();
    Ok(page)
}

fn selector(view: &View, scope: &WatchScope) -> Selector {
    match scope {
        WatchScope::Members => Selector::Members,
        WatchScope::Table { table, records } => {
            let is_bag = view.schema().table_by_id(table.id).is_some_and(|table| is_bag(&table.def));
            let (low, high) = match records {
                WatchRecords::All => (Bound::Unbounded, Bound::Unbounded),
                WatchRecords::Key(key) if !is_bag => {
                    (Bound::Included(key.to_vec()), Bound::Included(key.to_vec()))
                }
                WatchRecords::Key(start) | WatchRecords::Prefix(start) => {
                    let end = Key::successor_of_prefix(start).map(Key::into_bytes);
                    (Bound::Included(start.to_vec()), end.map_or(Bound::Unbounded, Bound::Excluded))
                }
            };
            Selector::Table { id: table.id, low, high }
        }
    }
}

fn is_bag(def: &TableDef) -> bool {
    def.kind == TableKind::Bag
}

/// Whether the table can be watched here.
fn check_there(view: &View, scope: &WatchScope) -> Result<(), AdminError> {
    let WatchScope::Table { table, .. } = scope else { return Ok(()) };
    check_followed(view, table.id).map_err(|error| AdminError::refused(error.to_string()))?;
    match view.table(table.id) {
        Some(copy) if copy.is_ready() => Ok(()),
        Some(_) => {
            Err(AdminError::not_ready(format!("the copy of table {} is still being loaded", table.name)))
        }
        None => Err(no_copy(view, table)),
    }
}

fn no_copy(view: &View, table: &TableRef) -> AdminError {
    match view.schema().table_by_id(table.id) {
        Some(_) => AdminError::refused(format!(
            "this node holds no copy of table {}; watch another node",
            table.name
        )),
        None => no_table(&table.name),
    }
}

/// A table that was dropped before the place has no end in the changes after it.
fn check_still_there(node: &NodeInner, scope: &WatchScope) -> Result<(), AdminError> {
    let engine: Arc<Engine> = engine(node)?;
    check_there(&engine.store.view(), scope)
}

fn refusal(error: SubscribeError, place: WatchPlace) -> AdminError {
    match error {
        SubscribeError::Compacted { oldest, .. } => AdminError::refused(format!(
            "the changes after log index {} are not kept any more, the oldest that are come after {oldest}: \
             dump the table, and watch from then on",
            place.index
        )),
        SubscribeError::Read(error) => error.into(),
        other => AdminError::refused(other.to_string()),
    }
}

fn watched(given: &Given) -> Result<WatchedChange, AdminError> {
    let change = &given.change;
    let unreadable =
        |error: &dyn std::fmt::Display| AdminError::internal(format!("a changed record: {error}"));
    let def = change.def();
    let record = |record: Option<(&[u8], u64)>| -> Result<Option<String>, RecordError> {
        let (Some(def), Some((bytes, _))) = (def, record) else { return Ok(None) };
        def.shape.to_json(bytes).map(|json| Some(json.to_string()))
    };
    let key = match (def, change.key()) {
        (Some(def), Some(key)) => {
            Some(def.key_to_json(&key).map_err(|error| unreadable(&error))?.to_string())
        }
        _ => None,
    };
    let (kind, member) = kind(change);
    Ok(WatchedChange {
        index: given.index.0,
        more: given.more,
        kind,
        table: def.map(|def| def.name.clone()),
        key,
        old: record(change.old_record()).map_err(|error| unreadable(&error))?,
        new: record(change.new_record()).map_err(|error| unreadable(&error))?,
        version: change.new_record().map_or(0, |(_, version)| version),
        member,
    })
}

fn kind(change: &Change) -> (WatchedKind, Option<WatchedMember>) {
    let member = |name, node, life, address| Some(WatchedMember { name, node, life, address });
    match ChangeKind::of(change) {
        ChangeKind::Put => (WatchedKind::Put, None),
        ChangeKind::Delete => (WatchedKind::Delete, None),
        ChangeKind::Clear => (WatchedKind::Clear, None),
        ChangeKind::Created => (WatchedKind::Created, None),
        ChangeKind::Altered => (WatchedKind::Altered, None),
        ChangeKind::Dropped => (WatchedKind::Dropped, None),
        ChangeKind::CopyLoaded => (WatchedKind::CopyLoaded, None),
        ChangeKind::CopyGivenUp => (WatchedKind::CopyGivenUp, None),
        ChangeKind::Member(MemberEvent::Founded) => (WatchedKind::Founded, None),
        ChangeKind::Member(MemberEvent::Admitted { name, node, address }) => {
            (WatchedKind::Admitted, member(name, node, None, Some(address)))
        }
        ChangeKind::Member(MemberEvent::Started { name, node, life, address }) => {
            (WatchedKind::Started, member(name, node, Some(life), Some(address)))
        }
        ChangeKind::Member(MemberEvent::Removed { name, node }) => {
            (WatchedKind::Removed, member(name, node, None, None))
        }
    }
}
