//! Transactions and views of a node.

use super::error::{TransactionError, TxError};
use super::options::{Transacted, TransactionOptions};
use super::run;
use super::tx::Tx;
use super::view::ReadView;
use crate::error::ReadError;
use crate::node::Node;

impl Node {
    /// Runs a transaction over any tables: everything that the closure writes happens at one moment at which everything
    /// it has read is true, or nothing happens.
    ///
    /// The closure runs in the calling thread, reads this node's newest view, and sees its own writes. It may run
    /// several times, and only the last run counts, so it must not do anything but read and write through its `tx`. If
    /// something it has read was changed by others before the leader took its writes, it runs again on a view that
    /// shows the change, after a pause by chance, up to `transaction_attempts_max` times.
    ///
    /// A transaction that only reads asks the leader as well whether what it read is still true; [`Node::view`] needs
    /// no network, and may be a moment behind.
    ///
    /// # Errors
    ///
    /// [`TransactionError`]: after any but [`WriteError::Unknown`](crate::WriteError::Unknown) nothing was written.
    ///
    /// # Durability
    ///
    /// As that of single writes, see [`Table`](crate::Table).
    ///
    /// # Cancel safety
    ///
    /// A transaction whose future is dropped happens as a whole or not at all.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use serde::{Deserialize, Serialize};
    /// use tabularaft::{Node, Record, TxError};
    ///
    /// #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    /// #[record(table = "account", kind = "set", copy = "disc", crate = "tabularaft::schema")]
    /// struct Account { #[key] name: String, balance: u64 }
    ///
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// node.create_table::<Account>().await?;
    /// let accounts = node.table::<Account>()?;
    /// accounts.insert(&Account { name: "ann".into(), balance: 10 }).await?;
    /// accounts.insert(&Account { name: "bob".into(), balance: 0 }).await?;
    ///
    /// let left = node.transaction(|tx| {
    ///     let accounts = tx.table::<Account>()?;
    ///     let mut ann = accounts.get("ann")?.ok_or_else(|| TxError::abort("ann has no account"))?;
    ///     let mut bob = accounts.get("bob")?.ok_or_else(|| TxError::abort("bob has no account"))?;
    ///     let Some(left) = ann.balance.checked_sub(3) else { return tx.abort("ann has too little") };
    ///     (ann.balance, bob.balance) = (left, bob.balance + 3);
    ///     accounts.insert(&ann)?;
    ///     accounts.insert(&bob)?;
    ///     Ok(left)
    /// })
    /// .await?;
    /// assert_eq!(left, 7);
    /// assert_eq!(accounts.get("bob")?.unwrap().balance, 3);
    /// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    pub async fn transaction<T>(
        &self,
        body: impl FnMut(&Tx) -> Result<T, TxError>,
    ) -> Result<T, TransactionError> {
        let transacted = self.transaction_with(TransactionOptions::default(), body).await?;
        Ok(transacted.value)
    }

    /// As [`Node::transaction`], saying how often and how long it is tried; tells at which log index it is committed.
    ///
    /// # Errors
    ///
    /// As [`Node::transaction`].
    pub async fn transaction_with<T>(
        &self,
        options: TransactionOptions,
        body: impl FnMut(&Tx) -> Result<T, TxError>,
    ) -> Result<Transacted<T>, TransactionError> {
        run::run(&self.inner, options, body).await
    }

    /// All tables of this node at this moment, to be read without any network.
    ///
    /// # Errors
    ///
    /// [`ReadError::Stopped`] between two lives.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use serde::{Deserialize, Serialize};
    /// # use tabularaft::{Node, Record};
    /// # #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    /// # #[record(table = "seat", kind = "set", copy = "ram", crate = "tabularaft::schema")]
    /// # struct Seat { #[key] number: u64, guest: String }
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// # node.create_table::<Seat>().await?;
    /// let before = node.view()?;
    /// node.table::<Seat>()?.insert(&Seat { number: 1, guest: "Ann".into() }).await?;
    /// assert_eq!(before.table::<Seat>()?.count()?, 0, "a view does not change");
    /// assert_eq!(node.view()?.table::<Seat>()?.get(1u64)?.unwrap().guest, "Ann");
    /// # drop(before); node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    pub fn view(&self) -> Result<ReadView, ReadError> {
        ReadView::of(&self.inner)
    }
}
