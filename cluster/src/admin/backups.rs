//! Backups by administrative request: a held view, given out part by part; and what a restore asks for at its end.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tabularaft_schema::{SchemaChange, TableId, TableName};
use tabularaft_store::{BackupError, BackupHeader, BackupPart, BackupSource, StoreError};

use super::AdminError;
use super::answers::{engine, same_table};
use super::protocol::{AdminReply, ReadMode, TableRef, TableSwap};
use super::records;
use crate::door;
use crate::engine::Engine;
use crate::inner::NodeInner;
use crate::write::{Guard, Op, Request};

/// About how many bytes one part has.
const PART_BYTES: usize = 1 << 20;
/// How often it is looked whether somebody still asks for parts.
const SWEEP_MS: u64 = 10_000;

type Answer = Result<AdminReply, AdminError>;

/// A backup between two of its parts.
pub(crate) struct HeldBackup {
    state: Mutex<State>,
}

struct State {
    /// Let go of with the last part, and the view with it.
    source: Option<BackupSource>,
    /// The number of the part that comes next.
    next: u64,
    /// The part before, in case that it did not arrive.
    last: Option<BackupPart>,
}

pub(super) async fn begin(node: &Arc<NodeInner>, tables: Vec<TableName>, read: ReadMode) -> Answer {
    let engine = engine(node)?;
    records::wait(node, &engine, read).await?;
    let view = engine.store.view();
    let system = view.system();
    let header = BackupHeader {
        cluster_name: node.config.cluster_name.clone(),
        cluster_id: system.cluster.as_ref().map_or(0, |cluster| cluster.id),
        node: node.name.to_string(),
        log_index: view.applied_index(),
        schema_version: view.schema().version(),
        created_unix_ms: door::unix_ms(),
        written_by: concat!("tabularaft ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let source = BackupSource::new(view, &header, &tables).map_err(refused)?;
    let records_total = source.records_total();
    let state = Mutex::new(State { source: Some(source), next: 0, last: None });
    let busy = || AdminError::not_ready("too many backups are under way on this node; try again later");
    let backup = node.admin.backups.hold(Arc::new(HeldBackup { state })).ok_or_else(busy)?;
    engine.spawn(sweep(Arc::downgrade(node), backup));
    Ok(AdminReply::BackupBegun { backup, records_total })
}

/// Lets go of a backup for which nobody asks any more.
async fn sweep(node: Weak<NodeInner>, backup: u64) {
    loop {
        door::sleep(door::ms(SWEEP_MS)).await;
        let Some(node) = node.upgrade() else { return };
        if !node.admin.backups.is_in_use(backup) {
            return;
        }
    }
}

pub(super) async fn read(node: &Arc<NodeInner>, backup: u64, part: u64) -> Answer {
    let gone = || AdminError::not_found("this backup is not under way any more; take it again");
    let held = node.admin.backups.get(backup).ok_or_else(gone)?;
    let read = door::blocking(move || held.part(part)).await;
    let part = read.map_err(|error| AdminError::internal(error.to_string()))??;
    Ok(AdminReply::BackupPart {
        last: part.end.is_some(),
        records: part.records,
        bytes: Bytes::from(part.bytes),
    })
}

pub(super) fn end(node: &NodeInner, backup: u64) -> Answer {
    node.admin.backups.close(backup);
    Ok(AdminReply::Done)
}

impl HeldBackup {
    /// The part of this number: the next one, or the one before again.
    fn part(&self, number: u64) -> Result<BackupPart, AdminError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if number + 1 == state.next
            && let Some(last) = &state.last
        {
            return Ok(last.clone());
        }
        let out_of_order = || AdminError::invalid(format!("part {number} of the backup is not next"));
        if number != state.next {
            return Err(out_of_order());
        }
        let source = state.source.as_mut().ok_or_else(out_of_order)?;
        let part = source.next_part(PART_BYTES).map_err(refused)?.ok_or_else(out_of_order)?;
        if part.end.is_some() {
            state.source = None;
        }
        (state.next, state.last) = (number + 1, Some(part.clone()));
        Ok(part)
    }
}

fn refused(error: BackupError) -> AdminError {
    let message = error.to_string();
    match error {
        BackupError::NoSuchTable { .. } => AdminError::not_found(message),
        BackupError::Store(StoreError::TableLoading { .. }) => AdminError::not_ready(message),
        BackupError::Store(StoreError::NotHeld { .. }) => {
            AdminError::refused(format!("{message}; ask another node, or leave the table out"))
        }
        _ => AdminError::internal(message),
    }
}

/// The digest of what this node's copy of a table says.
pub(super) async fn content_digest(node: &Arc<NodeInner>, table: &TableRef) -> Answer {
    let engine = engine(node)?;
    let view = engine.store.view();
    let copy = Arc::clone(records::copy(&view, table)?);
    let digest = door::blocking(move || copy.content_digest()).await;
    let digest = digest.map_err(|error| AdminError::internal(error.to_string()))?;
    digest.map(AdminReply::ContentDigest).map_err(|error| AdminError::internal(error.to_string()))
}

/// Gives tables their names, all at one log index, if these other ones hold no record there.
pub(super) async fn swap(node: &Arc<NodeInner>, swaps: &[TableSwap], empty: Vec<TableId>) -> Answer {
    let engine = engine(node)?;
    let mut ops = Vec::new();
    for swap in swaps {
        ops.extend(swap_ops(&engine, swap)?);
    }
    let empty = empty.into_iter().map(|table| Guard::Empty { table }).collect();
    let request = Request::transaction(empty, ops, None);
    let committed = node.write(request, door::now() + node.config.write_timeout()).await?;
    Ok(AdminReply::Written { records: swaps.len() as u64, log_index: committed.index.0 })
}

fn swap_ops(engine: &Engine, swap: &TableSwap) -> Result<Vec<Op>, AdminError> {
    let TableSwap { table, takes, replaces, options } = swap;
    let found = same_table(engine, table)?.def.name.clone();
    let view = engine.store.view();
    let there = view.schema().table(takes.as_str()).map(|table| table.id);
    if there != *replaces {
        return Err(AdminError::refused(format!(
            "table {takes} was created, dropped or replaced meanwhile; nothing was swapped"
        )));
    }
    let option = |option| Op::Schema(SchemaChange::SetOption { table: found.clone(), option });
    let mut ops: Vec<Op> = options.iter().copied().map(option).collect();
    let change = match there {
        Some(_) => SchemaChange::ReplaceTable { table: found, replaces: takes.clone() },
        None => SchemaChange::RenameTable { from: found, to: takes.clone() },
    };
    ops.push(Op::Schema(change));
    Ok(ops)
}
