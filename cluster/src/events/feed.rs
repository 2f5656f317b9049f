//! The selected changes of one life of a node, read from the store's history as they come.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use tabularaft_store::{Change, HistoryEntry, LogIndex, Store};

use super::error::SubscribeError;
use super::selector::Selector;
use crate::engine::Engine;
use crate::error::ReadError;
use crate::watch;

/// How many entries a subscriber takes from the history at once. They stay in memory until it has used them, at most
/// a megabyte each.
const ENTRIES_AT_ONCE: usize = 16;

/// A place in the history, and what was read behind it but not given yet.
pub(crate) struct Feed {
    /// Weak, so that a subscriber does not keep a stopped store's files open.
    store: Weak<Store>,
    applied: watch::Receiver<u64>,
    selector: Selector,
    /// Everything up to here has been given; `None`: nothing, and the log's first entry is wanted too.
    after: Option<LogIndex>,
    /// Up to here the history has been read. Invariant: `after <= read_upto`.
    read_upto: Option<LogIndex>,
    read: VecDeque<Arc<HistoryEntry>>,
    /// Selected changes of the first of `read`, by their places in it.
    selected: VecDeque<usize>,
    ended: bool,
}

/// One selected change.
pub(crate) struct Given {
    pub(crate) index: LogIndex,
    /// Another selected change of the same log index follows.
    pub(crate) more: bool,
    pub(crate) change: Change,
}

impl Feed {
    /// Begins after a log index, of which it is checked that the history reaches back to it.
    pub(crate) fn begin(
        engine: &Engine,
        selector: Selector,
        after: Option<LogIndex>,
    ) -> Result<Self, SubscribeError> {
        let mut feed = Self {
            store: Arc::downgrade(&engine.store),
            applied: engine.applied.clone(),
            selector,
            after,
            read_upto: after,
            read: VecDeque::new(),
            selected: VecDeque::new(),
            ended: false,
        };
        feed.reposition(after)?;
        Ok(feed)
    }

    /// Goes to another place, or says why it cannot; then it stays where it is.
    pub(crate) fn reposition(&mut self, after: Option<LogIndex>) -> Result<(), SubscribeError> {
        let page = self.store()?.history().read(after, self.selector.table(), 0);
        page.map_err(|error| SubscribeError::of(error, after))?;
        (self.after, self.read_upto, self.ended) = (after, after, false);
        self.read.clear();
        self.selected.clear();
        Ok(())
    }

    /// The log index up to which every selected change has been given.
    pub(crate) fn position(&self) -> Option<LogIndex> {
        self.after
    }

    pub(crate) fn selector(&self) -> &Selector {
        &self.selector
    }

    pub(crate) fn store(&self) -> Result<Arc<Store>, SubscribeError> {
        self.store.upgrade().ok_or(SubscribeError::Read(ReadError::Stopped))
    }

    /// The next change, as soon as there is one; `None` after the table's end.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Option<Given>, SubscribeError> {
        loop {
            // Marked as seen before reading: what is published meanwhile wakes this again.
            self.applied.borrow_and_update();
            while !self.ended {
                if let Some(given) = self.give() {
                    return Ok(Some(given));
                }
                if !self.read_on()? {
                    break;
                }
            }
            if self.ended {
                return Ok(None);
            }
            self.applied.changed().await.map_err(|_| ReadError::Stopped)?;
        }
    }

    /// The next change if it is there already.
    pub(crate) fn try_next(&mut self) -> Result<Option<Given>, SubscribeError> {
        while !self.ended {
            if let Some(given) = self.give() {
                return Ok(Some(given));
            }
            if !self.read_on()? {
                break;
            }
        }
        Ok(None)
    }

    /// Whether the table that was followed is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    fn give(&mut self) -> Option<Given> {
        loop {
            let entry = self.read.front()?;
            let Some(place) = self.selected.pop_front() else {
                self.after = Some(entry.index);
                self.read.pop_front();
                self.select();
                continue;
            };
            let change = entry.changes.get(place)?.clone();
            let (index, more) = (entry.index, !self.selected.is_empty());
            self.ended = self.selector.ends_with(&change);
            if !more || self.ended {
                self.after = Some(index);
            }
            return Some(Given { index, more: more && !self.ended, change });
        }
    }

    /// Looks for selected changes in the first entry that was read.
    fn select(&mut self) {
        let Some(entry) = self.read.front() else {
            self.after = self.read_upto;
            return;
        };
        let places = entry.changes.iter().enumerate().filter(|(_, change)| self.selector.wants(change));
        self.selected = places.map(|(place, _)| place).collect();
    }

    /// Reads more of the history. False if there is nothing more at the moment.
    fn read_on(&mut self) -> Result<bool, SubscribeError> {
        let page = self.store()?.history().read(self.read_upto, self.selector.table(), ENTRIES_AT_ONCE);
        let page = page.map_err(|error| SubscribeError::of(error, self.after))?;
        let progress = page.upto > self.read_upto;
        self.read_upto = page.upto;
        self.read = page.entries.into();
        self.select();
        Ok(progress)
    }
}
