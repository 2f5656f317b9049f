//! Unique indexes: of two requests that want one value, the first one gets it.
//!
//! Checked once all operations of a request are staged, so that a transaction may exchange two values.

use std::collections::BTreeMap;

use bytes::Bytes;
use tabularaft_schema::{
    FieldType, IndexDef, IndexError, IndexKeys, IndexValues, SchemaChange, TableDef, TableName,
};
use tabularaft_store::{Duplicates, IndexBounds, IndexState, IndexView, TableView, key_of_storage_key};

use super::claims::Claimed;
use super::decide::Decider;
use super::overlay::PendingRow;
use super::request::{DuplicateValue, Rejection};
use super::staged::Staged;

/// Values that are listed when an index cannot become unique.
pub(crate) const DUPLICATES_LISTED_MAX: usize = 10;

impl Decider<'_> {
    /// Checks the records that a request leaves, and gives what they claim.
    pub(super) fn check_unique(&self, staged: &Staged) -> Result<BTreeMap<Claimed, Bytes>, Rejection> {
        let mut claims = BTreeMap::new();
        let mut values = IndexValues::default();
        for ((table, key), row) in staged.rows() {
            let (Some(row), Some(copy)) = (row, self.view.table(*table)) else { continue };
            for (place, index) in enforced(copy) {
                require_complete(copy, index)?;
                copy.index_values(index, key, &row.value, &mut values);
                for value in values.iter().filter(|value| !index.is_missing(value)) {
                    let claimed = (*table, place, Bytes::copy_from_slice(value));
                    let holder = match claims.get(&claimed) {
                        Some(other) => Some(Bytes::clone(other)),
                        None => self.holder(staged, copy, index, &claimed, key)?,
                    };
                    if let Some(holder) = holder {
                        return Err(taken(copy, index, value, &holder));
                    }
                    claims.insert(claimed, key.clone());
                }
            }
        }
        Ok(claims)
    }

    /// Another record, untouched by this request, that has the value.
    fn holder(
        &self,
        staged: &Staged,
        copy: &TableView,
        index: &IndexView,
        claimed: &Claimed,
        own: &Bytes,
    ) -> Result<Option<Bytes>, Rejection> {
        let value = &claimed.2;
        let mut values = IndexValues::default();
        let others = |key: &Bytes| key != own && staged.row(copy.id(), key).is_none();
        for entry in index.entries(&IndexBounds::value(value), false) {
            let key = Bytes::copy_from_slice(entry.storage_key());
            if !others(&key) {
                continue;
            }
            match self.overlay.get(copy.id(), &key) {
                None => return Ok(Some(key)),
                Some(pending) => {
                    if has(copy, index, &key, pending.row.as_ref(), value, &mut values) {
                        return Ok(Some(key));
                    }
                }
            }
        }
        for key in self.overlay.claims.of(claimed).filter(|key| others(key)) {
            let row = self.overlay.get(copy.id(), key).and_then(|pending| pending.row.as_ref());
            if has(copy, index, key, row, value, &mut values) {
                return Ok(Some(key.clone()));
            }
        }
        Ok(None)
    }

    /// Whether a change of the schema asks for an index that cannot be.
    pub(super) fn check_index_change(&self, change: &SchemaChange) -> Result<(), Rejection> {
        match change {
            SchemaChange::CreateTable(def) => {
                def.indexes.iter().try_for_each(|index| check_function(def, index))
            }
            SchemaChange::AddIndex { table, index } => match self.view.schema().table(table.as_str()) {
                Some(known) => check_function(&known.def, index),
                None => Ok(()),
            },
            SchemaChange::ActivateIndex { table, index } => self.check_activation(table, index),
            _ => Ok(()),
        }
    }

    /// An index becomes active when the leader has all of its entries, and if it is unique no value twice. Nothing is
    /// in flight meanwhile, so none comes up between this check and the first write that is checked.
    fn check_activation(&self, table: &TableName, index: &str) -> Result<(), Rejection> {
        let Some(copy) = self.view.table_named(table) else { return Ok(()) };
        let Some(index) = copy.indexes().iter().find(|known| known.def().name == index) else {
            return Ok(());
        };
        if copy.is_loading() {
            return Err(Rejection::TableLoading { table: table.to_string() });
        }
        require_complete(copy, index)?;
        if !index.def().unique {
            return Ok(());
        }
        refuse_duplicates(copy, index.def(), index.value_type(), &index.duplicates(DUPLICATES_LISTED_MAX))
    }
}

/// Refuses what would leave these values with more than one record, if there are any.
pub(crate) fn refuse_duplicates(
    copy: &TableView,
    index: &IndexDef,
    value_type: Option<&FieldType>,
    found: &Duplicates,
) -> Result<(), Rejection> {
    if found.count == 0 {
        return Ok(());
    }
    let listed = |(value, keys): &(Vec<u8>, Vec<Vec<u8>>)| DuplicateValue {
        value: value_text(value_type, value),
        keys: keys.iter().map(|key| key_text(copy, key)).collect(),
    };
    Err(Rejection::Duplicates {
        table: copy.def().name.to_string(),
        index: index.name.clone(),
        values: found.count,
        first: found.first.iter().map(listed).collect(),
    })
}

fn enforced(copy: &TableView) -> impl Iterator<Item = (usize, &IndexView)> {
    copy.indexes().iter().enumerate().filter(|(_, index)| index.is_enforced())
}

fn has(
    copy: &TableView,
    index: &IndexView,
    key: &[u8],
    row: Option<&PendingRow>,
    value: &[u8],
    values: &mut IndexValues,
) -> bool {
    let Some(row) = row else { return false };
    copy.index_values(index, key, &row.value, values);
    values.contains(value)
}

fn require_complete(copy: &TableView, index: &IndexView) -> Result<(), Rejection> {
    let table = copy.def().name.to_string();
    match index.state() {
        IndexState::Ready => Ok(()),
        IndexState::Unavailable { why } => Err(Rejection::NotApplicable { table, why: why.to_string() }),
        _ => Err(Rejection::IndexBuilding { table, index: index.def().name.clone() }),
    }
}

fn check_function(def: &TableDef, index: &IndexDef) -> Result<(), Rejection> {
    match IndexKeys::new(def, index) {
        Err(error @ IndexError::NoSuchFunction { .. }) => Err(Rejection::Schema(error.to_string())),
        // What is wrong with the field is the schema's to say.
        _ => Ok(()),
    }
}

fn taken(copy: &TableView, index: &IndexView, value: &[u8], holder: &[u8]) -> Rejection {
    Rejection::UniqueViolation {
        table: copy.def().name.to_string(),
        index: index.def().name.clone(),
        value: value_text(index.value_type(), value),
        key: key_text(copy, holder),
    }
}

/// The value as JSON, for messages.
fn value_text(value_type: Option<&FieldType>, value: &[u8]) -> String {
    let decoded = value_type.and_then(|value_type| value_type.value_of_key(value));
    let json = decoded.and_then(|value| value.to_json().ok());
    json.map_or_else(|| value.escape_ascii().to_string(), |json| json.to_string())
}

/// The key of a storage key as JSON, for messages.
fn key_text(copy: &TableView, storage_key: &[u8]) -> String {
    let key = key_of_storage_key(copy.def(), storage_key);
    copy.def().key_to_json(key).map_or_else(|_| key.escape_ascii().to_string(), |json| json.to_string())
}
