//! Records of several record versions: what the leader does about writes of earlier ones, and how a table gets another.

use bytes::Bytes;
use tabularaft_schema::{RecordShape, SchemaChange, TableKind, TableName, Upgrade};
use tabularaft_store::{Effect, OpResult, TableView, bag_storage_key};

use super::change::Change;
use super::decide::{Decider, name, not_applicable};
use super::request::{Rejection, Rewritten};
use super::staged::Staged;
use crate::transform;

impl Decider<'_> {
    /// A record that the request brings, in the table's shape: the request may have been on its way while the table
    /// was transformed.
    pub(super) fn in_present_shape(
        &self,
        staged: &Staged,
        copy: &TableView,
        record: &Bytes,
    ) -> Result<Bytes, Rejection> {
        let (written, present) = (staged.written_version(copy.id()), copy.def().shape.version);
        if written == present {
            return Ok(record.clone());
        }
        let refused = |why: String| Rejection::RecordVersion { table: name(copy), written, present, why };
        match copy.upgrade() {
            Some(upgrade) if written < present => {
                upgrade.record(written, record).map(Bytes::from).map_err(|error| refused(error.to_string()))
            }
            _ => Err(refused(format!("records of version {written} are no longer known"))),
        }
    }

    /// The number, in the table's shape, of a field that the request names by its number in its own.
    pub(super) fn present_field(
        &self,
        staged: &Staged,
        copy: &TableView,
        field: u32,
    ) -> Result<u32, Rejection> {
        let (written, shape) = (staged.written_version(copy.id()), &copy.def().shape);
        if written == shape.version {
            return Ok(field);
        }
        let table = self.view.schema().table_by_id(copy.id());
        let former = table.and_then(|table| table.shape(written));
        let named = former.and_then(|former| former.fields.get(field as usize));
        let place = named.and_then(|field| shape.position(&field.name));
        place.map(|place| place as u32).ok_or_else(|| Rejection::RecordVersion {
            table: name(copy),
            written,
            present: shape.version,
            why: "the field is no longer there".to_owned(),
        })
    }

    /// A change that the request brings, in terms of the table's shape.
    pub(super) fn in_present_terms(
        &self,
        staged: &Staged,
        copy: &TableView,
        change: &Change,
    ) -> Result<Change, Rejection> {
        let mut change = change.clone();
        if let Change::Combine { field, otherwise, .. } | Change::Append { field, otherwise, .. } =
            &mut change
        {
            *field = self.present_field(staged, copy, *field)?;
            if let Some(record) = otherwise {
                *record = self.in_present_shape(staged, copy, record)?;
            }
        }
        Ok(change)
    }

    /// The storage key under which a bag holds this record, in whichever form.
    pub(super) fn bag_place(
        &self,
        staged: &Staged,
        copy: &TableView,
        key: &Bytes,
        record: &Bytes,
    ) -> Result<Option<(Bytes, u64)>, Rejection> {
        let place = bag_storage_key(key, record);
        if let Some(row) = self.current(staged, copy, &place)? {
            return Ok(Some((place, row.version)));
        }
        let Some(upgrade) = copy.upgrade() else { return Ok(None) };
        let failed = |error: &dyn std::fmt::Display| not_applicable(copy, &error.to_string());
        for stored in copy.prefix(key) {
            let stored = stored.map_err(|error| failed(&error))?;
            if stored.record_version() == copy.def().shape.version {
                continue;
            }
            let form = upgrade.record(stored.record_version(), copy.stored_bytes(&stored));
            if form.map_err(|error| failed(&error))? == record[..] {
                let place = Bytes::copy_from_slice(stored.key());
                return Ok(self.current(staged, copy, &place)?.map(|row| (place, row.version)));
            }
        }
        Ok(None)
    }

    /// Records that were written or deleted meanwhile are left alone.
    pub(super) fn rewrite(
        &self,
        staged: &mut Staged,
        copy: &TableView,
        record_version: u32,
        records: &[Rewritten],
    ) -> Result<OpResult, Rejection> {
        if copy.def().shape.version != record_version {
            return Ok(OpResult::Count(0));
        }
        let mut count = 0;
        for record in records {
            if staged.row(copy.id(), &record.key).is_some()
                || self.overlay.get(copy.id(), &record.key).is_some()
            {
                continue;
            }
            let row = copy.get(&record.key).map_err(|error| not_applicable(copy, &error.to_string()))?;
            let is_it = |row: &tabularaft_store::Row| {
                row.version() == record.version && row.record_version() != record_version
            };
            let Some(row) = row.filter(is_it) else { continue };
            let stays = record.to == record.key || self.current(staged, copy, &record.to)?.is_none();
            Self::reform(staged, copy, record, row.value().len(), stays);
            match stays {
                true => staged.rewrite(copy, record, row.owner()),
                false => staged.forget_form(copy, record),
            }
            count += 1;
        }
        Ok(OpResult::Count(count))
    }

    /// All records of versions up to `checked` are known to be fit for the shape; what was written since is looked at
    /// here, while nothing is in flight.
    pub(super) fn transform(
        &self,
        staged: &mut Staged,
        table: &TableName,
        shape: &RecordShape,
        checked: u64,
    ) -> Result<OpResult, Rejection> {
        let change = SchemaChange::Transform { table: table.clone(), shape: shape.clone() };
        let refused = |error: &dyn std::fmt::Display| Rejection::Schema(error.to_string());
        let next = match self.view.schema().apply(&change) {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(OpResult::Found(false)),
            Err(error) => return Err(refused(&error)),
        };
        let next = next.table(table.as_str()).ok_or_else(|| refused(&"the table is not there"))?;
        let upgrade = Upgrade::of(next);
        upgrade.check().map_err(|error| refused(&error))?;
        transform::check_records(self.table(next.id)?, &next.def, &upgrade, checked, &|_| {})?;
        staged.effects.push(Effect::Schema(change));
        Ok(OpResult::Found(true))
    }

    /// Whether the request speaks of the record version that the table has: what it says of former ones holds only then.
    pub(super) fn speaks_of_present(&self, staged: &Staged, table: &TableName) -> bool {
        let table = self.view.schema().table(table.as_str());
        table.is_some_and(|table| staged.written_version(table.id) == table.def.shape.version)
    }

    pub(super) fn is_bag(copy: &TableView) -> bool {
        copy.def().kind == TableKind::Bag
    }
}
