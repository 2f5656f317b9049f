//! Giving nodes copies of tables, and taking them away.

use std::sync::Arc;

use tabularaft_schema::{CopyMode, NodeId, NodeName, SchemaChange, TableId, TableName};

use super::protocol::Outcome;
use super::verify::{self, DigestOf};
use crate::copy::CopyProgress;
use crate::door;
use crate::engine::Engine;
use crate::error::{TableError, WriteError};
use crate::inner::NodeInner;
use crate::wire::{Answer, Call, DescribedTable};

const LOOK_EVERY_MS: u64 = 50;
/// How long a node may be out of reach while its copy is made.
const PATIENCE_MS: u64 = 15_000;

/// A member, as calls reach it.
struct Target {
    id: NodeId,
    name: NodeName,
    address: String,
}

/// The node `to` holds the table in this mode from now on: returns when the copy is made, on disc if it is to be, and
/// equal to the others at one log index.
pub(crate) async fn copy_table(
    node: &Arc<NodeInner>,
    table: &TableName,
    to: &NodeName,
    from: Option<&NodeName>,
    mode: CopyMode,
    tell: &(dyn Fn(&CopyProgress) + Send + Sync),
) -> Result<Outcome, TableError> {
    let engine = node.engine().ok_or(WriteError::Stopped)?;
    let view = engine.store.view();
    let id = view
        .schema()
        .table(table.as_str())
        .map(|table| table.id)
        .ok_or_else(|| WriteError::NoSuchTable(table.clone()))?;
    let target = member(&engine, to)?;
    let held_before = view.schema().mode_on(table.as_str(), to).is_some();
    drop(view);
    if let Some(from) = from {
        let source = member(&engine, from)?;
        holds(&engine, &source, id).await?;
        call(&engine, &target, &Call::PreferSource { table: id, from: from.clone() }).await?;
    }
    node.change_schema(SchemaChange::SetCopy { table: table.clone(), node: to.clone(), mode }).await?;
    let copied = loaded(&engine, &target, id, table, mode, tell).await?;
    if mode != CopyMode::Ram {
        call(&engine, &target, &Call::Checkpoint).await?;
    }
    let digest = compare(node, id, to, table).await?;
    let from = if held_before { None } else { from.cloned() };
    Ok(Outcome::Copied { records: copied.records, bytes: copied.bytes, digest, from })
}

/// The node gives up its copy.
pub(crate) async fn delete_copy(
    node: &Arc<NodeInner>,
    table: &TableName,
    on: &NodeName,
) -> Result<(), TableError> {
    let engine = node.engine().ok_or(WriteError::Stopped)?;
    let target = member(&engine, on)?;
    may_be_without(&engine, &target, table)?;
    node.change_schema(SchemaChange::DeleteCopy { table: table.clone(), node: on.clone() }).await?;
    Ok(())
}

/// The node `to` holds the table instead of `from`, in the same mode. The copy is made and compared with the others
/// before anything is deleted, so that at no moment there is one copy less.
pub(crate) async fn move_copy(
    node: &Arc<NodeInner>,
    table: &TableName,
    from: &NodeName,
    to: &NodeName,
    tell: &(dyn Fn(&CopyProgress) + Send + Sync),
) -> Result<Outcome, TableError> {
    if from == to {
        return Err(TableError::Copy(format!(
            "{from} is both where the copy of {table} is and where it is to go"
        )));
    }
    let engine = node.engine().ok_or(WriteError::Stopped)?;
    may_be_without(&engine, &member(&engine, from)?, table)?;
    let mode = engine.store.view().schema().mode_on(table.as_str(), from);
    let mode = mode.ok_or_else(|| TableError::Copy(format!("{from} holds no copy of {table} to move")))?;
    drop(engine);
    let copied = copy_table(node, table, to, Some(from), mode, tell).await?;
    delete_copy(node, table, from).await?;
    Ok(copied)
}

/// All nodes hold the table in this mode from now on, those with a mode of their own included. Returns when all that
/// can be reached do; the others follow when they are back.
pub(crate) async fn set_default_copy(
    node: &Arc<NodeInner>,
    table: &TableName,
    mode: CopyMode,
    tell: &(dyn Fn(&CopyProgress) + Send + Sync),
) -> Result<(), TableError> {
    node.change_schema(SchemaChange::SetDefaultCopy { table: table.clone(), mode }).await?;
    let engine = node.engine().ok_or(WriteError::Stopped)?;
    let view = engine.store.view();
    let Some(id) = view.schema().table(table.as_str()).map(|table| table.id) else { return Ok(()) };
    let names = view.system().members.values().map(|member| member.name.clone());
    let holders: Vec<NodeName> =
        names.filter(|name| view.schema().mode_on(table.as_str(), name).is_some()).collect();
    drop(view);
    for holder in holders {
        let target = member(&engine, &holder)?;
        if let Err(error) = described(&engine, &target, id).await {
            tracing::warn!(%error, node = %holder, "a node follows a change of mode when it is back");
            continue;
        }
        loaded(&engine, &target, id, table, mode, tell).await?;
        if mode != CopyMode::Ram {
            call(&engine, &target, &Call::Checkpoint).await?;
        }
    }
    Ok(())
}

