//! Effects of one request, before they are taken over: a rejection half-way leaves nothing behind.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use tabularaft_schema::TableId;
use tabularaft_store::{Effect, Incarnation, SystemState, TableView};

use super::guard::Guard;
use super::limits::Growth;
use super::overlay::PendingRow;
use super::request::Rewritten;

type Place = (TableId, Bytes);

/// What a request has come to so far.
pub(super) struct Staged {
    owner: Incarnation,
    /// What the request says of the record versions that it writes.
    record_versions: Vec<(TableId, u32)>,
    /// Of tables with a limit.
    pub(super) growth: BTreeMap<TableId, Growth>,
    pub(super) effects: Vec<Effect>,
    /// The members as the request leaves them, if it changes them.
    pub(super) system: Option<SystemState>,
    /// The records as the request leaves them; `None`: deleted.
    rows: BTreeMap<Place, Option<PendingRow>>,
    pub(super) next_version: u64,
}

impl Staged {
    pub(super) fn new(owner: Incarnation, next_version: u64, guards: &[Guard]) -> Self {
        let record_versions = guards.iter().filter_map(|guard| match guard {
            Guard::RecordVersion { table, version } => Some((*table, *version)),
            _ => None,
        });
        let record_versions = record_versions.collect();
        Self {
            owner,
            record_versions,
            growth: BTreeMap::new(),
            effects: Vec::new(),
            system: None,
            rows: BTreeMap::new(),
            next_version,
        }
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

    /// The record is the same in another form, so it keeps version and owner.
    pub(super) fn rewrite(&mut self, copy: &TableView, record: &Rewritten, owner: Option<Incarnation>) {
        let (table, version) = (copy.id(), record.version);
        if record.to != record.key {
            self.forget_form(copy, record);
        }
        let (key, value) = (record.to.clone(), record.value.clone());
        self.rows.insert((table, key.clone()), Some(PendingRow { version, value: value.clone() }));
        self.effects.push(Effect::Put { table, key, value, version, owner });
    }

    /// The record is there in its new form already.
    pub(super) fn forget_form(&mut self, copy: &TableView, record: &Rewritten) {
        let (table, key, version) = (copy.id(), record.key.clone(), record.version);
        self.rows.insert((table, key.clone()), None);
        self.effects.push(Effect::Delete { table, key, version });
    }

    /// The record version of what the request writes to a table.
    pub(super) fn written_version(&self, table: TableId) -> u32 {
        self.record_versions.iter().find(|(of, _)| *of == table).map_or(1, |(_, version)| *version)
    }

    pub(super) fn delete(&mut self, copy: &TableView, key: Bytes) {
        let version = self.version();
        self.rows.insert((copy.id(), key.clone()), None);
        self.effects.push(Effect::Delete { table: copy.id(), key, version });
    }
}
