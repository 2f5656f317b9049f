//! Secondary indexes by administrative request.

use std::sync::Arc;

use tabularaft_schema::{IndexDef, IndexOn, TableName, Value};
use tabularaft_store::{IndexBounds, IndexState, IndexView, TableView};

use super::AdminError;
use super::answers::{engine, no_table};
use super::client::{AdminClient, Written};
use super::document::IndexSummary;
use super::protocol::{AdminReply, AdminRequest, Outcome, Progress, ScanPlan, ScanRequest};
use crate::copy::CopyProgress;
use crate::indexes::{self, IndexInfo};
use crate::inner::NodeInner;

/// So many entries are counted to find the narrowest index, and no more.
const COUNTED_MAX: usize = 1_000;

type Answer = Result<AdminReply, AdminError>;

pub(super) fn start_add(node: &Arc<NodeInner>, table: TableName, index: IndexDef) -> AdminReply {
    let inner = Arc::clone(node);
    let id = node.admin.operations.start("building the index", |reporter| async move {
        let tell = |progress: indexes::IndexProgress| {
            reporter.copying(&CopyProgress {
                table: table.clone(),
                records: progress.records,
                records_total: progress.records_total,
                bytes: 0,
                bytes_total: 0,
            });
        };
        indexes::add(&inner, &table, index, &tell).await?;
        Ok(Outcome::Done)
    });
    AdminReply::Started(id)
}

pub(super) fn list(node: &NodeInner, table: &TableName) -> Answer {
    let view = engine(node)?.store.view();
    let known = view.schema().table(table.as_str()).ok_or_else(|| no_table(table))?;
    let no_copy =
        || AdminError::refused(format!("this node holds no copy of table {table}; ask another node"));
    let copy = view.table(known.id).ok_or_else(no_copy)?;
    Ok(AdminReply::Indexes(IndexInfo::all(copy).into_iter().map(summary).collect()))
}

fn summary(info: IndexInfo) -> IndexSummary {
    let (state, detail) = match info.state {
        IndexState::Ready => ("ready", None),
        IndexState::Unavailable { why } => ("unavailable", Some(why.to_string())),
        IndexState::Building { records, records_total } => {
            ("building", Some(format!("{records} of {records_total} records")))
        }
        _ => ("building", None),
    };
    let IndexInfo { def, active, entries, bytes, .. } = info;
    IndexSummary { def, active, state: state.to_owned(), detail, entries, bytes }
}

/// The index on which the fewest records meet one of the conditions, with the encoded value, and how many these are.
pub(super) fn narrowest<'v>(
    copy: &'v TableView,
    conditions: &[(String, Value)],
) -> Option<(&'v IndexView, Vec<u8>, usize)> {
    let ready = copy.indexes().iter().filter(|index| index.is_ready());
    let candidates = ready.filter_map(|index| {
        let IndexOn::Field(field) = &index.def().on else { return None };
        let (_, value) = conditions.iter().find(|(of, _)| of == field)?;
        let value = index.value_type()?.key_of_value(value).ok()?.into_bytes();
        let count = index.entries(&IndexBounds::value(&value), false).take(COUNTED_MAX).count();
        Some((index, value, count))
    });
    candidates.min_by_key(|(_, _, count)| *count)
}

pub(super) fn plan(copy: &TableView, conditions: &[(String, Value)]) -> ScanPlan {
    match narrowest(copy, conditions) {
        Some((index, _, count)) => ScanPlan {
            index: Some(index.def().name.clone()),
            records: count as u64,
            exact: count < COUNTED_MAX,
        },
        None => ScanPlan { index: None, records: copy.len(), exact: true },
    }
}

/// Secondary indexes. Errors are as of all requests.
impl AdminClient {
    /// Adds an index to a table in use; ends when every node that is alive has built it.
    pub async fn add_index(
        &self,
        table: &TableName,
        index: IndexDef,
        progress: impl FnMut(&Progress),
    ) -> Result<(), AdminError> {
        self.operate(&AdminRequest::IndexAdd { table: table.clone(), index }, progress).await.map(drop)
    }

    /// Drops an index.
    pub async fn drop_index(&self, table: &TableName, index: &str) -> Result<Written, AdminError> {
        self.write(&AdminRequest::IndexDrop { table: table.clone(), index: index.to_owned() }).await
    }

    /// The indexes of a table, as the asked node has them.
    pub async fn indexes(&self, table: &TableName) -> Result<Vec<IndexSummary>, AdminError> {
        match self.ask(&AdminRequest::IndexList { table: table.clone() }).await? {
            AdminReply::Indexes(indexes) => Ok(indexes),
            other => Err(self.unexpected(&other)),
        }
    }

    /// How a scan finds its records.
    pub async fn explain(&self, scan: &ScanRequest) -> Result<ScanPlan, AdminError> {
        match self.ask(&AdminRequest::Explain(scan.clone())).await? {
            AdminReply::Plan(plan) => Ok(plan),
            other => Err(self.unexpected(&other)),
        }
    }
}
