//! Effects of one request, before they are taken over: a rejection half-way leaves nothing behind.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use tabularaft_schema::TableId;
use tabularaft_store::{Effect, Incarnation, TableView};

use super::limits::Growth;
use super::overlay::PendingRow;

type Place = (TableId, Bytes);

/// What a request has come to so far.
pub(super) struct Staged {
    owner: Incarnation,
    /// Of tables with a limit.
    pub(super) growth: BTreeMap<TableId, Growth>,
    pub(super) effects: Vec<Effect>,
    /// The records as the request leaves them; `None`: deleted.
    rows: BTreeMap<Place, Option<PendingRow>>,
    pub(super) next_version: u64,
}

impl Staged {
    pub(super) fn new(owner: Incarnation, next_version: u64) -> Self {
        Self { owner, growth: BTreeMap::new(), effects: Vec::new(), rows: BTreeMap::new(), next_version }
    }

    pub(super) fn into_rows(self) -> impl Iterator<Item = (Place, Option<PendingRow>)> {
        self.rows.into_iter()
    }

    /// The records that the request changes, as it leaves them.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Place, &Option<PendingRow>)> {
        self.rows.iter()
    }

    pub(super) fn row(&self, table: TableId, key: &Bytes) -> Option<&Option<PendingRow>> {
        if self.rows.is_empty() {
            return None;
        }
        self.rows.get(&(table, key.clone()))
    }

    /// The changed records of `table` whose keys start with `prefix`, in key order.
    pub(super) fn prefix<'a>(
        &'a self,
        table: TableId,
        prefix: &'a Bytes,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Option<PendingRow>)> {
        self.rows
            .range((Bound::Included((table, prefix.clone())), Bound::Unbounded))
            .take_while(move |((t, key), _)| *t == table && key.starts_with(prefix))
            .map(|((_, key), row)| (key, row))
    }

    pub(super) fn version(&mut self) -> u64 {
        let version = self.next_version;
        self.next_version += 1;
        version
    }

    pub(super) fn put(&mut self, copy: &TableView, key: Bytes, value: Bytes) -> u64 {
        let version = self.version();
        let owner = copy.def().options.owned.then_some(self.owner);
        let row = PendingRow { version, value: value.clone() };
        self.rows.insert((copy.id(), key.clone()), Some(row));
        self.effects.push(Effect::Put { table: copy.id(), key, value, version, owner });
        version
    }

    pub(super) fn delete(&mut self, copy: &TableView, key: Bytes) {
        let version = self.version();
        self.rows.insert((copy.id(), key.clone()), None);
        self.effects.push(Effect::Delete { table: copy.id(), key, version });
    }
}
