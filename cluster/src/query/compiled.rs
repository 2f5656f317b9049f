//! A filter that has been checked against a table, ready to be asked of each record.

use tabularaft_schema::{FieldType, IndexValues, TableDef, Value};
use tabularaft_store::{IndexView, TableView};

use super::filter::{Condition, Filter, Subject};
use crate::error::ReadError;

/// A filter whose fields exist and whose values are of their types.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    pub(super) filter: Filter,
    /// Fields that the filter looks at, all of which lie before this place in the record.
    fields_end: usize,
}

impl Compiled {
    pub(super) fn new(copy: &TableView, filter: &Filter) -> Result<Self, ReadError> {
        let filter = checked(copy, filter)?;
        let fields_end = fields_end(copy.def(), &filter);
        Ok(Self { filter, fields_end })
    }

    /// Whether the record meets the filter. One that does not fit its table meets none.
    pub(super) fn passes(&self, copy: &TableView, storage_key: &[u8], record: &[u8]) -> bool {
        if let Filter::All(all) = &self.filter
            && all.is_empty()
        {
            return true;
        }
        let shape = &copy.def().shape;
        match shape.decode_first(record, self.fields_end) {
            Ok(values) => Asked { copy, storage_key, record, values: &values }.meets(&self.filter),
            Err(_) => false,
        }
    }
}

/// A record that is asked.
struct Asked<'r> {
    copy: &'r TableView,
    storage_key: &'r [u8],
    record: &'r [u8],
    values: &'r [Value],
}

impl Asked<'_> {
    fn meets(&self, filter: &Filter) -> bool {
        match filter {
            Filter::All(all) => all.iter().all(|filter| self.meets(filter)),
            Filter::Any(any) => any.iter().any(|filter| self.meets(filter)),
            Filter::Not(inner) => !self.meets(inner),
            Filter::Test(Subject::Field(name), condition) => {
                let place = self.copy.def().shape.position(name);
                place.and_then(|place| self.values.get(place)).is_some_and(|value| holds(condition, value))
            }
            Filter::Test(Subject::Index(name), condition) => self.index_holds(name, condition),
        }
    }

    fn index_holds(&self, name: &str, condition: &Condition) -> bool {
        let Some(index) = index_of(self.copy, name) else { return false };
        let Some(value_type) = index.value_type() else { return false };
        let mut values = IndexValues::default();
        self.copy.index_values(index, self.storage_key, self.record, &mut values);
        let mut decoded = values.iter().filter_map(|value| value_type.value_of_key(value));
        decoded.any(|value| holds(condition, &value))
    }
}

fn holds(condition: &Condition, value: &Value) -> bool {
    if let Condition::Eq(wanted) = condition {
        return value == wanted;
    }
    if value.is_null() {
        return matches!(condition, Condition::In(values) if values.contains(value));
    }
    match condition {
        Condition::Eq(wanted) => value == wanted,
        Condition::Lt(limit) => value < limit,
        Condition::Le(limit) => value <= limit,
        Condition::Gt(limit) => value > limit,
        Condition::Ge(limit) => value >= limit,
        Condition::Between(low, high) => low <= value && value <= high,
        Condition::In(values) => values.contains(value),
        Condition::Prefix(prefix) => {
            matches!(value, Value::String(text) if text.starts_with(prefix.as_str()))
        }
        Condition::Contains(item) => match (value, item) {
            (Value::List(items), item) => items.contains(item),
            (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
            _ => false,
        },
    }
}

/// The filter with values of the types of their fields.
fn checked(copy: &TableView, filter: &Filter) -> Result<Filter, ReadError> {
    let all =
        |filters: &[Filter]| filters.iter().map(|filter| checked(copy, filter)).collect::<Result<_, _>>();
    Ok(match filter {
        Filter::All(filters) => Filter::All(all(filters)?),
        Filter::Any(filters) => Filter::Any(all(filters)?),
        Filter::Not(inner) => Filter::Not(Box::new(checked(copy, inner)?)),
        Filter::Test(subject, condition) => {
            let value_type = type_of(copy, subject)?;
            Filter::Test(subject.clone(), fitted(copy, subject, &value_type, condition)?)
        }
    })
}

fn type_of(copy: &TableView, subject: &Subject) -> Result<FieldType, ReadError> {
    match subject {
        Subject::Field(name) => match copy.def().shape.field(name) {
            Some(field) => Ok(field.field_type.clone()),
            None => Err(ReadError::Query(format!(
                "table {} has no field `{name}`; fields are {}",
                copy.def().name,
                copy.def()
                    .shape
                    .fields
                    .iter()
                    .map(|field| field.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        },
        Subject::Index(name) => match index_of(copy, name).and_then(IndexView::value_type) {
            Some(value_type) => Ok(value_type.clone()),
            None => Err(copy.index(name).map_or_else(ReadError::from, |_| {
                ReadError::Query(format!("index `{name}` cannot be read"))
            })),
        },
    }
}

pub(super) fn index_of<'v>(copy: &'v TableView, name: &str) -> Option<&'v IndexView> {
    copy.indexes().iter().find(|index| index.def().name == name)
}

fn fitted(
    copy: &TableView,
    subject: &Subject,
    value_type: &FieldType,
    condition: &Condition,
) -> Result<Condition, ReadError> {
    let fit = |value: &Value| fit(copy, subject, value_type, value);
    Ok(match condition {
        Condition::Eq(value) => Condition::Eq(fit(value)?),
        Condition::Lt(value) => Condition::Lt(fit(value)?),
        Condition::Le(value) => Condition::Le(fit(value)?),
        Condition::Gt(value) => Condition::Gt(fit(value)?),
        Condition::Ge(value) => Condition::Ge(fit(value)?),
        Condition::Between(low, high) => Condition::Between(fit(low)?, fit(high)?),
        Condition::In(values) => Condition::In(values.iter().map(fit).collect::<Result<_, _>>()?),
        Condition::Prefix(prefix) => {
            fit(&Value::String(prefix.clone()))?;
            Condition::Prefix(prefix.clone())
        }
        Condition::Contains(item) => {
            let inner = match value_type {
                FieldType::Optional(inner) => inner.as_ref(),
                other => other,
            };
            let item_type = match inner {
                FieldType::List(item_type) => item_type.as_ref(),
                other => other,
            };
            Condition::Contains(self::fit(copy, subject, item_type, item)?)
        }
    })
}

fn fit(
    copy: &TableView,
    subject: &Subject,
    value_type: &FieldType,
    value: &Value,
) -> Result<Value, ReadError> {
    let fitted = value_type.fitted(value.clone());
    if fitted.is_of(value_type) {
        return Ok(fitted);
    }
    Err(ReadError::Query(format!(
        "table {}: `{}` is of type {value_type} and cannot be compared with {}",
        copy.def().name,
        subject.name(),
        value.kind_name()
    )))
}

fn fields_end(def: &TableDef, filter: &Filter) -> usize {
    match filter {
        Filter::All(filters) | Filter::Any(filters) => {
            filters.iter().map(|filter| fields_end(def, filter)).max().unwrap_or(0)
        }
        Filter::Not(inner) => fields_end(def, inner),
        Filter::Test(Subject::Field(name), _) => def.shape.position(name).map_or(0, |place| place + 1),
        Filter::Test(Subject::Index(_), _) => 0,
    }
}
