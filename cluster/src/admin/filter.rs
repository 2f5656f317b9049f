//! Conditions on records, checked by the node so that only records that pass travel.

use tabularaft_schema::{TableDef, Value};

use super::error::AdminError;
use super::protocol::FieldFilter;

/// All conditions of a scan, ready to be asked of each record.
#[derive(Debug)]
pub(crate) struct RecordFilter {
    conditions: Vec<(String, Value)>,
}

impl RecordFilter {
    /// Reads the conditions of a scan of the table `def`.
    ///
    /// # Errors
    /// [`Invalid`](super::AdminErrorKind::Invalid) if a field does not exist or its value is of another type.
    pub(crate) fn new(def: &TableDef, filters: &[FieldFilter]) -> Result<Self, AdminError> {
        let conditions = filters.iter().map(|filter| condition(def, filter)).collect::<Result<_, _>>()?;
        Ok(Self { conditions })
    }

    /// Fields with the values that they must have.
    pub(super) fn conditions(&self) -> &[(String, Value)] {
        &self.conditions
    }

    /// Whether the encoded record meets all conditions. A record that does not fit its table meets none.
    pub(crate) fn passes(&self, def: &TableDef, record: &[u8]) -> bool {
        self.conditions
            .iter()
            .all(|(field, wanted)| def.shape.decode_field(record, field).is_ok_and(|found| found == *wanted))
    }
}

fn condition(def: &TableDef, filter: &FieldFilter) -> Result<(String, Value), AdminError> {
    let FieldFilter { field, equals } = filter;
    let field_def = def
        .shape
        .field(field)
        .ok_or_else(|| AdminError::invalid(format!("table {} has no field `{field}`", def.name)))?;
    let json = serde_json::from_str(equals).map_err(|error| {
        AdminError::invalid(format!("the value wanted of field `{field}` is not JSON: {error}"))
    })?;
    let field_type = &field_def.field_type;
    let value = field_type.from_json(&json).map_err(|_| {
        AdminError::invalid(format!("the value wanted of field `{field}` is not of its type, {field_type}"))
    })?;
    Ok((field.clone(), value))
}
