//! Views kept at barriers, so that the copies of all nodes can be compared at one log index.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::view::View;

/// How many views are kept; the oldest goes first.
const BARRIERS_MAX: usize = 16;

/// The kept views, oldest first.
#[derive(Default)]
pub(crate) struct Barriers {
    views: Mutex<VecDeque<(u64, Arc<View>)>>,
}

impl Barriers {
    pub(crate) fn get(&self, token: u64) -> Option<Arc<View>> {
        self.lock().iter().rev().find(|(of, _)| *of == token).map(|(_, view)| Arc::clone(view))
    }

    /// Adds views in the order in which they were taken.
    pub(crate) fn extend(&self, taken: impl IntoIterator<Item = (u64, Arc<View>)>) {
        let mut views = self.lock();
        views.extend(taken);
        let surplus = views.len().saturating_sub(BARRIERS_MAX);
        views.drain(..surplus);
    }

    pub(crate) fn release(&self, token: u64) {
        self.lock().retain(|(of, _)| *of != token);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Arc<View>)>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
