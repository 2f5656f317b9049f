//! Views that are held for others: nodes that copy from this one, and clients that page through a table.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tabularaft_store::View;

use crate::door;

/// A view that nobody asked for this long is let go.
const IDLE: Duration = Duration::from_secs(60);

/// The held views by token, at most `limit` at once: each keeps the records that are overwritten meanwhile.
pub(crate) struct HeldViews<T = Arc<View>> {
    limit: usize,
    held: Mutex<HashMap<u64, Held<T>>>,
}

struct Held<T> {
    view: T,
    used: Instant,
}

impl<T: Clone> HeldViews<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, held: Mutex::default() }
    }

    /// Holds the view and returns its token, or `None` when as many as may be are held already.
    pub(crate) fn hold(&self, view: T) -> Option<u64> {
        let token = door::random_u64();
        let now = door::now();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, view| now.saturating_duration_since(view.used) < IDLE);
        if held.len() >= self.limit {
            return None;
        }
        held.insert(token, Held { view, used: now });
        Some(token)
    }

    /// Whether somebody has asked for the view lately; if not, it is let go.
    pub(crate) fn is_in_use(&self, token: u64) -> bool {
        let now = door::now();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, view| now.saturating_duration_since(view.used) < IDLE);
        held.contains_key(&token)
    }

    pub(crate) fn get(&self, token: u64) -> Option<T> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let view = held.get_mut(&token)?;
        view.used = door::now();
        Some(view.view.clone())
    }

    /// Lets go of all, because the store that they are of is stopped.
    pub(crate) fn close_all(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn close(&self, token: u64) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&token);
    }
}
