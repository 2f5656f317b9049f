//! Typed tables: reads in the calling thread, writes through the log.

mod bounds;
mod cursor;
mod index;
mod known;
mod no_wait;
mod read;
mod update;
mod walk;
mod write;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tabularaft_schema::{Record, TableDef, TableId, TableName};
use tabularaft_store::{TableView, View};

use crate::error::ReadError;
use crate::inner::NodeInner;

pub(crate) use bounds::key_bounds;
pub use cursor::{Cursor, InvalidCursor};
pub use index::Index;
pub use no_wait::NoWait;
pub(crate) use read::decoded;
pub(crate) use update::{append, call};
pub use walk::Page;
pub use write::Sum;

use self::known::Known;

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
    known: Arc<Known>,
    timeout: Duration,
    record: PhantomData<fn() -> R>,
}

impl<R> Clone for Table<R> {
    fn clone(&self) -> Self {
        Self {
            node: Arc::clone(&self.node),
            name: self.name.clone(),
            def: Arc::clone(&self.def),
            known: Arc::clone(&self.known),
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
        check_records(&def, table)?;
        let known = Arc::new(Known::new(&view, table.id));
        Ok(Self { name: def.name.clone(), node, def, known, timeout, record: PhantomData })
    }

    /// The name under which the table was opened. The handle stays with its table when that gets another name.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    pub(crate) fn node(&self) -> &Arc<NodeInner> {
        &self.node
    }

    /// The same table with another time limit for writes and waiting reads.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// The table's id in this view. The handle goes with its table when that is renamed; once the table is gone, and in
    /// another cluster, the handle means whichever table has its name.
    pub(crate) fn id_in(&self, view: &View) -> Result<TableId, ReadError> {
        let known = self.known.id_in(view);
        // Under one id, records of one version have one shape.
        let fits = |copy: &TableView| copy.def().shape.version == self.def.shape.version;
        if let Some(id) = known
            && view.table(id).is_some_and(|copy| fits(copy))
        {
            return Ok(id);
        }
        let schema = view.schema();
        let table = known.and_then(|id| schema.table_by_id(id)).or_else(|| schema.table(self.name.as_str()));
        let table = table.ok_or_else(|| ReadError::NoSuchTable(self.name.clone()))?;
        check_records(&self.def, table)?;
        self.known.set(view, table.id);
        Ok(table.id)
    }
}

/// Fails if records of the table cannot be read as those of the type. How nodes hold the table, what it may hold and
/// how it is indexed is for the operator to change.
pub(crate) fn check_records(ours: &TableDef, table: &tabularaft_schema::Table) -> Result<(), ReadError> {
    let differences = ours.record_differences(&table.def);
    match differences.is_empty() {
        true => Ok(()),
        false => Err(ReadError::Definition { table: table.def.name.clone(), differences }),
    }
}
