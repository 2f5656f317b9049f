//! What a transaction's closure is given.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::{Record, TableId};
use tabularaft_store::{LogIndex, TableView, View};

use super::error::TxError;
use super::known::copy_in;
use super::state::{Limits, TxState};
use super::write_table::TxTable;
use crate::inner::NodeInner;
use crate::table::Table;
use crate::write::{Place, Rejection};

/// One attempt of a transaction: reads come from one view, writes are gathered. See
/// [`Node::transaction`](crate::Node::transaction).
pub struct Tx {
    node: Arc<NodeInner>,
    view: Arc<View>,
    state: RefCell<TxState>,
}

impl Tx {
    pub(super) fn new(node: Arc<NodeInner>, view: Arc<View>, turn: BTreeMap<Place, Option<Bytes>>) -> Self {
        let limits = Limits::of(&node.config);
        Self { node, view, state: RefCell::new(TxState::new(limits, turn)) }
    }

    /// The table of a record type.
    ///
    /// # Errors
    ///
    /// When there is no such table, this node has no loaded copy of it, or its content is local to each node.
    pub fn table<R: Record>(&self) -> Result<TxTable<'_, R>, TxError> {
        self.part(self.node.known_types.copy_of::<R>(&self.view)?)
    }

    /// The table of a handle, which spares looking it up by its name.
    ///
    /// # Errors
    ///
    /// As [`Tx::table`].
    pub fn open<R: Record>(&self, table: &Table<R>) -> Result<TxTable<'_, R>, TxError> {
        let id: TableId = table.id_in(&self.view)?;
        self.part(copy_in(self.view.table(id), table.name())?)
    }

    fn part<'t, R: Record>(&'t self, copy: &'t TableView) -> Result<TxTable<'t, R>, TxError> {
        if copy.def().options.local_content {
            return Err(TxError::Refused(Rejection::NotApplicable {
                table: copy.def().name.to_string(),
                why: "its content is local to each node, so it takes no part in transactions; read and write it \
                      through its own handle"
                    .to_owned(),
            }));
        }
        Ok(TxTable::new(copy, &self.state))
    }

    /// The log index of the view that is read.
    pub fn index(&self) -> LogIndex {
        self.view.applied_index()
    }

    /// Gives the transaction up: what it wrote does not happen. The caller gets the reason, a text or an error of the
    /// application, in [`TransactionError::Aborted`](crate::TransactionError::Aborted).
    ///
    /// # Errors
    ///
    /// Always, for the closure to return.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use tabularaft::{Node, TransactionError};
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// let outcome: Result<(), _> = node.transaction(|tx| tx.abort("not today")).await;
    /// assert!(matches!(outcome, Err(TransactionError::Aborted(reason)) if reason.to_string() == "not today"));
    /// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    pub fn abort<T>(
        &self,
        reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<T, TxError> {
        Err(TxError::abort(reason))
    }

    /// Runs a part of the transaction whose writes are taken back if it fails, while the rest goes on. What the part
    /// has read still counts: that it failed may rest on it.
    ///
    /// # Errors
    ///
    /// What `part` returns.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use serde::{Deserialize, Serialize};
    /// # use tabularaft::{Node, Record, TxError};
    /// # #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    /// # #[record(table = "seat", kind = "set", copy = "ram", crate = "tabularaft::schema")]
    /// # struct Seat { #[key] number: u64, guest: String }
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// # node.create_table::<Seat>().await?;
    /// node.transaction(|tx| {
    ///     let seats = tx.table::<Seat>()?;
    ///     seats.insert(&Seat { number: 1, guest: "Ann".into() })?;
    ///     let both = tx.savepoint(|tx| {
    ///         seats.insert(&Seat { number: 2, guest: "Bob".into() })?;
    ///         tx.abort::<()>("Bob would rather stand")
    ///     });
    ///     assert!(both.is_err());
    ///     assert_eq!(seats.count()?, 1);
    ///     Ok(())
    /// })
    /// .await?;
    /// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    pub fn savepoint<T, E>(&self, part: impl FnOnce(&Tx) -> Result<T, E>) -> Result<T, E> {
        let before = self.state.borrow().writes.count();
        let outcome = part(self);
        if outcome.is_err() {
            self.state.borrow_mut().writes.take_back(before);
        }
        outcome
    }

    /// What the closure has gathered, and the last version of the view that it read.
    pub(super) fn into_parts(self) -> (TxState, u64) {
        let mut state = self.state.into_inner();
        let versions = self.view.tables().map(|copy| (copy.id(), copy.def().shape.version));
        state.record_versions = versions.filter(|(_, version)| *version != 1).collect();
        (state, self.view.last_version())
    }
}
