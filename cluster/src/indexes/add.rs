//! Adding and dropping an index while its table is in use.

use std::sync::Arc;
use std::time::Duration;

use tabularaft_schema::{IndexDef, SchemaChange, TableId, TableName};
use tabularaft_store::LogIndex;

use super::report::{self, ReportedState};
use crate::door;
use crate::engine::Engine;
use crate::error::{ReadError, TableError, WriteError};
use crate::inner::NodeInner;
use crate::node::Node;
use crate::write::Rejection;

const LOOK_EVERY_MS: u64 = 20;

/// How far the building of an index is, on the node that is furthest behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexProgress {
    /// Records looked at.
    pub records: u64,
    /// Records to look at; 0 before that is known.
    pub records_total: u64,
}

/// Where an index stands that was added.
enum Standing {
    Active,
    Building,
    /// Somebody has dropped it, or the table.
    Gone,
}

impl Node {
    /// Adds a secondary index to a table that is in use, and returns when every node that is alive has built it. Reads
    /// and writes go on meanwhile; nothing of the table is copied or locked.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use serde::{Deserialize, Serialize};
    /// use tabularaft::schema::{IndexDef, IndexOn};
    /// use tabularaft::{Node, Record, TableName};
    ///
    /// #[derive(Record, Serialize, Deserialize)]
    /// #[record(table = "post", copy = "ram", crate = "tabularaft::schema")]
    /// struct Post { #[key] id: u64, tags: Vec<String> }
    ///
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// node.create_table::<Post>().await?;
    /// let posts = node.table::<Post>()?;
    /// posts.insert(&Post { id: 1, tags: vec!["raft".into(), "rust".into()] }).await?;
    ///
    /// let by_tag = IndexDef::new("by_tag", IndexOn::Each("tags".into()));
    /// node.add_index(&TableName::new("post").unwrap(), by_tag).await?;
    /// assert_eq!(posts.index("by_tag")?.get("rust")?[0].id, 1);
    /// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// The field does not exist, another index has the name, or a node lacks the function ([`TableError::Index`]); for
    /// a unique index also [`Rejection::Duplicates`] with values and keys that stand in its way. Then the index is
    /// dropped again.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped the index is built all the same, and the leader activates it some time later.
    pub async fn add_index(&self, table: &TableName, index: IndexDef) -> Result<(), TableError> {
        self.add_index_with(table, index, &|_| {}).await
    }

    /// As [`Node::add_index`], telling how far the building is.
    ///
    /// # Errors
    ///
    /// As [`Node::add_index`].
    pub async fn add_index_with(
        &self,
        table: &TableName,
        index: IndexDef,
        tell: &(dyn Fn(IndexProgress) + Send + Sync),
    ) -> Result<(), TableError> {
        add(&self.inner, table, index, tell).await
    }

    /// Drops a secondary index.
    ///
    /// # Errors
    ///
    /// When there is no such table or index.
    pub async fn drop_index(&self, table: &TableName, index: &str) -> Result<LogIndex, TableError> {
        self.inner.change_schema(drop_change(table, index)).await
    }

    /// Waits until an index can be read on this node.
    ///
    /// # Errors
    ///
    /// At the deadline: why it cannot. At once if there is no such index, or this program lacks its function.
    pub async fn wait_for_index(
        &self,
        table: &TableName,
        index: &str,
        timeout: Duration,
    ) -> Result<(), ReadError> {
        let deadline = door::now() + timeout;
        loop {
            match self.readable(table, index) {
                Err(error) if error.is_retryable() && door::now() < deadline => {
                    door::sleep(door::ms(LOOK_EVERY_MS)).await;
                }
                outcome => return outcome,
            }
        }
    }

    fn readable(&self, table: &TableName, index: &str) -> Result<(), ReadError> {
        let engine = self.inner.engine().ok_or(ReadError::Stopped)?;
        let view = engine.store.view();
        let known =
            view.schema().table(table.as_str()).ok_or_else(|| ReadError::NoSuchTable(table.clone()))?;
        let copy = view.table(known.id).ok_or_else(|| ReadError::NoCopy(table.clone()))?;
        Ok(copy.index(index).map(drop)?)
    }
}

