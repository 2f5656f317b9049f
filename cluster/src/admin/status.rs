//! What a node tells of the cluster and its tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tabularaft_schema::{NodeId, NodeName, TableName};
use tabularaft_store::{Member, Recovery, SystemState};

use super::AdminError;
use super::answers::{engine, no_table};
use super::document::{
    ClusterStatus, CopyState, CopyStatus, NodeRole, NodeState, NodeStatus, NotReadyStatus, RecoveryStatus,
    TableInfo, TableSummary,
};
use crate::calls;
use crate::door;
use crate::engine::Engine;
use crate::inner::NodeInner;
use crate::readiness;
use crate::wire::{Answer, Call, Description};

/// How long a member may take to describe itself.
const DESCRIBE_MS: u64 = 1_000;

type Descriptions = BTreeMap<NodeId, Option<Description>>;

pub(super) async fn cluster(node: &Arc<NodeInner>) -> Result<ClusterStatus, AdminError> {
    let engine = engine(node)?;
    let (descriptions, presence) = futures::join!(describe_all(&engine), readiness::presence(&engine));
    let view = engine.store.view();
    let system = view.system();
    let status = engine.raft().map(crate::raft::RaftHandle::status);
    let committed = status.as_ref().map_or(0, |status| status.committed).max(view.applied_index().0);
    let leader = status.as_ref().and_then(|status| status.leader).and_then(|id| system.members.get(&id));
    let tables = readiness::not_loaded(&engine, &[]);
    let why = readiness::reason(node, &engine)
        .await
        .or_else(|| (!tables.is_empty()).then(|| "tables are still being loaded".to_owned()));
    let not_ready = why.map(|why| NotReadyStatus {
        why,
        need: presence.need as u32,
        have: presence.have as u32,
        missing: presence.missing,
        tables,
    });
    let voters = crate::raft::voters_of(&view);
    let role = |id: &NodeId| {
        if voters.iter().any(|(voter, _)| voter == id) { NodeRole::Voter } else { NodeRole::Learner }
    };
    let nodes = system.members.iter().map(|(id, member)| {
        node_status(*id, member, role(id), descriptions.get(id).and_then(Option::as_ref), committed)
    });
    let mut nodes: Vec<NodeStatus> = nodes.collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(ClusterStatus {
        cluster: node.config.cluster_name.clone(),
        node: node.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        leader: leader.map(|member| member.name.clone()),
        term: status.map_or(0, |status| status.term),
        committed,
        schema_version: view.schema().version(),
        ready: not_ready.is_none(),
        not_ready,
        nodes,
        removed: removed_names(system),
    })
}

/// The times that the cluster went on without its majority.
pub(super) fn recoveries(node: &NodeInner) -> Result<Vec<RecoveryStatus>, AdminError> {
    let view = engine(node)?.store.view();
    let shown = |recovery: &Recovery| RecoveryStatus {
        former_cluster_id: format!("{:032x}", recovery.former_id),
        cluster_id: format!("{:032x}", recovery.cluster_id),
        at_log_index: recovery.at.0,
        at_unix_ms: recovery.at_unix_ms,
        by: recovery.by.clone(),
        without: recovery.without.clone(),
    };
    Ok(view.system().recoveries.iter().map(shown).collect())
}

/// The names that were removed and have not come back under a new id.
fn removed_names(system: &SystemState) -> Vec<NodeName> {
    let gone = system.removed.values().map(|removed| &removed.name);
    let gone: BTreeSet<&NodeName> = gone.filter(|name| system.member_named(name).is_none()).collect();
    gone.into_iter().cloned().collect()
}

/// What every member says of itself; `None` for those that do not answer.
async fn describe_all(engine: &Arc<Engine>) -> Descriptions {
    let view = engine.store.view();
    let asked = view.system().members.iter().map(|(id, member)| async move {
        if *id == engine.node() {
            return (*id, Some(calls::describe(engine)));
        }
        let deadline = door::now() + door::ms(DESCRIBE_MS);
        match engine.peers.call_until(&member.address, &Call::Describe, deadline).await {
            Ok(Answer::Describe(description)) => (*id, Some(*description)),
            _ => (*id, None),
        }
    });
    futures::future::join_all(asked).await.into_iter().collect()
}

fn node_status(
    id: NodeId,
    member: &Member,
    role: NodeRole,
    said: Option<&Description>,
    committed: u64,
) -> NodeStatus {
    let tables =
        said.map(|said| said.tables.iter().filter_map(|held| copy_status(&member.name, held)).collect());
    NodeStatus {
        name: member.name.clone(),
        id,
        address: member.address.clone(),
        role,
        state: match said {
            Some(_) => NodeState::Running,
            None if member.life == 0 => NodeState::Joining,
            None => NodeState::Stopped,
        },
        incarnation: said.map_or(member.life, |said| said.incarnation.life),
        applied: said.map(|said| said.applied.0),
        lag: said.map(|said| committed.saturating_sub(said.applied.0)),
        tables: tables.unwrap_or_default(),
    }
}

fn copy_status(node: &NodeName, held: &crate::wire::DescribedTable) -> Option<CopyStatus> {
    Some(CopyStatus {
        table: TableName::new(held.name.as_str()).ok()?,
        node: node.clone(),
        mode: held.mode,
        state: match (held.loading, held.progress) {
            (false, _) => CopyState::Ready,
            (true, Some(_)) => CopyState::Loading,
            (true, None) => CopyState::Waiting,
        },
        records: Some(held.records),
        bytes: Some(held.bytes),
    })
}

pub(super) fn tables(node: &Arc<NodeInner>) -> Result<Vec<TableSummary>, AdminError> {
    let view = engine(node)?.store.view();
    let names: Vec<NodeName> = view.system().members.values().map(|member| member.name.clone()).collect();
    let summary = |table: &Arc<tabularaft_schema::Table>| {
        let copy = view.table(table.id).filter(|copy| copy.is_ready());
        TableSummary {
            name: table.def.name.clone(),
            id: table.id,
            kind: table.def.kind,
            copy: table.def.copy,
            nodes: names.iter().filter(|name| table.mode_on(name).is_some()).cloned().collect(),
            records: copy.map(|copy| copy.len()),
            bytes: copy.map(|copy| copy.bytes()),
        }
    };
    Ok(view.schema().tables().map(summary).collect())
}

pub(super) async fn table(node: &Arc<NodeInner>, name: &TableName) -> Result<TableInfo, AdminError> {
    let engine = engine(node)?;
    let view = engine.store.view();
    let table = view.schema().table(name.as_str()).cloned().ok_or_else(|| no_table(name))?;
    let descriptions = describe_all(&engine).await;
    let copies = view.system().members.iter().filter_map(|(id, member)| {
        let mode = table.mode_on(&member.name)?;
        let said = descriptions.get(id).and_then(Option::as_ref);
        let held = said.and_then(|said| said.tables.iter().find(|held| held.id == table.id));
        held.and_then(|held| copy_status(&member.name, held)).or_else(|| {
            let (table, node) = (name.clone(), member.name.clone());
            Some(CopyStatus { table, node, mode, state: CopyState::Unknown, records: None, bytes: None })
        })
    });
    Ok(TableInfo {
        id: table.id,
        def: table.def.as_ref().clone(),
        record_bytes_max: table.def.options.record_bytes_max.unwrap_or(node.config.record_bytes_max),
        copies: copies.collect(),
    })
}
