//! Following one table.

use std::ops::RangeBounds;
use std::sync::Arc;

use tabularaft_schema::{KeyFor, Record, TableId};
use tabularaft_store::View;

use super::change::as_type;
use super::error::SubscribeError;
use super::feed::Feed;
use super::selector::Selector;
use super::subscription::Subscription;
use crate::engine::Engine;
use crate::error::ReadError;
use crate::records::Records;
use crate::table::Table;

impl<R: Record> Table<R> {
    /// Every record of the table as of now, and every change from then on. The two fit together: what the records do
    /// not show comes as a change, and nothing comes twice. Drop the records when they have been used: they are a view,
    /// which keeps what is overwritten meanwhile.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use std::collections::BTreeMap;
    /// use serde::{Deserialize, Serialize};
    /// use tabularaft::{ChangeKind, Node, Record};
    ///
    /// #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    /// #[record(table = "followed_route", kind = "set", copy = "ram", crate = "tabularaft::schema")]
    /// struct Route { #[key] topic: String, node: String }
    ///
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// node.create_table::<Route>().await?;
    /// let routes = node.table::<Route>()?;
    /// routes.insert(&Route { topic: "a".into(), node: "n1".into() }).await?;
    ///
    /// let (records, mut changes) = routes.subscribe()?;
    /// let mut cache: BTreeMap<String, String> =
    ///     records.map(|route| route.map(|route| (route.topic, route.node))).collect::<Result<_, _>>()?;
    ///
    /// routes.insert(&Route { topic: "a".into(), node: "n2".into() }).await?;
    /// let change = changes.next().await?.expect("the table is there");
    /// assert_eq!(change.old.as_ref().map(|route| route.node.as_str()), Some("n1"));
    /// match change.kind {
    ///     ChangeKind::Put => {
    ///         let route = change.new.expect("a put has a new record");
    ///         cache.insert(route.topic, route.node);
    ///     }
    ///     ChangeKind::Delete => drop(change.old.map(|route| cache.remove(&route.topic))),
    ///     ChangeKind::Clear => cache.clear(),
    ///     _ => {}
    /// }
    /// assert_eq!(cache["a"], "n2");
    ///
    /// // Later, or on another node: on from where this one has come to.
    /// let position = changes.position();
    /// drop(changes);
    /// routes.delete("a").await?;
    /// let (_, resumed) = routes.subscribe()?;
    /// let missed = resumed.after(position)?.next().await?.expect("the table is there");
    /// assert_eq!(missed.kind, ChangeKind::Delete);
    /// # node.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When the table cannot be read here, or not followed; see [`SubscribeError`].
    pub fn subscribe(&self) -> Result<(Records<R>, Subscription<R>), SubscribeError> {
        self.follow(|table| table.iter())
    }

    /// As [`Table::subscribe`], of the record under one key; of a bag, of all records under it.
    ///
    /// # Errors
    ///
    /// As [`Table::subscribe`].
    pub fn subscribe_key(
        &self,
        key: impl KeyFor<R::Key>,
    ) -> Result<(Records<R>, Subscription<R>), SubscribeError> {
        let key = key.to_key();
        self.follow(|table| table.under(key))
    }

    /// As [`Table::subscribe`], of the records whose keys lie in a range.
    ///
    /// # Errors
    ///
    /// As [`Table::subscribe`].
    pub fn subscribe_range<K: KeyFor<R::Key>>(
        &self,
        range: impl RangeBounds<K>,
    ) -> Result<(Records<R>, Subscription<R>), SubscribeError> {
        self.follow(|table| table.range(range))
    }

    /// As [`Table::subscribe`], of the records that [`Table::prefix`] gives.
    ///
    /// # Errors
    ///
    /// As [`Table::subscribe`], and as [`Table::prefix`].
    pub fn subscribe_prefix(&self, prefix: &str) -> Result<(Records<R>, Subscription<R>), SubscribeError> {
        self.follow(|table| table.prefix(prefix))
    }

    fn follow(
        &self,
        records: impl FnOnce(&Self) -> Result<Records<R>, ReadError>,
    ) -> Result<(Records<R>, Subscription<R>), SubscribeError> {
        let engine = self.engine()?;
        let records = records(self)?;
        // Between two lives the records could be those of the next one.
        if !Arc::ptr_eq(&engine, &self.engine()?) {
            return Err(ReadError::Stopped.into());
        }
        let (view, id, low, high) = records.selection();
        check_followed(view, id)?;
        let selector = Selector::Table { id, low: low.clone(), high: high.clone() };
        let feed = Feed::begin(&engine, selector, view.applied().map(|applied| applied.log_index()))?;
        Ok((records, Subscription::new(feed, as_type::<R>)))
    }
}

/// Whether the log has the table's changes.
pub(crate) fn check_followed(view: &View, id: TableId) -> Result<(), SubscribeError> {
    match view.table(id) {
        Some(copy) if copy.def().options.local_content => {
            Err(SubscribeError::LocalContent(copy.def().name.clone()))
        }
        _ => Ok(()),
    }
}

impl<R: Record> Subscription<R> {
    /// The records as of now, in place of the changes that this subscription has not given; it goes on after them.
    ///
    /// # Errors
    ///
    /// When the table is not there any more, or the node is between two lives.
    pub fn resync(&mut self) -> Result<Records<R>, SubscribeError> {
        let name = R::table_def().name;
        let Selector::Table { id, low, high } = self.feed.selector().clone() else {
            return Err(ReadError::NoSuchTable(name).into());
        };
        let view = self.go_to_newest_view()?;
        let copy = match view.table(id) {
            Some(copy) if copy.is_ready() => Arc::clone(copy),
            Some(copy) => return Err(ReadError::Loading(copy.def().name.clone()).into()),
            None if view.schema().table_by_id(id).is_some() => return Err(ReadError::NoCopy(name).into()),
            None => return Err(ReadError::NoSuchTable(name).into()),
        };
        Ok(Records::new(view, &copy, low, high))
    }
}

impl<R: Record> Table<R> {
    fn engine(&self) -> Result<Arc<Engine>, ReadError> {
        self.node().engine().ok_or(ReadError::Stopped)
    }
}
