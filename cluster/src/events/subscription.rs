//! What a subscriber holds.

use std::sync::Arc;

use tabularaft_store::{LogIndex, View};

use super::change::{Change, Reading};
use super::error::SubscribeError;
use super::feed::Feed;

/// Changes after a view, in the order of the log, each exactly once. Begun by [`Table::subscribe`] and its like for one
/// table, and by [`Node::subscribe`] for all.
///
/// A subscription reads from a bounded history that the node keeps anyway. So it costs the writers nothing, may be left
/// unread or dropped at any time, and there may be any number of them. One that falls behind the history (see
/// [`NodeConfig::history_bytes`]) gets [`SubscribeError::Compacted`] and goes on with [`Subscription::resync`].
///
/// It belongs to one life of the node: when the node stops, or joins another cluster, it ends with
/// [`ReadError::Stopped`](crate::ReadError::Stopped).
///
/// [`Table::subscribe`]: crate::Table::subscribe
/// [`Node::subscribe`]: crate::Node::subscribe
/// [`NodeConfig::history_bytes`]: crate::NodeConfig::history_bytes
pub struct Subscription<R> {
    pub(super) feed: Feed,
    reading: Reading<R>,
}

impl<R> Subscription<R> {
    pub(super) fn new(feed: Feed, reading: Reading<R>) -> Self {
        Self { feed, reading }
    }

    /// The next change, as soon as there is one. `None` once the table was dropped, or this node has given its copy up;
    /// the change before says which.
    ///
    /// # Errors
    ///
    /// See [`SubscribeError`]. After [`SubscribeError::Compacted`] only a resync helps. A record that cannot be read is
    /// passed over by the next call.
    ///
    /// # Cancel safety
    ///
    /// No change is lost if the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Change<R>>, SubscribeError> {
        let given = self.feed.next().await?;
        Ok(given.map(|given| Change::of(&given, self.reading)).transpose()?)
    }

    /// As [`Subscription::next`], without waiting: `None` if there is no change yet.
    ///
    /// # Errors
    ///
    /// As [`Subscription::next`].
    pub fn try_next(&mut self) -> Result<Option<Change<R>>, SubscribeError> {
        let given = self.feed.try_next()?;
        Ok(given.map(|given| Change::of(&given, self.reading)).transpose()?)
    }

    /// Every change up to this log index has been given. Who keeps it can [go on after it](Subscription::after) later,
    /// with a new subscription, here or on another node that holds the table. Amid the changes of one log index it is
    /// the one before: these come again, all of them.
    pub fn position(&self) -> LogIndex {
        self.feed.position().unwrap_or_default()
    }

    /// Goes to the changes after another log index: one that an earlier subscription has come to.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::Compacted`] if they are not all there any more.
    pub fn after(mut self, index: LogIndex) -> Result<Self, SubscribeError> {
        self.feed.reposition(Some(index))?;
        Ok(self)
    }

    /// Goes on after the newest view, which it gives back.
    pub(super) fn go_to_newest_view(&mut self) -> Result<Arc<View>, SubscribeError> {
        let view = self.feed.store()?.view();
        self.feed.reposition(view.applied().map(|applied| applied.log_index()))?;
        Ok(view)
    }
}

impl<R> std::fmt::Debug for Subscription<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("position", &self.position()).finish_non_exhaustive()
    }
}
