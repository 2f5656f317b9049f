//! Answers administrative requests.

use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::{NodeName, SchemaChange, TableName};
use tabularaft_store::OpResult;

use super::operations::Operations;
use super::protocol::{AdminReply, AdminRequest, OnLocalData, Outcome, TableRef};
use super::records::HeldScan;
use super::{AdminError, copies, records, status, verify};
use crate::door;
use crate::engine::Engine;
use crate::error::{JoinError, LeaveError, ReadError, TableError, WriteError};
use crate::held_views::HeldViews;
use crate::inner::NodeInner;
use crate::join::{self, LocalData};
use crate::lifecycle::{Lifecycle, Reason};
use crate::node::Joined;
use crate::write::{Committed, Op};

/// Scans that may be paged through at once.
const SCANS_MAX: usize = 64;

/// What a node keeps for its operators.
pub(crate) struct AdminState {
    pub(super) operations: Operations,
    pub(super) scans: HeldViews<Arc<HeldScan>>,
}

impl Default for AdminState {
    fn default() -> Self {
        Self { operations: Operations::default(), scans: HeldViews::new(SCANS_MAX) }
    }
}

type Answer = Result<AdminReply, AdminError>;

/// Serves one encoded request.
pub(crate) async fn serve(node: &Arc<NodeInner>, request: &[u8]) -> Bytes {
    let answer = match AdminRequest::decode(request) {
        Ok(request) => answer(node, request).await,
        Err(error) => Err(error),
    };
    AdminReply::encode(&answer)
}

async fn answer(node: &Arc<NodeInner>, request: AdminRequest) -> Answer {
    match request {
        AdminRequest::Status => status::cluster(node).await.map(AdminReply::Status),
        AdminRequest::Join { peer, on_local_data } => Ok(start_join(node, peer, on_local_data)),
        AdminRequest::Leave => Ok(start_leave(node)),
        AdminRequest::Remove { name, force } => Ok(start_remove(node, name, force)),
        AdminRequest::TableList => status::tables(node).map(AdminReply::Tables),
        AdminRequest::TableInfo { table } => status::table(node, &table).await.map(AdminReply::Table),
        AdminRequest::TableCreate { def } => {
            let name = def.name.clone();
            let new = node.create(def).await?;
            let engine = engine(node)?;
            let id = engine.store.view().schema().table(name.as_str()).map(|table| table.id);
            let id = id.ok_or_else(|| AdminError::not_found(format!("table {name} was dropped at once")))?;
            Ok(AdminReply::TableCreated { id, new })
        }
        AdminRequest::TableDrop { table } => {
            let index = node.change_schema(SchemaChange::DropTable(table)).await?;
            Ok(AdminReply::Written { records: 0, log_index: index.0 })
        }
        AdminRequest::TableClear { table } => clear(node, &table).await,
        AdminRequest::CopyTable { table, to, from, mode } => {
            let inner = Arc::clone(node);
            let id = node.admin.operations.start("copying", |reporter| async move {
                copies::copy_table(&inner, &table, &to, from.as_ref(), mode, &|progress| {
                    reporter.copying(progress)
                })
                .await
                .map_err(AdminError::from)
            });
            Ok(AdminReply::Started(id))
        }
        AdminRequest::DeleteCopy { table, on } => {
            let inner = Arc::clone(node);
            let id = node.admin.operations.start("deleting the copy", |_| async move {
                copies::delete_copy(&inner, &table, &on)
                    .await
                    .map(|()| Outcome::Done)
                    .map_err(AdminError::from)
            });
            Ok(AdminReply::Started(id))
        }
        AdminRequest::PutMany { table, records } => records::put_many(node, &table, records).await,
        AdminRequest::Get { table, key, read } => records::get(node, &table, &key, read).await,
        AdminRequest::Delete { table, key } => records::delete(node, &table, key).await,
        AdminRequest::Scan(scan) => records::scan(node, scan).await,
        AdminRequest::Verify => {
            let inner = Arc::clone(node);
            let id = node.admin.operations.start("comparing copies", |_| async move {
                verify::all(&inner).await.map(Outcome::Verified)
            });
            Ok(AdminReply::Started(id))
        }
        AdminRequest::Progress { operation } => {
            let progress = node.admin.operations.progress(operation);
            let unknown = || {
                AdminError::not_found(format!(
                    "operation {} is not known to this node (any more)",
                    operation.0
                ))
            };
            progress.map(AdminReply::Progress).ok_or_else(unknown)
        }
    }
}

fn start_join(node: &Arc<NodeInner>, peer: String, on_local_data: OnLocalData) -> AdminReply {
    let inner = Arc::clone(node);
    let local_data = match on_local_data {
        OnLocalData::Refuse => LocalData::Refuse,
        OnLocalData::Export => LocalData::Export,
        OnLocalData::Discard => LocalData::Discard,
    };
    let id = node.admin.operations.start("joining", |reporter| async move {
        let mut events = inner.hub.subscribe();
        let joining = join::join(&inner, &peer, local_data, Reason::Join);
        tokio::pin!(joining);
        let joined = loop {
            tokio::select! {
                // The join is polled in place; an event that is missed only leaves the progress a little older.
                joined = &mut joining => break joined?,
                Ok(event) = events.recv() => tell(&reporter, event),
            }
        };
        Ok(match joined {
            Joined::Ignored => Outcome::Joined { changed: false, exported: Vec::new() },
            Joined::Joined { exported } => {
                let exported = exported.iter().map(|path| path.display().to_string()).collect();
                Outcome::Joined { changed: true, exported }
            }
        })
    });
    AdminReply::Started(id)
}

