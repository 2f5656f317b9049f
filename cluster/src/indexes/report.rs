//! How far nodes are with building an index.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tabularaft_schema::{NodeName, TableId};
use tabularaft_store::IndexState;

use crate::door;
use crate::engine::Engine;
use crate::wire::{Answer, Call};

const ANSWER_MS: u64 = 1_000;

/// One index of a node. Wire format: add, never change or reuse a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexReport {
    pub(crate) name: String,
    pub(crate) state: ReportedState,
}

/// Whether the node can read through it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ReportedState {
    Ready,
    Building { records: u64, records_total: u64 },
    Unavailable { why: String },
}

/// The indexes of this node's copy of a table; none while it is being loaded, or not held.
pub(crate) fn reports(engine: &Engine, table: TableId) -> Vec<IndexReport> {
    let view = engine.store.view();
    let Some(copy) = view.table(table).filter(|copy| copy.is_ready()) else { return Vec::new() };
    let report = |index: &tabularaft_store::IndexView| IndexReport {
        name: index.def().name.clone(),
        state: match index.state() {
            IndexState::Ready => ReportedState::Ready,
            IndexState::Unavailable { why } => ReportedState::Unavailable { why: why.to_string() },
            IndexState::Building { records, records_total } => {
                ReportedState::Building { records, records_total }
            }
            _ => ReportedState::Building { records: 0, records_total: 0 },
        },
    };
    copy.indexes().iter().map(report).collect()
}

/// What the members that are alive and hold the table say of one of its indexes. A node that does not answer, or is
/// still loading the table, is not waited for: it builds the index before it reads through it.
pub(super) async fn of_members(
    engine: &Arc<Engine>,
    table: TableId,
    index: &str,
) -> Vec<(NodeName, ReportedState)> {
    let view = engine.store.view();
    let Some(known) = view.schema().table_by_id(table) else { return Vec::new() };
    let holders = view.system().members.iter().filter(|(_, member)| known.mode_on(&member.name).is_some());
    let holders: Vec<_> =
        holders.map(|(id, member)| (*id, member.name.clone(), member.address.clone())).collect();
    drop(view);
    let asked = holders.into_iter().map(|(id, name, address)| async move {
        let reports = match id == engine.node() {
            true => reports(engine, table),
            false => ask(engine, &address, table).await,
        };
        let report = reports.into_iter().find(|report| report.name == index)?;
        Some((name, report.state))
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

async fn ask(engine: &Engine, address: &str, table: TableId) -> Vec<IndexReport> {
    let deadline = door::now() + door::ms(ANSWER_MS);
    match engine.peers.call_until(address, &Call::Indexes { table }, deadline).await {
        Ok(Answer::Indexes(reports)) => reports,
        _ => Vec::new(),
    }
}
