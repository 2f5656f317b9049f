//! From records to the entries of an index.

use tabularaft_schema::{IndexKeys, IndexValues, TableDef, TableKind};

use crate::bag;
use crate::row::RowRef;

/// Gathers the values under which a stored record stands in an index. One that cannot be read stands nowhere.
///
/// All that is indexed passes here, on every node and in every mode, so that it cannot differ.
pub(crate) fn values_of(
    def: &TableDef,
    keys: &IndexKeys,
    storage_key: &[u8],
    row: RowRef<'_>,
    values: &mut IndexValues,
) {
    let record = match def.kind {
        TableKind::Bag => bag::split(def, storage_key).1,
        _ => row.value(),
    };
    if let Err(error) = keys.values(&def.shape, record, values) {
        tracing::debug!(%error, table = %def.name, "a record that cannot be read is not indexed");
    }
}

/// Writes the key of an entry over what `entry` held.
pub(crate) fn write_entry(entry: &mut Vec<u8>, value: &[u8], storage_key: &[u8]) {
    entry.clear();
    entry.extend_from_slice(value);
    entry.extend_from_slice(storage_key);
}
