//! Stored rows as records of the table's present shape.

use std::borrow::Cow;

use bytes::Bytes;
use tabularaft_schema::{MigrationError, TableDef, TableKind, Upgrade};

use crate::bag;
use crate::effect::Effect;
use crate::row::{Row, RowRef};

/// The bytes of the record: of a former version as the migrations make them, and in a bag what follows the encoded key.
///
/// Whoever reads records passes here, so that what is migrated cannot differ.
pub(crate) fn record_of<'r>(
    def: &TableDef,
    upgrade: Option<&Upgrade>,
    storage_key: &'r [u8],
    row: RowRef<'r>,
) -> Result<Cow<'r, [u8]>, MigrationError> {
    let stored = match def.kind {
        TableKind::Bag => bag::split(def, storage_key).1,
        _ => row.value(),
    };
    if row.record_version() == def.shape.version {
        return Ok(Cow::Borrowed(stored));
    }
    match upgrade {
        Some(upgrade) => upgrade.record(row.record_version(), stored).map(Cow::Owned),
        None => Err(MigrationError::UnknownVersion {
            table: def.name.clone(),
            version: row.record_version(),
            present: def.shape.version,
        }),
    }
}

/// What a change has replaced, as those who follow the table read it. In a bag the storage key holds the record, so
/// that of a deletion is another one then.
pub(crate) fn in_present_form(
    def: &TableDef,
    upgrade: Option<&Upgrade>,
    effect: Effect,
    old: Option<Row>,
) -> (Effect, Option<Row>) {
    let Some(row) = old.as_ref().filter(|row| row.record_version() != def.shape.version) else {
        return (effect, old);
    };
    let (Effect::Put { table, key, .. } | Effect::Delete { table, key, .. }) = &effect else {
        return (effect, old);
    };
    let (table, key) = (*table, key.clone());
    let record = match record_of(def, upgrade, &key, row.as_row_ref()) {
        Ok(record) => record,
        Err(error) => {
            tracing::warn!(%error, "a record that was replaced cannot be shown");
            return (effect, old);
        }
    };
    if def.kind != TableKind::Bag {
        let row = RowRef::new(row.version(), row.owner(), &record).with_record_version(def.shape.version);
        let row = row.to_row();
        return (effect, Some(row));
    }
    let key: Bytes = bag::bag_storage_key(bag::split(def, &key).0, &record);
    match effect {
        Effect::Delete { version, .. } => (Effect::Delete { table, key, version }, old),
        _ => (effect, old),
    }
}
