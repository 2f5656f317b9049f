//! Changes of tables by administrative request.

use std::sync::Arc;

use tabularaft_schema::{CopyMode, NodeName, RecordShape, SchemaChange, TableName, TableOption};

use super::AdminError;
use super::answers::{engine, no_table};
use super::copies;
use super::protocol::{AdminReply, Outcome};
use crate::inner::NodeInner;
use crate::transform;

type Answer = Result<AdminReply, AdminError>;

pub(super) async fn rename(node: &NodeInner, from: TableName, to: TableName) -> Answer {
    changed(node, SchemaChange::RenameTable { from, to }).await
}

/// One after the other: a refused option leaves those before it changed, and the refusal names it.
pub(super) async fn set_options(node: &NodeInner, table: TableName, options: Vec<TableOption>) -> Answer {
    let mut answer = Ok(AdminReply::Written { records: 0, log_index: 0 });
    for option in options {
        answer = changed(node, SchemaChange::SetOption { table: table.clone(), option }).await;
        if answer.is_err() {
            break;
        }
    }
    answer
}

async fn changed(node: &NodeInner, change: SchemaChange) -> Answer {
    let index = node.change_schema(change).await?;
    Ok(AdminReply::Written { records: 0, log_index: index.0 })
}

pub(super) fn start_set_copy(node: &Arc<NodeInner>, table: TableName, mode: CopyMode) -> AdminReply {
    let inner = Arc::clone(node);
    let id = node.admin.operations.start("changing the mode", |reporter| async move {
        copies::set_default_copy(&inner, &table, mode, &|progress| reporter.copying(progress)).await?;
        Ok(Outcome::Done)
    });
    AdminReply::Started(id)
}

pub(super) fn start_move(
    node: &Arc<NodeInner>,
    table: TableName,
    from: NodeName,
    to: NodeName,
) -> AdminReply {
    let inner = Arc::clone(node);
    let id = node.admin.operations.start("moving the copy", |reporter| async move {
        let tell = |progress: &crate::copy::CopyProgress| reporter.copying(progress);
        Ok(copies::move_copy(&inner, &table, &from, &to, &tell).await?)
    });
    AdminReply::Started(id)
}

pub(super) fn start_transform(
    node: &Arc<NodeInner>,
    table: TableName,
    shape: RecordShape,
    now: bool,
) -> AdminReply {
    let inner = Arc::clone(node);
    let id = node.admin.operations.start("checking the records", |reporter| async move {
        let checking = reporter.clone();
        let tell = Arc::new(move |progress| checking.handling("checking", &progress));
        transform::transform(&inner, &table, shape, tell).await?;
        if now {
            let tell = |progress| reporter.handling("rewriting", &progress);
            transform::transformed(&inner, &table, &tell).await?;
        }
        Ok(Outcome::Done)
    });
    AdminReply::Started(id)
}

pub(super) fn former_shapes(node: &NodeInner, table: &TableName) -> Answer {
    let view = engine(node)?.store.view();
    let found = view.schema().table(table.as_str()).ok_or_else(|| no_table(table))?;
    Ok(AdminReply::FormerShapes(found.former.clone()))
}
