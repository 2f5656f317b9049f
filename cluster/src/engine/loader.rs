//! Loads the copies that a restart or a change of the schema left without content: ram tables, and new copies.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use tabularaft_schema::{CopyMode, TableDef, TableId};
use tabularaft_store::{CopyState, LogIndex, TableBuilder};

use super::Engine;
use crate::copy::{CopyError, CopyProgress, OpenedCopy};
use crate::door;
use crate::wire::{Answer, Call, Description};
use crate::write::{Op, Request};

const LOOK_EVERY_MS: u64 = 50;
const ANSWER_MS: u64 = 1_000;

/// A copy that has to be loaded.
#[derive(Clone)]
struct Wanted {
    id: TableId,
    def: Arc<TableDef>,
    mode: CopyMode,
    floor: LogIndex,
}

pub(super) async fn run(engine: Weak<Engine>) {
    // Since when this node, leading, has found no live copy of a table.
    let mut lost_since: BTreeMap<TableId, Instant> = BTreeMap::new();
    loop {
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
        let Some(engine) = engine.upgrade() else { return };
        let wanted = wanted(&engine);
        lost_since.retain(|id, _| wanted.iter().any(|wanted| wanted.id == *id));
        if wanted.is_empty() || !knows_leader(&engine) {
            continue;
        }
        let (described, all_answered) = descriptions(&engine).await;
        for table in wanted {
            load(&engine, &table, &described, all_answered, &mut lost_since).await;
        }
    }
}

/// Before there is a leader nothing is certain: whoever is elected may have the copy.
fn knows_leader(engine: &Engine) -> bool {
    engine.is_leading() || engine.leadership.borrow().leader().is_some()
}

/// Those of the highest load order first.
fn wanted(engine: &Engine) -> Vec<Wanted> {
    let view = engine.store.view();
    let loading = view.tables().filter_map(|copy| match copy.state() {
        // A floor ahead of what is applied: the records are here already, and the log has yet to reach them.
        CopyState::Loading { floor, .. } if floor <= view.applied_index() => {
            Some(Wanted { id: copy.id(), def: Arc::clone(copy.def()), mode: copy.mode(), floor })
        }
        _ => None,
    });
    let mut wanted: Vec<Wanted> = loading.collect();
    wanted.sort_by_key(|table| (Reverse(table.def.options.load_order), table.id));
    wanted
}

/// What the other members say they hold, with their addresses; and whether all of them answered.
async fn descriptions(engine: &Engine) -> (Vec<(String, Description)>, bool) {
    let view = engine.store.view();
    let others: Vec<String> = view
        .system()
        .members
        .iter()
        .filter(|(id, _)| **id != engine.node())
        .map(|(_, member)| member.address.clone())
        .collect();
    drop(view);
    let asked = others.iter().map(|address| async move {
        let deadline = door::now() + door::ms(ANSWER_MS);
        match engine.peers.call_until(address, &Call::Describe, deadline).await {
            Ok(Answer::Describe(description)) => Some((address.clone(), *description)),
            _ => None,
        }
    });
    let answers: Vec<_> = futures::future::join_all(asked).await;
    let all = answers.iter().all(Option::is_some);
    (answers.into_iter().flatten().collect(), all)
}

async fn load(
    engine: &Arc<Engine>,
    table: &Wanted,
    described: &[(String, Description)],
    all_answered: bool,
    lost_since: &mut BTreeMap<TableId, Instant>,
) {
    let ready = |description: &Description| {
        description.tables.iter().any(|held| held.id == table.id && !held.loading)
    };
    let mut sources: Vec<_> = described.iter().filter(|(_, description)| ready(description)).collect();
    let preferred = engine.loading.preferred(table.id);
    sources.sort_by_key(|(_, description)| Some(&description.name) != preferred.as_ref());
    if sources.is_empty() && engine.is_leading() {
        restart_if_lost(engine, table, all_answered, lost_since).await;
        return;
    }
    lost_since.remove(&table.id);
    for (address, _) in sources {
        match copy(engine, table, address).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(table = %table.def.name, %error, "a copy was not loaded, it is tried again")
            }
        }
    }
}

async fn copy(engine: &Arc<Engine>, table: &Wanted, address: &str) -> Result<(), CopyError> {
    let source = OpenedCopy::open(Arc::clone(&engine.peers), address, table.floor).await?;
    let loaded = match source.offers(table.id) {
        Some(offered) => {
            let builder = TableBuilder::new(table.id, Arc::clone(&table.def), table.mode, &engine.store);
            let tell = |progress: CopyProgress| engine.loading.tell(table.id, &progress);
            source.fetch(offered, &table.def.name, builder, &tell).await.map(Some)
        }
        None => Ok(None),
    };
    let at = source.at;
    source.close().await;
    engine.loading.ended(table.id);
    let Some(loaded) = loaded? else { return Ok(()) };
    let store = Arc::clone(&engine.store);
    let installed = door::blocking(move || {
        let mut writer = store.writer();
        writer.install_table(loaded, at)?;
        writer.publish();
        Ok::<(), tabularaft_store::StoreError>(())
    });
    installed
        .await
        .map_err(|error| CopyError::Failed { address: "this node".to_owned(), why: error.to_string() })??;
    tracing::info!(table = %table.def.name, %at, "copy loaded");
    Ok(())
}

/// No member has the table's content. Those that do not answer may, so they get some time to appear; then the leader
/// declares the content lost, and the table starts again, empty, on all nodes at one log index.
async fn restart_if_lost(
    engine: &Arc<Engine>,
    table: &Wanted,
    all_answered: bool,
    lost_since: &mut BTreeMap<TableId, Instant>,
) {
    let since = *lost_since.entry(table.id).or_insert_with(door::now);
    let waited = door::now().saturating_duration_since(since);
    if !all_answered && waited < door::ms(engine.config.ram_grace_ms) {
        return;
    }
    tracing::warn!(table = %table.def.name, "no live copy of this ram table is left, it starts again empty");
    let request = Request::one(Op::Restart { table: table.id });
    if let Err(error) = engine.write(request, door::now() + door::ms(5_000)).await {
        tracing::debug!(%error, "the table was not restarted");
    }
}