/// A voter holds every table, since it may come to lead and decide on any of them.
fn may_be_without(engine: &Engine, target: &Target, table: &TableName) -> Result<(), TableError> {
    let on = &target.name;
    let voters = engine.raft().map(|raft| raft.membership().voters).unwrap_or_default();
    if voters.contains(&target.id) {
        return Err(TableError::Copy(format!(
            "{on} votes, and a voter holds every table; `copy-table {table} --to {on} --copy disc-only` frees its memory, \
             or let the node leave and join again with `voter = false` in its configuration"
        )));
    }
    Ok(())
}

fn member(engine: &Engine, name: &NodeName) -> Result<Target, TableError> {
    let view = engine.store.view();
    let found = view.system().member_named(name).map(|(id, member)| (id, member.address.clone()));
    let unknown = || {
        TableError::Copy(format!(
            "{name} is not a member of the cluster; `store-admin cluster status` lists them"
        ))
    };
    let (id, address) = found.ok_or_else(unknown)?;
    Ok(Target { id, name: name.clone(), address })
}

async fn call(engine: &Arc<Engine>, target: &Target, call: &Call) -> Result<Answer, TableError> {
    match engine.peers.call(&target.address, call).await {
        Ok(Answer::Failed(why)) => Err(TableError::Copy(format!("{}: {why}", target.name))),
        Ok(answer) => Ok(answer),
        Err(error) => Err(TableError::Copy(format!("{}: {error}", target.name))),
    }
}

async fn described(
    engine: &Arc<Engine>,
    target: &Target,
    table: TableId,
) -> Result<Option<DescribedTable>, TableError> {
    match call(engine, target, &Call::Describe).await? {
        Answer::Describe(description) => Ok(description.tables.into_iter().find(|held| held.id == table)),
        other => Err(TableError::Copy(format!("{} answered {other:?}", target.name))),
    }
}

async fn holds(engine: &Arc<Engine>, source: &Target, table: TableId) -> Result<(), TableError> {
    match described(engine, source, table).await? {
        Some(held) if !held.loading => Ok(()),
        _ => Err(TableError::Copy(format!("{} holds no loaded copy to copy from", source.name))),
    }
}

/// Waits until the copy is there in its mode.
async fn loaded(
    engine: &Arc<Engine>,
    target: &Target,
    table: TableId,
    name: &TableName,
    mode: CopyMode,
    tell: &(dyn Fn(&CopyProgress) + Send + Sync),
) -> Result<DescribedTable, TableError> {
    let mut give_up = door::now() + door::ms(PATIENCE_MS);
    loop {
        match described(engine, target, table).await {
            Ok(Some(held)) => {
                give_up = door::now() + door::ms(PATIENCE_MS);
                tell(&progress(name, &held));
                if !held.loading && held.mode == mode {
                    return Ok(held);
                }
            }
            Ok(None) if door::now() < give_up => {}
            Ok(None) => {
                return Err(TableError::Copy(format!("{} does not hold the table in time", target.name)));
            }
            Err(error) if door::now() >= give_up => return Err(error),
            Err(_) => {}
        }
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
    }
}

fn progress(table: &TableName, held: &DescribedTable) -> CopyProgress {
    let table = table.clone();
    match held.progress.filter(|_| held.loading) {
        Some(p) => CopyProgress {
            table,
            records: p.records,
            records_total: p.records_total,
            bytes: p.bytes,
            bytes_total: p.bytes_total,
        },
        None if held.loading => {
            CopyProgress { table, records: 0, records_total: 0, bytes: 0, bytes_total: 0 }
        }
        None => CopyProgress {
            table,
            records: held.records,
            records_total: held.records,
            bytes: held.bytes,
            bytes_total: held.bytes,
        },
    }
}

/// The digest of the new copy, which must be that of every other copy at the same index.
async fn compare(
    node: &Arc<NodeInner>,
    table: TableId,
    to: &NodeName,
    name: &TableName,
) -> Result<String, TableError> {
    let (index, members) =
        verify::collect(node, DigestOf::Copies).await.map_err(|error| TableError::Copy(error.to_string()))?;
    let own =
        members.iter().find(|member| member.name == *to).and_then(|member| verify::digest_of(member, table));
    let own = own.ok_or_else(|| TableError::Copy(format!("{to} gave no digest of its copy of {name}")))?;
    for member in &members {
        if verify::digest_of(member, table).is_some_and(|digest| digest != own) {
            return Err(TableError::Copy(format!(
                "the copies of {name} on {to} and {} differ at log index {index}",
                member.name
            )));
        }
    }
    Ok(verify::hex(&own))
}