fn tell(reporter: &super::operations::Reporter, event: Lifecycle) {
    match event {
        Lifecycle::Copying { table, records, records_total, bytes, bytes_total } => {
            reporter.copying(&crate::copy::CopyProgress {
                table,
                records,
                records_total,
                bytes,
                bytes_total,
            });
        }
        Lifecycle::Retired => reporter.phase("local data put aside"),
        Lifecycle::Admitted { node } => reporter.phase(&format!("admitted as node {node}")),
        Lifecycle::CatchingUp => reporter.phase("catching up"),
        _ => {}
    }
}

fn start_leave(node: &Arc<NodeInner>) -> AdminReply {
    let inner = Arc::clone(node);
    let leave = |_| async move { Ok(join::leave(&inner).await.map(|()| Outcome::Done)?) };
    AdminReply::Started(node.admin.operations.start("leaving", leave))
}

fn start_remove(node: &Arc<NodeInner>, name: NodeName, force: bool) -> AdminReply {
    let inner = Arc::clone(node);
    let remove =
        |_| async move { Ok(join::remove_member(&inner, &name, force).await.map(|()| Outcome::Done)?) };
    AdminReply::Started(node.admin.operations.start("removing", remove))
}

async fn clear(node: &Arc<NodeInner>, table: &TableName) -> Answer {
    let engine = engine(node)?;
    let id = engine.store.view().schema().table(table.as_str()).map(|table| table.id);
    let id = id.ok_or_else(|| no_table(table))?;
    let committed = node.write_op(Op::Clear { table: id }, door::now() + node.config.write_timeout()).await?;
    Ok(written(&committed))
}

/// How many records a committed request touched.
pub(super) fn written(committed: &Committed) -> AdminReply {
    let count = |result: &OpResult| match result {
        OpResult::Count(count) => *count,
        OpResult::Version(_) => 1,
        _ => 0,
    };
    AdminReply::Written { records: committed.results.iter().map(count).sum(), log_index: committed.index.0 }
}

pub(super) fn engine(node: &NodeInner) -> Result<Arc<Engine>, AdminError> {
    node.engine().ok_or_else(|| AdminError::not_ready("this node is between two lives; try again"))
}

pub(super) fn no_table(table: &TableName) -> AdminError {
    AdminError::not_found(format!("there is no table {table}; `store-admin table list` lists them"))
}

/// The table of a reference, if it is still the same one.
pub(super) fn same_table(
    engine: &Engine,
    table: &TableRef,
) -> Result<Arc<tabularaft_schema::Table>, AdminError> {
    let view = engine.store.view();
    view.schema().table_by_id(table.id).cloned().ok_or_else(|| no_table(&table.name))
}

impl From<WriteError> for AdminError {
    fn from(error: WriteError) -> Self {
        let message = error.to_string();
        match error {
            WriteError::Unknown => AdminError::unknown(message),
            WriteError::NoLeader | WriteError::Overloaded { .. } | WriteError::Stopped => {
                AdminError::not_ready(message)
            }
            WriteError::NoSuchTable(_) => AdminError::not_found(message),
            WriteError::Record(_) => AdminError::invalid(message),
            _ => AdminError::refused(message),
        }
    }
}

impl From<ReadError> for AdminError {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            ReadError::NoSuchTable(_) => AdminError::not_found(message),
            ReadError::NoCopy(_) => AdminError::refused(message),
            ReadError::Loading(_) | ReadError::NoLeader | ReadError::Behind { .. } | ReadError::Stopped => {
                AdminError::not_ready(message)
            }
            _ => AdminError::internal(message),
        }
    }
}

impl From<TableError> for AdminError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Write(error) => error.into(),
            other => AdminError::refused(other.to_string()),
        }
    }
}

impl From<JoinError> for AdminError {
    fn from(error: JoinError) -> Self {
        match &error {
            JoinError::NotReady(_) | JoinError::NodeDown { .. } => {
                AdminError::not_ready(with_sources(&error))
            }
            _ => AdminError::refused(with_sources(&error)),
        }
    }
}

impl From<LeaveError> for AdminError {
    fn from(error: LeaveError) -> Self {
        match &error {
            LeaveError::NoSuchMember(_) => AdminError::not_found(error.to_string()),
            LeaveError::NotDone(_) => AdminError::unknown(error.to_string()),
            _ => AdminError::refused(error.to_string()),
        }
    }
}

/// The whole chain of causes in one line, each said once.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !line.contains(&cause_text) {
            line = format!("{line}: {cause_text}");
        }
        source = cause.source();
    }
    line
}
