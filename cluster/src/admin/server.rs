//! Answers administrative requests.

use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::{NodeName, SchemaChange, TableName};

use super::answers::{engine, no_table, written};
use super::backups::{self, HeldBackup};
use super::operations::Operations;
use super::protocol::{AdminReply, AdminRequest, OnLocalData, Outcome};
use super::records::HeldScan;
use super::verify::DigestOf;
use super::{AdminError, alterations, copies, indexes, records, status, verify, watch};
use crate::door;
use crate::held_views::HeldViews;
use crate::inner::NodeInner;
use crate::join::{self, LocalData};
use crate::lifecycle::{Lifecycle, Reason};
use crate::node::Joined;
use crate::write::Op;

/// How long a request waits for the next life of a node that is between two.
const BETWEEN_LIVES_MS: u64 = 3_000;
/// Scans that may be paged through at once.
const SCANS_MAX: usize = 64;
/// Backups that may be under way at once.
const BACKUPS_MAX: usize = 8;

/// What a node keeps for its operators.
pub(crate) struct AdminState {
    pub(super) operations: Operations,
    pub(super) scans: HeldViews<Arc<HeldScan>>,
    pub(super) backups: HeldViews<Arc<HeldBackup>>,
}

impl Default for AdminState {
    fn default() -> Self {
        Self {
            operations: Operations::default(),
            scans: HeldViews::new(SCANS_MAX),
            backups: HeldViews::new(BACKUPS_MAX),
        }
    }
}

impl AdminState {
    /// The store is stopped: no view may keep its files open.
    pub(crate) fn let_go_of_views(&self) {
        self.scans.close_all();
        self.backups.close_all();
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

/// Answers one request.
pub(crate) async fn answer(node: &Arc<NodeInner>, request: AdminRequest) -> Answer {
    if !matches!(request, AdminRequest::Progress { .. }) {
        let deadline = door::now() + door::ms(BETWEEN_LIVES_MS);
        while node.engine().is_none() && door::now() < deadline {
            door::sleep(door::ms(10)).await;
        }
    }
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
        AdminRequest::IndexAdd { table, index } => Ok(indexes::start_add(node, table, index)),
        AdminRequest::IndexDrop { table, index } => {
            let at = node.change_schema(SchemaChange::DropIndex { table, index }).await?;
            Ok(AdminReply::Written { records: 0, log_index: at.0 })
        }
        AdminRequest::IndexList { table } => indexes::list(node, &table),
        AdminRequest::Explain(scan) => records::explain(node, &scan),
        AdminRequest::Recoveries => status::recoveries(node).map(AdminReply::Recoveries),
        AdminRequest::PutMany { table, records } => records::put_many(node, &table, records).await,
        AdminRequest::Get { table, key, read } => records::get(node, &table, &key, read).await,
        AdminRequest::Delete { table, key } => records::delete(node, &table, key).await,
        AdminRequest::Scan(scan) => records::scan(node, scan).await,
        AdminRequest::Watch(request) => watch::watch(node, request).await,
        AdminRequest::Verify => {
            let inner = Arc::clone(node);
            let id = node.admin.operations.start("comparing copies", |_| async move {
                verify::all(&inner, DigestOf::Copies).await.map(Outcome::Verified)
            });
            Ok(AdminReply::Started(id))
        }
        AdminRequest::VerifyContent => {
            let inner = Arc::clone(node);
            let id = node.admin.operations.start("comparing contents", |_| async move {
                verify::all(&inner, DigestOf::Content).await.map(Outcome::Verified)
            });
            Ok(AdminReply::Started(id))
        }
        AdminRequest::TableRename { table, to } => alterations::rename(node, table, to).await,
        AdminRequest::TableSet { table, options } => alterations::set_options(node, table, options).await,
        AdminRequest::TableCopyMode { table, mode } => Ok(alterations::start_set_copy(node, table, mode)),
        AdminRequest::TableTransform { table, shape, now } => {
            Ok(alterations::start_transform(node, table, shape, now))
        }
        AdminRequest::FormerShapes { table } => alterations::former_shapes(node, &table),
        AdminRequest::MoveCopy { table, from, to } => Ok(alterations::start_move(node, table, from, to)),
        AdminRequest::BackupBegin { tables, read } => backups::begin(node, tables, read).await,
        AdminRequest::BackupRead { backup, part } => backups::read(node, backup, part).await,
        AdminRequest::BackupEnd { backup } => backups::end(node, backup),
        AdminRequest::ContentDigest { table } => backups::content_digest(node, &table).await,
        AdminRequest::SwapTables { swaps } => backups::swap(node, &swaps, Vec::new()).await,
        AdminRequest::SwapTablesIfEmpty { swaps, empty } => backups::swap(node, &swaps, empty).await,
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
                biased;
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
