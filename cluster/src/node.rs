//! A node: one member of a cluster, through all its lives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tabularaft_schema::{CopyMode, NodeName, Record, SchemaChange, TableDef, TableName};
use tabularaft_store::{Incarnation, LogIndex};
use tokio::sync::broadcast;

use crate::builder::NodeBuilder;
use crate::door;
use crate::error::{JoinError, LeaveError, NotReady, ReadError, TableError, WriteError};
use crate::inner::NodeInner;
use crate::join::{self, LocalData};
use crate::lifecycle::{Lifecycle, Reason};
use crate::readiness;
use crate::table::Table;
use crate::write::{Op, Request};

/// A running node. Cloning gives another handle on the same node; the node runs until [`Node::shutdown`].
///
/// A node alone is a cluster of one voter: there is no special mode, and it may be joined by others.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use tabularaft::Node;
///
/// let first = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
/// let second = Node::builder("n2@localhost").diskless().listen("127.0.0.1:0").start().await?;
/// second.join(&first.listen_address().to_string()).await?;
/// assert_eq!(first.members().len(), 2);
/// # second.shutdown().await; first.shutdown().await;
/// # Ok::<(), tabularaft::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Node {
    pub(crate) inner: Arc<NodeInner>,
}

/// What a join came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Joined {
    /// The node is a member now; local records were exported to these files, if that was asked for.
    Joined {
        /// Files of NDJSON, one per table, which `store-admin load` reads back.
        exported: Vec<std::path::PathBuf>,
    },
    /// The peer was this node itself; nothing changed.
    Ignored,
}

impl Node {
    /// Starts to describe a node. The name is `name@host`; it is the node's identity, whatever its address.
    pub fn builder(name: impl Into<String>) -> NodeBuilder {
        NodeBuilder::new(name.into())
    }

    /// The node's name.
    pub fn name(&self) -> &NodeName {
        &self.inner.name
    }

    /// Where the node listens; the port is the real one when 0 was asked for.
    pub fn listen_address(&self) -> SocketAddr {
        self.inner.listen_address
    }

