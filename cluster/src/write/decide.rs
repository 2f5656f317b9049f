//! The sequencer's pure core: requests go in, effects or a rejection come out.

use bytes::Bytes;
use tabularaft_schema::{SchemaChange, TableId, TableKind};
use tabularaft_store::{
    Effect, Incarnation, LogIndex, MemberChange, OpResult, TableView, View, bag_storage_key,
};

use super::change::Change;
use super::guard::{Guard, Space};
use super::limits::check_writable;
use super::locking::Decided;
use super::locks::Place;
use super::overlay::{Overlay, PendingRow};
use super::recent::Recent;
use super::request::{Op, Rejection, Request};
use super::staged::Staged;

/// Everything a decision rests on, and where its effects go.
pub(crate) struct Decider<'a> {
    pub(crate) view: &'a View,
    pub(crate) overlay: &'a mut Overlay,
    /// What ranges that were read are checked against.
    pub(crate) recent: &'a mut Recent,
    /// The number of the entry that is being filled; what it changes is pending under this number.
    pub(crate) entry: u64,
    /// Invariant: greater than every version in the view and the overlay.
    pub(crate) next_version: &'a mut u64,
    pub(crate) record_bytes_max: u64,
    /// Whether this decides for this node alone: tables with local content are written to here, and only here.
    pub(crate) local: bool,
    /// False only in the test that shows what the check of reads prevents.
    pub(crate) checks_reads: bool,
}

/// Records as everything decided so far leaves them.
pub(super) struct Settled<'a> {
    pub(super) view: &'a View,
    pub(super) overlay: &'a Overlay,
}

impl Settled<'_> {
    fn row(&self, copy: &TableView, key: &Bytes) -> Result<Option<PendingRow>, Rejection> {
        if let Some(pending) = self.overlay.get(copy.id(), key) {
            return Ok(pending.row.clone());
        }
        let failed = |error: tabularaft_store::StoreError| not_applicable(copy, &error.to_string());
        let Some(row) = copy.get(key).map_err(failed)? else { return Ok(None) };
        let value = match copy.def().kind {
            TableKind::Bag => Bytes::new(),
            _ => Bytes::copy_from_slice(&copy.record_of(key, row.as_row_ref()).map_err(failed)?),
        };
        Ok(Some(PendingRow { version: row.version(), value }))
    }
}

impl Decided for Settled<'_> {
    fn record(&self, (table, key): &Place) -> Result<Option<Bytes>, Rejection> {
        let copy = self.view.table(*table).ok_or(Rejection::NoSuchTable(table.0))?;
        if copy.def().kind == TableKind::Bag {
            return Err(not_applicable(copy, "the records of a bag cannot be read for update"));
        }
        Ok(self.row(copy, key)?.map(|row| row.value))
    }
}

