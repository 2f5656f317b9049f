//! Records with a time to live: the leader logs the time now and then, and deletes what is older.
//!
//! A record's age is told by its version, see the store's version clock. Only the leader's clock counts, and it must
//! neither delete early nor forget to delete because a clock jumps or another node leads:
//!
//! * Within a life, time passes by the monotonic clock, which nobody sets. It goes on from the last time that the log
//!   has told this node, whoever logged it, so that a new leader continues where the last one was.
//! * The wall clock is read when a life begins, and counts until a leader's time is heard in this life. It counts if it
//!   is ahead of the last logged time, since nobody else knows how long the cluster was down: a node whose wall clock is
//!   wrong, and which leads before it has heard another leader's time, is wrong by as much. It is the only way.
//! * A time that was logged never goes back, so a clock that is behind makes records live longer and never shorter.
//! * What was written before the first logged time counts as written then: an option that is set on a full table does
//!   not empty it at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use tabularaft_schema::TableId;
use tabularaft_store::{StoreError, View};

use super::Engine;
use crate::door;
use crate::write::{Op, Request};

const LOOK_EVERY_MS: u64 = 50;
const WRITE_MS: u64 = 5_000;
/// The time is logged, and records looked through, this many times within the shortest time to live.
const STEPS_PER_TTL: u64 = 8;
const STEP_MS_MIN: u64 = 100;
const STEP_MS_MAX: u64 = 60_000;
/// How many records one request deletes.
const DELETE_MAX: usize = 500;

/// The cluster's time as this node knows it.
struct Time {
    /// The last logged time that this node has seen, and when it did.
    logged_ms: Option<u64>,
    base_ms: u64,
    since: Instant,
}

impl Time {
    fn begin(view: &View) -> Self {
        let logged_ms = view.last_clock_mark().map(|mark| mark.unix_ms);
        Self { logged_ms, base_ms: door::unix_ms().max(logged_ms.unwrap_or(0)), since: door::now() }
    }

    /// Goes on from what was logged in this life. What is found to have been logged before says only that it is later.
    fn follow(&mut self, view: &View, is_of_this_life: bool) {
        let logged_ms = view.last_clock_mark().map(|mark| mark.unix_ms);
        match logged_ms {
            _ if logged_ms == self.logged_ms => {}
            Some(ms) if is_of_this_life && self.logged_ms.is_some() => {
                *self = Self { logged_ms, base_ms: ms, since: door::now() };
            }
            _ => *self = Self::begin(view),
        }
    }

    fn now_ms(&self) -> u64 {
        self.base_ms.saturating_add(door::now().saturating_duration_since(self.since).as_millis() as u64)
    }
}

/// Tables with a time to live in milliseconds.
fn tables(view: &View) -> Vec<(TableId, u64)> {
    let with_ttl = view.schema().tables().filter_map(|table| Some((table.id, table.def.options.ttl_ms?)));
    with_ttl.collect()
}

fn step_ms(ttl_ms: u64) -> u64 {
    (ttl_ms / STEPS_PER_TTL).clamp(STEP_MS_MIN, STEP_MS_MAX)
}

pub(super) async fn run(engine: Weak<Engine>) {
    let Some(began_at) = engine.upgrade().map(|engine| engine.last_position()) else { return };
    let mut time: Option<Time> = None;
    // Up to which version no record of a table is left: none can come up again, since versions grow with every write.
    let mut looked: BTreeMap<TableId, u64> = BTreeMap::new();
    loop {
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
        let Some(engine) = engine.upgrade() else { return };
        let view = engine.store.view();
        let time = time.get_or_insert_with(|| Time::begin(&view));
        time.follow(&view, view.applied() > began_at);
        let tables = tables(&view);
        if tables.is_empty() || !engine.is_leading() {
            looked.clear();
            continue;
        }
        let now_ms = time.now_ms();
        let done = async {
            log_time(&engine, &view, &tables, now_ms).await?;
            for (table, ttl_ms) in tables {
                delete_expired(&engine, &view, table, now_ms.saturating_sub(ttl_ms), &mut looked).await?;
            }
            Ok::<(), String>(())
        };
        if let Err(why) = done.await {
            tracing::debug!(why, "records whose time has passed are not deleted yet");
        }
    }
}

/// Logs the time if it is due, and there is anything that it would cover.
async fn log_time(
    engine: &Engine,
    view: &View,
    tables: &[(TableId, u64)],
    now_ms: u64,
) -> Result<(), String> {
    let ttls = || tables.iter().map(|(_, ttl_ms)| *ttl_ms);
    let step_ms = step_ms(ttls().min().unwrap_or(u64::MAX));
    let due = view.last_clock_mark().is_none_or(|mark| {
        now_ms >= mark.unix_ms.saturating_add(step_ms) && view.last_version() > mark.version
    });
    if !due {
        return Ok(());
    }
    let forget_ms = now_ms.saturating_sub(ttls().max().unwrap_or(0));
    write(engine, Op::Clock { unix_ms: now_ms, forget_ms }).await
}

/// Deletes what was certainly written at or before a time, and not written again since.
async fn delete_expired(
    engine: &Engine,
    view: &Arc<View>,
    table: TableId,
    written_by_ms: u64,
    looked: &mut BTreeMap<TableId, u64>,
) -> Result<(), String> {
    let Some(version) = view.written_by(written_by_ms) else { return Ok(()) };
    if looked.get(&table).is_some_and(|gone| version <= *gone)
        || view.table(table).is_none_or(|copy| copy.is_loading())
    {
        return Ok(());
    }
    let held = Arc::clone(view);
    let expired = door::blocking(move || expired(&held, table, version)).await;
    let expired =
        expired.map_err(|error| error.to_string())?.map_err(|error: StoreError| error.to_string())?;
    for records in expired.records.chunks(DELETE_MAX) {
        write(engine, Op::Reap { table, records: records.to_vec() }).await?;
    }
    looked.insert(table, expired.gone_upto);
    Ok(())
}

/// What a look at a table has found.
struct Expired {
    /// Storage keys and versions of records to delete.
    records: Vec<(Bytes, u64)>,
    /// Up to this version none is left when they are deleted.
    gone_upto: u64,
}

fn expired(view: &View, table: TableId, version: u64) -> Result<Expired, StoreError> {
    // What is written after this view has a greater version than its last.
    let mut expired = Expired { records: Vec::new(), gone_upto: view.last_version() };
    let Some(copy) = view.table(table) else { return Ok(expired) };
    for stored in copy.rows() {
        let stored = stored?;
        if stored.version() <= version {
            expired.records.push((Bytes::copy_from_slice(stored.key()), stored.version()));
        } else {
            expired.gone_upto = expired.gone_upto.min(stored.version().saturating_sub(1));
        }
    }
    Ok(expired)
}

async fn write(engine: &Engine, op: Op) -> Result<(), String> {
    let written = engine.write(Request::one(op), door::now() + door::ms(WRITE_MS)).await;
    written.map(drop).map_err(|error| error.to_string())
}
