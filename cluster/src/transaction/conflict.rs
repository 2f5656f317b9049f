//! What a conflict was about, and when it is worth trying again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tabularaft_schema::TableKind;
use tabularaft_store::{TableView, View, key_of_storage_key};

use crate::door;
use crate::engine::Engine;
use crate::transaction::TransactionError;
use crate::write::{Place, Rejection};

/// How long a change that was in flight is waited for. It may never come: another leader may have been elected.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// The longest pause before another attempt.
const PAUSE_MS_MAX: u64 = 64;

/// What had changed.
#[derive(Debug, Clone)]
pub(super) struct Conflict {
    table: String,
    key: Option<Vec<u8>>,
    by_key: bool,
    version: u64,
}

impl Conflict {
    /// The conflict, if that is what the request was rejected for.
    pub(super) fn of(rejection: Rejection) -> Result<Self, Rejection> {
        match rejection {
            Rejection::Conflict { table, key, by_key, version } => Ok(Self { table, key, by_key, version }),
            // A table that was replaced by another one under its name meanwhile: the closure finds that one.
            Rejection::NoSuchTable(id) => {
                Ok(Self { table: format!("with id {id}"), key: None, by_key: false, version: 0 })
            }
            other => Err(other),
        }
    }

    /// No turn at the record came before the deadline.
    pub(super) fn at(place: &Place, view: &View) -> Self {
        let table = view.table(place.0).map_or_else(String::new, |copy| copy.def().name.to_string());
        Self { table, key: Some(place.1.to_vec()), by_key: true, version: 0 }
    }

    /// The record, if having a turn at it helps.
    pub(super) fn place(&self, view: &View) -> Option<Place> {
        let key = self.key.clone().filter(|_| self.by_key)?;
        let copy = self.copy(view).filter(|copy| copy.def().kind != TableKind::Bag)?;
        Some((copy.id(), key.into()))
    }

    fn copy<'v>(&self, view: &'v View) -> Option<&'v Arc<TableView>> {
        view.tables().find(|copy| copy.def().name.as_str() == self.table)
    }

    /// Waits until this node shows the change, so that the next attempt does not read the same again; then a moment by
    /// chance, the longer the more attempts have failed, so that those who got in each other's way part.
    pub(super) async fn wait(&self, engine: &Engine, attempts: u32, deadline: Instant) {
        let mut applied = engine.applied.clone();
        let until = deadline.min(door::now() + WAIT_MAX);
        let shown = |_: &u64| engine.store.read().last_version() >= self.version;
        let _ = door::until(until, applied.wait_for(shown)).await;
        let pause_ms_max = 1_u64.checked_shl(attempts.saturating_sub(1)).map_or(PAUSE_MS_MAX, |ms| ms - 1);
        let pause_ms = door::random_u64() % (pause_ms_max.min(PAUSE_MS_MAX) + 1);
        if pause_ms > 0 {
            door::sleep(door::ms(pause_ms)).await;
        }
    }

    /// What the caller is told in the end.
    pub(super) fn error(&self, view: &View, attempts: u32) -> TransactionError {
        let key = self.key.as_deref().zip(self.copy(view)).map(|(key, copy)| key_as_text(copy, key));
        let (table, key) = (self.table.clone(), key.unwrap_or_else(|| "*".to_owned()));
        TransactionError::Conflict { table, key, attempts }
    }
}

fn key_as_text(copy: &TableView, storage_key: &[u8]) -> String {
    let def = copy.def();
    let key = match def.kind {
        TableKind::Bag => key_of_storage_key(def, storage_key),
        _ => storage_key,
    };
    def.key_to_json(key).unwrap_or_else(|_| Json::from(key.escape_ascii().to_string())).to_string()
}