impl Decider<'_> {
    /// Decides one request. Its effects are appended to `effects`, and pending in the overlay.
    pub(crate) fn decide(
        &mut self,
        owner: Incarnation,
        request: &Request,
        effects: &mut Vec<Effect>,
    ) -> Result<Vec<OpResult>, Rejection> {
        let mut staged = Staged::new(owner, *self.next_version, &request.guards);
        for guard in &request.guards {
            self.check(&staged, guard)?;
        }
        let mut results = Vec::with_capacity(request.ops.len());
        for op in &request.ops {
            results.push(self.operate(&mut staged, op)?);
        }
        let claims = self.check_unique(&staged)?;
        let moved = self.moved(&staged)?;
        // A record that is only rewritten keeps its version, and what was read of it stays true.
        let first_version = std::mem::replace(self.next_version, staged.next_version);
        let is_change = |effect: &&Effect| effect.version().is_some_and(|version| version >= first_version);
        self.take_growth(&staged);
        staged.effects.iter().filter(is_change).for_each(|effect| self.recent.note(effect));
        self.note_moved(moved, staged.next_version.saturating_sub(1));
        effects.append(&mut staged.effects);
        for (claimed, key) in claims {
            self.overlay.claims.add(self.entry, claimed, key);
        }
        for ((table, key), row) in staged.into_rows() {
            self.overlay.set(self.entry, table, key, row);
        }
        if request.silent {
            results.clear();
        }
        Ok(results)
    }

    fn check(&mut self, staged: &Staged, guard: &Guard) -> Result<(), Rejection> {
        if guard.is_read() && !self.checks_reads {
            return Ok(());
        }
        match guard {
            Guard::RecordVersion { .. } => Ok(()),
            Guard::Version { table, key, version } => {
                let copy = self.table(*table)?;
                match self.version(copy, key)? {
                    found if found == *version => Ok(()),
                    found => Err(Rejection::VersionDiffers { table: name(copy), expected: *version, found }),
                }
            }
            Guard::Unchanged { table, key, version } => {
                let copy = self.table(*table)?;
                match self.version(copy, key)? {
                    found if found == *version => Ok(()),
                    found => Err(self.conflict(copy, Some(key), true, found)),
                }
            }
            Guard::Present { table, key } => {
                let copy = self.table(*table)?;
                match self.version(copy, key)? {
                    0 => Err(Rejection::NoSuchRecord { table: name(copy) }),
                    _ => Ok(()),
                }
            }
            Guard::Value { table, key, record } => {
                let copy = self.table(*table)?;
                let found = self.settled(copy, key)?;
                let record = self.in_present_shape(staged, copy, record)?;
                match found.as_ref().is_some_and(|row| row.value == record) {
                    true => Ok(()),
                    false => {
                        let version = found.map_or(0, |row| row.version);
                        Err(Rejection::ValueDiffers { table: name(copy), version })
                    }
                }
            }
            Guard::Empty { table } => match self.table(*table)? {
                copy if copy.is_empty() => Ok(()),
                copy => Err(not_applicable(copy, "it was to be empty, and records have been written to it")),
            },
            Guard::Content { table, key, record } => {
                let copy = self.table(*table)?;
                let found = self.settled(copy, key)?;
                match found.as_ref().map(|row| &row.value) == record.as_ref() {
                    true => Ok(()),
                    false => Err(self.conflict(copy, Some(key), true, found.map_or(0, |row| row.version))),
                }
            }
            Guard::Range { table, space, low, high, at } => {
                let is_known = match space {
                    Space::Primary => true,
                    Space::Index(index) => {
                        self.recent.followed.reaches_back(*table, index, *at, *self.next_version)
                    }
                };
                let change = self.recent.change_after(*at, *table, space, low, high);
                let copy = self.table(*table)?;
                if !is_known {
                    return Err(self.conflict(copy, None, false, 0));
                }
                match change {
                    None => Ok(()),
                    Some(change) => {
                        let key = change.key.map(|place| storage_key_at(copy, space, place));
                        Err(self.conflict(copy, key.as_ref(), false, change.version))
                    }
                }
            }
        }
    }

    fn version(&self, copy: &TableView, key: &Bytes) -> Result<u64, Rejection> {
        Ok(self.settled(copy, key)?.map_or(0, |row| row.version))
    }

    /// A deleted record has no version to wait for: then everything decided so far is waited for.
    fn conflict(&self, copy: &TableView, key: Option<&Bytes>, by_key: bool, version: u64) -> Rejection {
        let version = if version == 0 { self.next_version.saturating_sub(1) } else { version };
        Rejection::Conflict { table: name(copy), key: key.map(|key| key.to_vec()), by_key, version }
    }

    fn operate(&self, staged: &mut Staged, op: &Op) -> Result<OpResult, Rejection> {
        match op {
            Op::Put { table, key, value } => self.put(staged, self.writable(*table)?, key, value),
            Op::InsertNew { table, key, value } => {
                let copy = self.writable(*table)?;
                self.require_absent(staged, copy, key)?;
                self.put(staged, copy, key, value)
            }
            Op::Delete { table, key } => self.delete(staged, self.writable(*table)?, key),
            Op::DeleteObject { table, key, value } => {
                self.delete_object(staged, self.writable(*table)?, key, value)
            }
            Op::Update { table, key, change } => self.update(staged, self.writable(*table)?, key, change),
            Op::Clear { table } => {
                let copy = self.writable(*table)?;
                let version = staged.version();
                staged.effects.push(Effect::Clear { table: copy.id(), version });
                Ok(OpResult::Count(copy.len()))
            }
            Op::Restart { table } => {
                let copy = self.view.table(*table).ok_or(Rejection::NoSuchTable(table.0))?;
                if copy.is_loading() {
                    let version = staged.version();
                    staged.effects.push(Effect::Clear { table: *table, version });
                }
                Ok(OpResult::Found(copy.is_loading()))
            }
            Op::Schema(change) => self.schema(staged, change),
            Op::Member(change) => self.member(staged, change),
            Op::Barrier { token } => {
                staged.effects.push(Effect::Barrier { token: *token });
                Ok(OpResult::Done)
            }
            Op::Clock { unix_ms, forget_ms } => {
                staged.effects.push(Effect::Clock { unix_ms: *unix_ms, forget_ms: *forget_ms });
                Ok(OpResult::Done)
            }
            Op::Transform { table, shape, checked } => self.transform(staged, table, shape, *checked),
            Op::Rewrite { table, record_version, records } => {
                self.rewrite(staged, self.table(*table)?, *record_version, records)
            }
            Op::Reap { table, records } => self.reap(staged, self.table(*table)?, records),
        }
    }

    fn put(
        &self,
        staged: &mut Staged,
        copy: &TableView,
        key: &Bytes,
        value: &Bytes,
    ) -> Result<OpResult, Rejection> {
        let value = self.in_present_shape(staged, copy, value)?;
        self.check_size(copy, key, &value)?;
        if Self::is_bag(copy) {
            if let Some((_, version)) = self.bag_place(staged, copy, key, &value)? {
                return Ok(OpResult::Version(version));
            }
            let place = bag_storage_key(key, &value);
            self.resize(staged, copy, &place, Some(0))?;
            return Ok(OpResult::Version(staged.put(copy, place, Bytes::new())));
        }
        self.resize(staged, copy, key, Some(value.len()))?;
        Ok(OpResult::Version(staged.put(copy, key.clone(), value)))
    }

    fn require_absent(&self, staged: &Staged, copy: &TableView, key: &Bytes) -> Result<(), Rejection> {
        let version = match copy.def().kind {
            TableKind::Bag => self.bag_keys(staged, copy, key)?.first().map(|(_, version)| *version),
            _ => self.current(staged, copy, key)?.map(|row| row.version),
        };
        version.map_or(Ok(()), |version| Err(Rejection::KeyExists { table: name(copy), version }))
    }

    fn delete(&self, staged: &mut Staged, copy: &TableView, key: &Bytes) -> Result<OpResult, Rejection> {
        if copy.def().kind == TableKind::Bag {
            let keys = self.bag_keys(staged, copy, key)?;
            let count = keys.len() as u64;
            for (key, _) in keys {
                self.remove(staged, copy, key)?;
            }
            return Ok(OpResult::Count(count));
        }
        if self.current(staged, copy, key)?.is_none() {
            return Ok(OpResult::Count(0));
        }
        self.remove(staged, copy, key.clone())?;
        Ok(OpResult::Count(1))
    }

    /// Deletes what is still as it was found.
    fn reap(
        &self,
        staged: &mut Staged,
        copy: &TableView,
        records: &[(Bytes, u64)],
    ) -> Result<OpResult, Rejection> {
        let mut count = 0;
        for (key, version) in records {
            if self.current(staged, copy, key)?.is_some_and(|row| row.version == *version) {
                self.remove(staged, copy, key.clone())?;
                count += 1;
            }
        }
        Ok(OpResult::Count(count))
    }

    fn remove(&self, staged: &mut Staged, copy: &TableView, key: Bytes) -> Result<(), Rejection> {
        self.resize(staged, copy, &key, None)?;
        staged.delete(copy, key);
        Ok(())
    }

    fn delete_object(
        &self,
        staged: &mut Staged,
        copy: &TableView,
        key: &Bytes,
        value: &Bytes,
    ) -> Result<OpResult, Rejection> {
        let value = self.in_present_shape(staged, copy, value)?;
        let place = match Self::is_bag(copy) {
            true => self.bag_place(staged, copy, key, &value)?.map(|(place, _)| place),
            false => self.current(staged, copy, key)?.filter(|row| row.value == value).map(|_| key.clone()),
        };
        let found = place.is_some();
        if let Some(place) = place {
            self.remove(staged, copy, place)?;
        }
        Ok(OpResult::Count(u64::from(found)))
    }

    fn update(
        &self,
        staged: &mut Staged,
        copy: &TableView,
        key: &Bytes,
        change: &Change,
    ) -> Result<OpResult, Rejection> {
        let before = self.current(staged, copy, key)?.map(|row| row.value);
        let change = self.in_present_terms(staged, copy, change)?;
        let (after, result) = change.apply(copy.def(), before.as_ref())?;
        match after {
            after if after == before => {}
            Some(record) => {
                if copy.def().key_of_record(&record).ok().is_none_or(|made| made.as_bytes() != &key[..]) {
                    return Err(not_applicable(copy, "the change makes a record with another key"));
                }
                self.check_size(copy, key, &record)?;
                self.resize(staged, copy, key, Some(record.len()))?;
                staged.put(copy, key.clone(), record);
            }
            None => drop(self.delete(staged, copy, key)?),
        }
        Ok(result)
    }

    fn schema(&self, staged: &mut Staged, change: &SchemaChange) -> Result<OpResult, Rejection> {
        self.check_index_change(change)?;
        match change {
            SchemaChange::Transform { table, shape } => return self.transform(staged, table, shape, 0),
            SchemaChange::ForgetFormerShapes { table } if !self.speaks_of_present(staged, table) => {
                return Ok(OpResult::Found(false));
            }
            _ => {}
        }
        match self.view.schema().apply(change) {
            Ok(None) => Ok(OpResult::Found(false)),
            Ok(Some(_)) => {
                staged.effects.push(Effect::Schema(change.clone()));
                Ok(OpResult::Found(true))
            }
            Err(error) => Err(Rejection::Schema(error.to_string())),
        }
    }

    fn member(&self, staged: &mut Staged, change: &MemberChange) -> Result<OpResult, Rejection> {
        // The index only dates the change, so any will do for the check.
        let system = staged.system.as_ref().unwrap_or(self.view.system());
        let changed = system.apply(change, LogIndex(0));
        staged.system = Some(changed.map_err(|error| Rejection::Member(error.to_string()))?);
        staged.effects.push(Effect::Member(change.clone()));
        Ok(OpResult::Done)
    }

    pub(super) fn table(&self, id: TableId) -> Result<&TableView, Rejection> {
        let copy = self.view.table(id).ok_or(Rejection::NoSuchTable(id.0))?;
        if copy.is_loading() {
            return Err(Rejection::TableLoading { table: name(copy) });
        }
        if copy.def().options.local_content != self.local {
            return Err(not_applicable(
                copy,
                "a request writes to replicated tables or to tables with local content, not to both",
            ));
        }
        Ok(copy)
    }

    fn writable(&self, id: TableId) -> Result<&TableView, Rejection> {
        let copy = self.table(id)?;
        check_writable(copy)?;
        Ok(copy)
    }

    /// The record as this request left it, or else as everything decided before left it.
    pub(super) fn current(
        &self,
        staged: &Staged,
        copy: &TableView,
        key: &Bytes,
    ) -> Result<Option<PendingRow>, Rejection> {
        match staged.row(copy.id(), key) {
            Some(row) => Ok(row.clone()),
            None => self.settled(copy, key),
        }
    }

    pub(super) fn settled(&self, copy: &TableView, key: &Bytes) -> Result<Option<PendingRow>, Rejection> {
        Settled { view: self.view, overlay: self.overlay }.row(copy, key)
    }

    /// The storage keys and versions of all records of a bag under `key`.
    fn bag_keys(
        &self,
        staged: &Staged,
        copy: &TableView,
        key: &Bytes,
    ) -> Result<Vec<(Bytes, u64)>, Rejection> {
        let mut keys = std::collections::BTreeMap::new();
        for found in copy.prefix(key) {
            let stored = found.map_err(|error| not_applicable(copy, &error.to_string()))?;
            keys.insert(Bytes::copy_from_slice(stored.key()), stored.version());
        }
        let pending = self.overlay.prefix(copy.id(), key).map(|(key, pending)| (key, &pending.row));
        for (key, row) in pending.chain(staged.prefix(copy.id(), key)) {
            match row {
                Some(row) => keys.insert(key.clone(), row.version),
                None => keys.remove(key),
            };
        }
        Ok(keys.into_iter().collect())
    }

    fn check_size(&self, copy: &TableView, key: &Bytes, value: &Bytes) -> Result<(), Rejection> {
        let limit = copy.def().options.record_bytes_max.map_or(self.record_bytes_max, u64::from);
        let bytes = (key.len() + value.len()) as u64;
        if bytes <= limit {
            return Ok(());
        }
        Err(Rejection::RecordTooLarge { table: name(copy), bytes, limit })
    }
}

/// The storage key of a place that has changed: in an index it follows the value.
fn storage_key_at(copy: &TableView, space: &Space, place: Bytes) -> Bytes {
    let Space::Index(name) = space else { return place };
    let value_type = copy.index(name).ok().and_then(|index| index.value_type());
    let value_bytes =
        value_type.and_then(|value_type| value_type.split_key(&place)).map(|(value, _)| value.len());
    place.slice(value_bytes.unwrap_or(0)..)
}

pub(super) fn name(copy: &TableView) -> String {
    copy.def().name.to_string()
}

pub(super) fn not_applicable(copy: &TableView, why: &str) -> Rejection {
    Rejection::NotApplicable { table: name(copy), why: why.to_owned() }
}
