//! Following all tables, or the members.

use super::change::{AnyRecord, as_any};
use super::error::SubscribeError;
use super::feed::Feed;
use super::selector::Selector;
use super::subscription::Subscription;
use crate::error::ReadError;
use crate::node::Node;
use crate::transaction::ReadView;

impl Node {
    /// All tables of this node as of now, and every change from then on: of the records of the tables that it holds, of
    /// all tables' definitions, and of the cluster's members.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use serde::{Deserialize, Serialize};
    /// use tabularaft::{ChangeKind, Node, Record};
    ///
    /// #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    /// #[record(table = "job", kind = "set", copy = "ram", crate = "tabularaft::schema")]
    /// struct Job { #[key] number: u64 }
    ///
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// let (_view, mut changes) = node.subscribe()?;
    /// node.create_table::<Job>().await?;
    /// node.table::<Job>()?.insert(&Job { number: 7 }).await?;
    /// let mut seen = Vec::new();
    /// while seen.last() != Some(&ChangeKind::Put) {
    ///     let change = changes.next().await?.expect("a node's changes have no end");
    ///     if let Some(record) = &change.new {
    ///         assert_eq!(record.def().name.as_str(), "job");
    ///         assert_eq!(record.decode::<Job>()?, Job { number: 7 });
    ///     }
    ///     seen.push(change.kind);
    /// }
    /// assert!(seen.contains(&ChangeKind::Created));
    /// # node.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`SubscribeError::Off`] without a history; when the node is between two lives.
    pub fn subscribe(&self) -> Result<(ReadView, Subscription<AnyRecord>), SubscribeError> {
        self.follow(Selector::Store)
    }

    /// As [`Node::subscribe`], of the cluster's members alone.
    ///
    /// # Errors
    ///
    /// As [`Node::subscribe`].
    pub fn subscribe_members(&self) -> Result<(ReadView, Subscription<AnyRecord>), SubscribeError> {
        self.follow(Selector::Members)
    }

    fn follow(&self, selector: Selector) -> Result<(ReadView, Subscription<AnyRecord>), SubscribeError> {
        let engine = self.inner.engine().ok_or(ReadError::Stopped)?;
        let view = engine.store.view();
        let feed = Feed::begin(&engine, selector, view.applied().map(|applied| applied.log_index()))?;
        Ok((ReadView::at(&self.inner, view), Subscription::new(feed, as_any)))
    }

    /// All tables as of now, in place of the changes that the subscription has not given; it goes on after them.
    ///
    /// # Errors
    ///
    /// As [`Node::subscribe`].
    pub fn resync(&self, subscription: &mut Subscription<AnyRecord>) -> Result<ReadView, SubscribeError> {
        Ok(ReadView::at(&self.inner, subscription.go_to_newest_view()?))
    }
}
