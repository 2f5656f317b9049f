//! Serves one connection of the bulk lane.

use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::TableId;
use tabularaft_store::{LogIndex, View};

use super::message::{BulkAnswer, BulkCall, OfferedTable};
use crate::door;
use crate::door::simulation::{self, Affliction};
use crate::engine::Engine;
use crate::peers;
use crate::transport::{Reply, Session};
use crate::wire::GROUP;

/// How long a source waits until it has applied what a receiver asks for.
const APPLY_WAIT_MS: u64 = 10_000;
const CHUNK_BYTES_MAX: u32 = 1024 * 1024;

/// Answers copies with the engine of the moment.
pub(crate) struct BulkSession {
    engine: Box<dyn Fn() -> Option<Arc<Engine>> + Send>,
}

impl BulkSession {
    pub(crate) fn open(engine: impl Fn() -> Option<Arc<Engine>> + Send + 'static) -> Self {
        Self { engine: Box::new(engine) }
    }
}

impl Session for BulkSession {
    fn request(&mut self, payload: Bytes, reply: Reply) {
        let engine = (self.engine)();
        tokio::spawn(async move {
            let answer = match (engine, peers::decode(&payload)) {
                (Some(engine), Ok(call)) => answer(engine, call).await,
                (None, Ok(_)) => BulkAnswer::Failed("this node is between two lives".to_owned()),
                (_, Err(error)) => BulkAnswer::Failed(error.to_string()),
            };
            match peers::encode(&answer) {
                Ok(bytes) => reply.send(bytes),
                Err(error) => tracing::error!(%error, "a bulk answer cannot be encoded"),
            }
        });
    }
}

async fn answer(engine: Arc<Engine>, call: BulkCall) -> BulkAnswer {
    match call {
        BulkCall::Open { group, .. } | BulkCall::Snapshot { group, .. } if group != GROUP => {
            BulkAnswer::Failed(format!("this node has no raft group {group}"))
        }
        BulkCall::Open { at_least, .. } => open(&engine, at_least).await,
        BulkCall::Chunk { token, table, cursor, bytes_max } => {
            let view = engine.sources.get(token);
            let is_whole = !simulation::is_afflicted(Affliction::Forgetful, engine.node());
            reading(view, move |view| chunk(&view, table, cursor, bytes_max, is_whole)).await
        }
        BulkCall::Digest { token, table } => {
            let view = engine.sources.get(token);
            reading(view, move |view| digest(&view, table)).await
        }
        BulkCall::Close { token } => {
            engine.sources.close(token);
            BulkAnswer::Closed
        }
        BulkCall::Snapshot { offer, .. } => match engine.raft() {
            Some(raft) => BulkAnswer::Snapshot(Box::new(raft.take_snapshot(&engine, *offer).await)),
            None => BulkAnswer::Failed("raft is not running on this node".to_owned()),
        },
    }
}

async fn open(engine: &Arc<Engine>, at_least: LogIndex) -> BulkAnswer {
    let mut applied = engine.applied.clone();
    let deadline = door::now() + door::ms(APPLY_WAIT_MS);
    if !matches!(door::until(deadline, applied.wait_for(|applied| *applied >= at_least.0)).await, Some(Ok(_)))
    {
        return BulkAnswer::Failed(format!("this node has not applied index {at_least} yet"));
    }
    let view = engine.store.view();
    let Some(token) = engine.sources.hold(Arc::clone(&view)) else {
        return BulkAnswer::Failed(
            "too many copies are made from this node at once; try again later".to_owned(),
        );
    };
    BulkAnswer::Opened {
        token,
        at: view.applied_index(),
        image: view.image(),
        tables: OfferedTable::of(&view),
    }
}

/// Reads on a blocking thread: a chunk of a disc-only table comes from the disc, a digest looks at every record.
async fn reading(
    view: Option<Arc<View>>,
    read: impl FnOnce(Arc<View>) -> BulkAnswer + Send + 'static,
) -> BulkAnswer {
    let Some(view) = view else { return BulkAnswer::UnknownView };
    door::blocking(move || read(view)).await.unwrap_or_else(|error| BulkAnswer::Failed(error.to_string()))
}

/// `is_whole`: false only in a simulation of a source that loses records.
fn chunk(view: &View, table: TableId, cursor: Option<Bytes>, bytes_max: u32, is_whole: bool) -> BulkAnswer {
    let Some(copy) = view.table(table) else {
        return BulkAnswer::Failed(format!("no copy of table {table:?} here"));
    };
    match copy.chunk_after(cursor.as_deref(), bytes_max.min(CHUNK_BYTES_MAX) as usize) {
        Ok(chunk) => {
            let chunk = if is_whole { chunk } else { chunk.without_last_record() };
            BulkAnswer::Chunk { chunk: chunk.bytes, next: chunk.next.map(Bytes::from) }
        }
        Err(error) => BulkAnswer::Failed(error.to_string()),
    }
}

fn digest(view: &View, table: TableId) -> BulkAnswer {
    let Some(copy) = view.table(table) else {
        return BulkAnswer::Failed(format!("no copy of table {table:?} here"));
    };
    copy.digest().map_or_else(|error| BulkAnswer::Failed(error.to_string()), BulkAnswer::Digest)
}