/// Adds an index and sees it through.
pub(crate) async fn add(
    node: &Arc<NodeInner>,
    table: &TableName,
    index: IndexDef,
    tell: &(dyn Fn(IndexProgress) + Send + Sync),
) -> Result<(), TableError> {
    let name = index.name.clone();
    let engine = node.engine().ok_or(WriteError::Stopped)?;
    let id = engine.store.view().schema().table(table.as_str()).map(|table| table.id);
    let id = id.ok_or_else(|| WriteError::NoSuchTable(table.clone()))?;
    drop(engine);
    node.change_schema(SchemaChange::AddIndex { table: table.clone(), index }).await?;
    loop {
        let engine = node.engine().ok_or(WriteError::Stopped)?;
        match standing(&engine, id, &name) {
            Standing::Active => return Ok(()),
            Standing::Gone => return Err(gone(table, &name)),
            Standing::Building => {}
        }
        if all_have_built(node, &engine, table, id, &name, tell).await? {
            activate(node, table, &name).await?;
        } else {
            door::sleep(door::ms(LOOK_EVERY_MS)).await;
        }
    }
}

fn standing(engine: &Engine, table: TableId, index: &str) -> Standing {
    let view = engine.store.view();
    match view.schema().table_by_id(table) {
        Some(known) if known.building.contains(index) => Standing::Building,
        Some(known) if known.def.index(index).is_some() => Standing::Active,
        _ => Standing::Gone,
    }
}

/// Whether every member that is alive can read through the index. A member that never will ends it.
async fn all_have_built(
    node: &Arc<NodeInner>,
    engine: &Arc<Engine>,
    table: &TableName,
    id: TableId,
    index: &str,
    tell: &(dyn Fn(IndexProgress) + Send + Sync),
) -> Result<bool, TableError> {
    let mut furthest_behind: Option<IndexProgress> = None;
    for (member, state) in report::of_members(engine, id, index).await {
        match state {
            ReportedState::Ready => {}
            ReportedState::Building { records, records_total } => {
                let progress = IndexProgress { records, records_total };
                if furthest_behind.is_none_or(|behind| records < behind.records) {
                    furthest_behind = Some(progress);
                }
            }
            ReportedState::Unavailable { why } => {
                drop_again(node, table, index).await;
                let (table, index) = (table.clone(), index.to_owned());
                return Err(TableError::Index { table, index, why: format!("on {member}: {why}") });
            }
        }
    }
    if let Some(progress) = furthest_behind {
        tell(progress);
    }
    Ok(furthest_behind.is_none())
}

/// Makes the index count, unless it is to be unique and is not: then it is dropped again.
pub(super) async fn activate(
    node: &NodeInner,
    table: &TableName,
    index: &str,
) -> Result<LogIndex, TableError> {
    let activation = SchemaChange::ActivateIndex { table: table.clone(), index: index.to_owned() };
    let activated = node.change_schema(activation).await;
    if let Err(TableError::Write(WriteError::Rejected(Rejection::Duplicates { .. }))) = &activated {
        drop_again(node, table, index).await;
    }
    activated
}

async fn drop_again(node: &NodeInner, table: &TableName, index: &str) {
    if let Err(error) = node.change_schema(drop_change(table, index)).await {
        tracing::warn!(%error, %table, index, "an index that cannot be kept is not dropped yet");
    }
}

fn drop_change(table: &TableName, index: &str) -> SchemaChange {
    SchemaChange::DropIndex { table: table.clone(), index: index.to_owned() }
}

fn gone(table: &TableName, index: &str) -> TableError {
    let why = "it was dropped while it was built".to_owned();
    TableError::Index { table: table.clone(), index: index.to_owned(), why }
}