    /// Which life of the node this is. The node id changes with each join.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.inner.engine().map(|engine| engine.life.incarnation)
    }

    /// Events of the node's life from now on.
    pub fn lifecycle(&self) -> broadcast::Receiver<Lifecycle> {
        self.inner.hub.subscribe()
    }

    /// Creates the table of a record type. One that exists is no error, and then nothing changes: it may have other
    /// options than the type declares, be held otherwise and have more indexes, since an operator may change all these
    /// while it is in use.
    ///
    /// # Errors
    ///
    /// [`TableError`] naming the differing fields when a table of this name has another definition.
    pub async fn create_table<R: Record>(&self) -> Result<(), TableError> {
        crate::boot::ensure_table(&self.inner, R::table_def()).await.map(|_| ())
    }

    /// Creates a table from a definition made at run time; one of this very definition is no error. Returns whether it
    /// is new.
    ///
    /// # Errors
    ///
    /// [`TableError`] naming everything that differs when a table of this name has another definition.
    pub async fn create(&self, def: TableDef) -> Result<bool, TableError> {
        self.inner.create(def).await
    }

    /// Drops a table with all its copies.
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is none.
    pub async fn drop_table(&self, table: &TableName) -> Result<LogIndex, TableError> {
        self.inner.change_schema(SchemaChange::DropTable(table.clone())).await
    }

    /// A typed table of this cluster.
    ///
    /// # Errors
    ///
    /// When there is no such table, or its definition differs from the record type's.
    pub fn table<R: Record>(&self) -> Result<Table<R>, ReadError> {
        Table::open(Arc::clone(&self.inner), self.inner.config.write_timeout())
    }

    /// Waits until these tables can be read here, and writes have a leader.
    ///
    /// # Errors
    ///
    /// [`NotReady`] at the deadline, saying for whom and what this node waits.
    pub async fn wait_for_tables(&self, tables: &[&str], timeout: Duration) -> Result<(), NotReady> {
        readiness::wait(&self.inner, tables, timeout).await
    }

    /// Changes how a node of the cluster holds a table. The copy is made before this returns, and compared with the
    /// other copies at one log index.
    ///
    /// # Errors
    ///
    /// [`TableError`] when the table or node is unknown, or the copies differ.
    pub async fn copy_table(
        &self,
        table: &TableName,
        to: &NodeName,
        mode: CopyMode,
    ) -> Result<(), TableError> {
        crate::admin::copy_table(&self.inner, table, to, None, mode, &|_| {}).await.map(|_| ())
    }

    /// Joins the cluster of `peer` (`host:port`). Refused when this node holds records; see [`Node::join_with`].
    ///
    /// # Errors
    ///
    /// See [`JoinError`]: either nothing was touched, or what there was is back.
    pub async fn join(&self, peer: &str) -> Result<Joined, JoinError> {
        self.join_with(peer, LocalData::Refuse).await
    }

    /// As [`Node::join`], saying what becomes of local records.
    ///
    /// # Errors
    ///
    /// As [`Node::join`].
    pub async fn join_with(&self, peer: &str, local_data: LocalData) -> Result<Joined, JoinError> {
        join::join(&self.inner, peer, local_data, Reason::Join).await
    }

    /// Leaves the cluster: its data stays there, and this node serves alone and empty.
    ///
    /// # Errors
    ///
    /// See [`LeaveError`].
    pub async fn leave(&self) -> Result<(), LeaveError> {
        join::leave(&self.inner).await
    }

    /// Takes another node out of the cluster, dead or alive. Its id never comes back. Without `force` it is refused
    /// when the remaining voters that are alive would be no majority.
    ///
    /// # Errors
    ///
    /// See [`LeaveError`].
    pub async fn remove(&self, name: &NodeName, force: bool) -> Result<(), LeaveError> {
        join::remove_member(&self.inner, name, force).await
    }

    /// The names of all members, as this node knows them.
    pub fn members(&self) -> Vec<NodeName> {
        let view = self.inner.engine().map(|engine| engine.store.view());
        view.map(|view| view.system().members.values().map(|member| member.name.clone()).collect())
            .unwrap_or_default()
    }

    /// Whether this node leads, and a majority has followed it lately.
    pub fn is_leader(&self) -> bool {
        self.inner.engine().is_some_and(|engine| engine.leads_a_majority())
    }

    /// The index up to which this node has applied the log.
    pub fn applied(&self) -> LogIndex {
        self.inner.engine().map_or(LogIndex(0), |engine| engine.store.view().applied_index())
    }

    /// Stops the node: shutdown hooks, then Raft, then the last checkpoint, then the log, then the listener. Further
    /// calls on any handle find the node stopped.
    pub async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}

impl NodeInner {
    pub(crate) async fn create(&self, def: TableDef) -> Result<bool, TableError> {
        let deadline = door::now() + self.config.write_timeout();
        let results = self.write_op(Op::Schema(SchemaChange::from(def)), deadline).await?;
        Ok(results.results.contains(&tabularaft_store::OpResult::Found(true)))
    }

    pub(crate) async fn change_schema(&self, change: SchemaChange) -> Result<LogIndex, TableError> {
        let deadline = door::now() + self.config.write_timeout();
        Ok(self.write_op(Op::Schema(change), deadline).await?.index)
    }

    pub(crate) async fn write_op(
        &self,
        op: Op,
        deadline: Instant,
    ) -> Result<crate::write::Committed, WriteError> {
        self.write(Request::one(op), deadline).await
    }

    /// Writes, and tries again while the leader is still loading the table, or building an index that it has to ask.
    pub(crate) async fn write(
        &self,
        request: Request,
        deadline: Instant,
    ) -> Result<crate::write::Committed, WriteError> {
        loop {
            let engine = self.engine().ok_or(WriteError::Stopped)?;
            match engine.write(request.clone(), deadline).await {
                Err(WriteError::Rejected(rejection))
                    if rejection.is_retryable() && door::now() < deadline =>
                {
                    door::sleep(door::ms(20)).await;
                }
                outcome => return outcome,
            }
        }
    }
}
