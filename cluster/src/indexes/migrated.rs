//! Unique indexes of a table whose records get another shape: a migration that gives two records one value is refused.

use std::collections::HashSet;

use tabularaft_schema::{IndexDef, IndexKeys, IndexValues, TableDef, Upgrade};
use tabularaft_store::{Duplicates, StoredRecord, TableView};

use crate::write::{DUPLICATES_LISTED_MAX, Rejection, refuse_duplicates};

/// Checks that no record which was written after this version has, once it is migrated, a value of a unique index that
/// another one has, too. With version 0 all records are compared with each other.
pub(crate) fn check_unique(
    copy: &TableView,
    next: &TableDef,
    upgrade: &Upgrade,
    after_version: u64,
) -> Result<(), Rejection> {
    for index in copy.indexes().iter().filter(|index| index.is_enforced()).map(|index| index.def()) {
        // What has the same values is unique already.
        if upgrade.is_automatic() && index.on.is_same_in(&copy.def().shape, &next.shape) {
            continue;
        }
        let keys = IndexKeys::new(next, index).map_err(|error| Rejection::Schema(error.to_string()))?;
        Migrated { copy, next, upgrade, keys, index }.check(after_version)?;
    }
    Ok(())
}

/// An index over the records as they will be.
struct Migrated<'a> {
    copy: &'a TableView,
    next: &'a TableDef,
    upgrade: &'a Upgrade,
    keys: IndexKeys,
    index: &'a IndexDef,
}

impl Migrated<'_> {
    fn check(&self, after_version: u64) -> Result<(), Rejection> {
        let written = |stored: &StoredRecord<'_>| stored.version() > after_version;
        let mut wanted: HashSet<Vec<u8>> = HashSet::new();
        if after_version > 0 {
            self.each(written, |value, _| {
                wanted.insert(value.to_vec());
            });
            if wanted.is_empty() {
                return Ok(());
            }
        }
        let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        self.each(
            |_| true,
            |value, key| {
                if after_version == 0 || wanted.contains(value) {
                    entries.push((value.to_vec(), key.to_vec()));
                }
            },
        );
        entries.sort_unstable();
        let in_order = entries.iter().map(|(value, key)| (value.as_slice(), key.as_slice()));
        let found = Duplicates::among(in_order, DUPLICATES_LISTED_MAX);
        refuse_duplicates(self.copy, self.index, Some(self.keys.value_type()), &found)
    }

    /// The values of some records, and their storage keys. What cannot be read or migrated has none: whether there is
    /// such a record is another check.
    fn each(&self, of: impl Fn(&StoredRecord<'_>) -> bool, mut take: impl FnMut(&[u8], &[u8])) {
        let mut values = IndexValues::default();
        for stored in self.copy.rows().filter_map(Result::ok).filter(|stored| of(stored)) {
            let record = self.upgrade.record(stored.record_version(), self.copy.stored_bytes(&stored));
            let Ok(record) = record else { continue };
            if self.keys.values(&self.next.shape, &record, &mut values).is_ok() {
                let present = values.iter().filter(|value| !self.keys.is_missing(value));
                present.for_each(|value| take(value, stored.key()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tabularaft_schema::{FieldType, RecordShape, SchemaChange, Table, Value};
    use tabularaft_store::{Batch, Effect, Position, Store, StoreOptions};

    use super::*;

    fn without_last_digit(mut values: Vec<Value>) -> Result<Vec<Value>, String> {
        if let Some(Value::U64(number)) = values.get_mut(1) {
            *number /= 10;
        }
        Ok(values)
    }

    tabularaft_schema::register_migration!("migrated_badge", 1 => 2, without_last_digit);

    const FIELDS: [(&str, FieldType); 2] = [("id", FieldType::U64), ("number", FieldType::U64)];

    /// A table with a record for each number, of the versions from 1 on.
    fn table(numbers: &[u64]) -> (Arc<TableView>, Table) {
        let store = Store::open(StoreOptions::new("n1@localhost".parse().unwrap())).unwrap();
        let mut def = TableDef::builder("migrated_badge").unwrap().key("id").unique_index("number");
        for (name, field_type) in FIELDS {
            def = def.field(name, field_type);
        }
        let mut writer = store.writer();
        let mut apply = |index, effects| {
            let batch = Batch { term: 1, decided: Vec::new(), effects, rests_on: None };
            writer.apply(Position::new(1, index), &batch.encode(true)).unwrap();
            writer.publish();
        };
        apply(1, vec![Effect::Schema(def.build().unwrap().into())]);
        let view = store.view();
        let known = view.schema().table("migrated_badge").unwrap();
        let put = |(id, number): (u64, &u64)| Effect::Put {
            table: known.id,
            key: Bytes::copy_from_slice(&id.to_be_bytes()),
            value: known.def.shape.encode(&[Value::U64(id), Value::U64(*number)]).unwrap().into(),
            version: id,
            owner: None,
        };
        apply(2, (1..).zip(numbers).map(put).collect());
        let shape = RecordShape::new(2, FIELDS);
        let change = SchemaChange::Transform { table: known.def.name.clone(), shape };
        let next = store.view().schema().apply(&change).unwrap().unwrap();
        let next = Table::clone(next.table("migrated_badge").unwrap());
        (Arc::clone(store.view().table(known.id).unwrap()), next)
    }

    fn refused(numbers: &[u64], after_version: u64) -> Option<(u64, Vec<String>)> {
        let (copy, next) = table(numbers);
        match check_unique(&copy, &next.def, &Upgrade::of(&next), after_version) {
            Ok(()) => None,
            Err(Rejection::Duplicates { values, first, .. }) => Some((values, first[0].keys.clone())),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn records_that_a_migration_makes_alike_are_found_whichever_of_them_came_late() {
        assert_eq!(refused(&[10, 20, 30], 0), None);
        let keys = || ["1", "3"].map(String::from).to_vec();
        assert_eq!(refused(&[10, 20, 15, 25], 0), Some((2, keys())));
        assert_eq!(refused(&[10, 20, 15], 2), Some((1, keys())), "of the earlier one it was known");
        assert_eq!(refused(&[10, 20, 15], 3), None, "nothing came since");
        assert_eq!(refused(&[10, 20, 15, 30], 3), None, "what came since is alike to none");
    }
}
