//! Typed tables: reads in the calling thread, writes through the log.

mod bounds;
mod cursor;
mod read;
mod walk;
mod write;

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tabularaft_schema::{Difference, Record, TableDef, TableId, TableName};
use tabularaft_store::View;

use crate::error::ReadError;
use crate::inner::NodeInner;

pub(crate) use bounds::key_bounds;
pub use cursor::{Cursor, InvalidCursor};
pub(crate) use read::decoded;
pub use walk::Page;
pub use write::Sum;

/// A record with the version under which it is stored. Versions grow with every write anywhere in the cluster and are
/// never used twice, so an equal version means that nothing was written in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<R> {
    /// The record.
    pub record: R,
    /// Its version, greater than zero.
    pub version: u64,
}

/// A table of records of type `R`.
///
/// Reads are local: they look at this node's newest view, cost no network, and see this node's own writes. Writes are
/// replicated, and return when they are committed *and* applied on this node. Every write waits for at most the node's
/// write timeout (see [`Table::with_timeout`]).
///
/// # Durability
///
/// A committed write survives the loss of any minority of nodes; in a table with a disc copy also power loss of all.
///
/// # Cancel safety
///
/// A write whose future is dropped may or may not happen.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use serde::{Deserialize, Serialize};
/// use tabularaft::{Node, Record};
///
/// #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
/// #[record(table = "session", kind = "set", copy = "ram", crate = "tabularaft::schema")]
/// struct Session { #[key] client: String, node: String, clean: bool }
///
/// let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
/// node.create_table::<Session>().await?;
/// let sessions = node.table::<Session>()?;
/// sessions.insert(&Session { client: "c1".into(), node: "n1".into(), clean: true }).await?;
/// assert_eq!(sessions.get("c1")?.unwrap().node, "n1");
/// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
/// ```
pub struct Table<R> {
    node: Arc<NodeInner>,
    name: TableName,
    def: Arc<TableDef>,
    /// The id under which the table was last found; checked at each use, since a dropped table's id is never reused.
    id: Arc<AtomicU64>,
    timeout: Duration,
    record: PhantomData<fn() -> R>,
}

impl<R> Clone for Table<R> {
    fn clone(&self) -> Self {
        Self {
            node: Arc::clone(&self.node),
            name: self.name.clone(),
            def: Arc::clone(&self.def),
            id: Arc::clone(&self.id),
            timeout: self.timeout,
            record: PhantomData,
        }
    }
}

impl<R: Record> Table<R> {
    pub(crate) fn open(node: Arc<NodeInner>, timeout: Duration) -> Result<Self, ReadError> {
        let def = Arc::new(R::table_def());
        let engine = node.engine().ok_or(ReadError::Stopped)?;
        let view = engine.store.view();
        let table =
            view.schema().table(def.name.as_str()).ok_or_else(|| ReadError::NoSuchTable(def.name.clone()))?;
        let differences = record_differences(&def, &table.def);
        if !differences.is_empty() {
            return Err(ReadError::Definition { table: def.name.clone(), differences });
        }
        let id = Arc::new(AtomicU64::new(table.id.0));
        Ok(Self { name: def.name.clone(), node, def, id, timeout, record: PhantomData })
    }

    /// The table's name.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// The same table with another time limit for writes and waiting reads.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The table's id in this view. A table that was dropped and created again, or met again in another cluster, has
    /// another id.
    pub(crate) fn id_in(&self, view: &View) -> Result<TableId, ReadError> {
        let known = TableId(self.id.load(Ordering::Relaxed));
        if view.table(known).is_some_and(|copy| copy.def().name == self.name) {
            return Ok(known);
        }
        let table = view
            .schema()
            .table(self.name.as_str())
            .ok_or_else(|| ReadError::NoSuchTable(self.name.clone()))?;
        let differences = record_differences(&self.def, &table.def);
        if !differences.is_empty() {
            return Err(ReadError::Definition { table: self.name.clone(), differences });
        }
        self.id.store(table.id.0, Ordering::Relaxed);
        Ok(table.id)
    }
}

/// Where two definitions differ so that records of one cannot be read as the other's. How nodes hold the table is for
/// the operator to change.
pub(crate) fn record_differences(ours: &TableDef, theirs: &TableDef) -> Vec<Difference> {
    let mut all = ours.differences(theirs);
    all.retain(|difference| difference.field != "copy");
    all
}
