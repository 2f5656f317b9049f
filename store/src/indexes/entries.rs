//! From records to the entries of an index.

use tabularaft_schema::{IndexKeys, IndexValues, TableDef, Upgrade};

use crate::record_of::record_of;
use crate::row::RowRef;

/// Gathers the values under which a stored record stands in an index. One that cannot be read stands nowhere.
///
/// All that is indexed passes here, on every node and in every mode, so that it cannot differ.
pub(crate) fn values_of(
    def: &TableDef,
    upgrade: Option<&Upgrade>,
    keys: &IndexKeys,
    storage_key: &[u8],
    row: RowRef<'_>,
    values: &mut IndexValues,
) {
    let gathered = match record_of(def, upgrade, storage_key, row) {
        Ok(record) => keys.values(&def.shape, &record, values).map_err(|error| error.to_string()),
        Err(error) => {
            values.clear();
            Err(error.to_string())
        }
    };
    if let Err(error) = gathered {
        tracing::debug!(%error, table = %def.name, "a record that cannot be read is not indexed");
    }
}

/// Writes the key of an entry over what `entry` held.
pub(crate) fn write_entry(entry: &mut Vec<u8>, value: &[u8], storage_key: &[u8]) {
    entry.clear();
    entry.extend_from_slice(value);
    entry.extend_from_slice(storage_key);
}
