//! Changes of one record that rest on what it was: worked out at the leader, so that they never conflict.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::{FieldType, RecordShape, TableDef, TableKind, Value};
use tabularaft_store::OpResult;

use super::request::{Delta, Rejection};
use crate::functions;

/// What a function may return, in bytes: the log and the exactly-once window keep it.
const RESULT_BYTES_MAX: usize = 64 * 1024;

/// How a record becomes another one. Wire format: add, never change or reuse a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Change {
    /// Combines a numeric field with a number; `otherwise` is the record to start from if there is none.
    Combine { field: u32, how: Combine, number: Delta, otherwise: Option<Bytes> },
    /// Appends an item, as postcard, to a list.
    Append { field: u32, item: Bytes, otherwise: Option<Bytes> },
    /// Calls a registered function.
    Call { function: String, argument: Bytes },
}

/// How two numbers become one. Wire format: add, never change or reuse a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Combine {
    Add,
    Min,
    Max,
}

/// What a change came to: the record, or that there is none, and what the caller is told.
pub(crate) type Changed = (Option<Bytes>, OpResult);

impl Change {
    /// An estimate of the bytes this change adds to a batch.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Change::Combine { otherwise, .. } => 16 + otherwise.as_ref().map_or(0, Bytes::len),
            Change::Append { item, otherwise, .. } => {
                8 + item.len() + otherwise.as_ref().map_or(0, Bytes::len)
            }
            Change::Call { function, argument } => 8 + function.len() + argument.len(),
        }
    }

    /// Works the change out. It rests on nothing but its arguments and the functions of this program.
    pub(crate) fn apply(&self, def: &TableDef, before: Option<&Bytes>) -> Result<Changed, Rejection> {
        let not_applicable = |why: String| Rejection::NotApplicable { table: def.name.to_string(), why };
        if def.kind == TableKind::Bag {
            let why = "the records of a bag cannot be changed in place; use a set or an ordered set";
            return Err(not_applicable(why.to_owned()));
        }
        let start = |otherwise: &Option<Bytes>| {
            let none = || Rejection::NoSuchRecord { table: def.name.to_string() };
            before.cloned().or_else(|| otherwise.clone()).ok_or_else(none)
        };
        let changed = match self {
            Change::Combine { field, how, number, otherwise } => {
                combined(def, &start(otherwise)?, *field, *how, *number).map_err(not_applicable)?
            }
            Change::Append { field, item, otherwise } => {
                appended(def, &start(otherwise)?, *field, item).map_err(not_applicable)?
            }
            Change::Call { function, argument } => return call(def, before, function, argument),
        };
        Ok((Some(changed.0), changed.1))
    }
}

fn call(def: &TableDef, before: Option<&Bytes>, name: &str, argument: &[u8]) -> Result<Changed, Rejection> {
    let Some(function) = functions::find(name) else {
        return Err(Rejection::NoSuchFunction { function: name.to_owned() });
    };
    let failed = |why: String| Rejection::Function { function: name.to_owned(), why };
    if function.table() != def.name.as_str() {
        let why = format!("it is for records of table {}, not of {}", function.table(), def.name);
        return Err(failed(why));
    }
    let (takes, present) = (function.record_version(), def.shape.version);
    if takes != present {
        return Err(failed(format!("it takes records of version {takes}, the table has version {present}")));
    }
    let (after, result) = function.call(before.map(|record| &record[..]), argument).map_err(failed)?;
    if result.len() > RESULT_BYTES_MAX {
        return Err(failed(format!("it returned {} bytes, the limit is {RESULT_BYTES_MAX}", result.len())));
    }
    Ok((after.map(Bytes::from), OpResult::Value(result.into())))
}

fn combined(
    def: &TableDef,
    record: &[u8],
    field: u32,
    how: Combine,
    number: Delta,
) -> Result<(Bytes, OpResult), String> {
    let (mut values, name) = values_to_change(def, record, field)?;
    let value = values.get_mut(field as usize).ok_or("it has too few fields")?;
    let overflow = || format!("adding to field {name} would overflow");
    let result = match (&mut *value, number) {
        (Value::U64(old), Delta::Integer(number)) => {
            // Below every unsigned number is the same as zero to a minimum, and to a maximum it changes nothing.
            let unsigned = u64::try_from(number).unwrap_or(0);
            *old = match how {
                Combine::Add => old.checked_add_signed(number).ok_or_else(overflow)?,
                Combine::Min => unsigned.min(*old),
                Combine::Max => unsigned.max(*old),
            };
            OpResult::Unsigned(*old)
        }
        (Value::I64(old), Delta::Integer(number)) => {
            *old = match how {
                Combine::Add => old.checked_add(number).ok_or_else(overflow)?,
                Combine::Min => number.min(*old),
                Combine::Max => number.max(*old),
            };
            OpResult::Integer(*old)
        }
        (Value::F64(old), Delta::Float(number)) => {
            *old = match how {
                Combine::Add => *old + number,
                Combine::Min => old.min(number),
                Combine::Max => old.max(number),
            };
            OpResult::Float(*old)
        }
        _ => return Err(format!("field {name} cannot be combined with {number:?}")),
    };
    let record = def.shape.encode(&values).map_err(|error| error.to_string())?;
    Ok((record.into(), result))
}

fn appended(def: &TableDef, record: &[u8], field: u32, item: &[u8]) -> Result<(Bytes, OpResult), String> {
    let (mut values, name) = values_to_change(def, record, field)?;
    let field_type = def.shape.fields.get(field as usize).map(|field| &field.field_type);
    let (Some(FieldType::List(item_type)), Some(Value::List(list))) =
        (field_type, values.get_mut(field as usize))
    else {
        return Err(format!("field {name} is no list"));
    };
    let item = RecordShape::new(1, [(name.as_str(), (**item_type).clone())]).decode(item);
    list.extend(item.map_err(|error| error.to_string())?);
    let length = list.len() as u64;
    let record = def.shape.encode(&values).map_err(|error| error.to_string())?;
    Ok((record.into(), OpResult::Count(length)))
}

/// The record's values, and the name of the field, which must not be part of the key.
fn values_to_change(def: &TableDef, record: &[u8], field: u32) -> Result<(Vec<Value>, String), String> {
    let Some(name) = def.shape.fields.get(field as usize).map(|field| field.name.clone()) else {
        return Err(format!("it has no field number {field}"));
    };
    if def.key.contains(&name) {
        return Err(format!("field {name} is part of the key and cannot be changed"));
    }
    let values = def.shape.decode(record).map_err(|error| error.to_string())?;
    Ok((values, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn def() -> TableDef {
        let def = TableDef::builder("t").unwrap().field("id", FieldType::U64).field("u", FieldType::U64);
        let def = def.field("i", FieldType::I64).field("f", FieldType::F64);
        def.field("list", FieldType::list(FieldType::String)).key("id").build().unwrap()
    }

    fn record() -> Bytes {
        let list = Value::List(vec!["a".into()]);
        let values = [Value::U64(1), Value::U64(5), Value::I64(-5), Value::F64(0.5), list];
        def().shape.encode(&values).unwrap().into()
    }

    fn combine(field: u32, how: Combine, number: Delta) -> Result<OpResult, Rejection> {
        let change = Change::Combine { field, how, number, otherwise: None };
        change.apply(&def(), Some(&record())).map(|(_, result)| result)
    }

    #[test]
    fn numbers_are_added_and_compared_within_their_types() {
        let integer = Delta::Integer;
        assert_eq!(combine(1, Combine::Add, integer(-5)), Ok(OpResult::Unsigned(0)));
        assert_eq!(combine(1, Combine::Min, integer(3)), Ok(OpResult::Unsigned(3)));
        assert_eq!(combine(1, Combine::Min, integer(-3)), Ok(OpResult::Unsigned(0)));
        assert_eq!(combine(1, Combine::Max, integer(-3)), Ok(OpResult::Unsigned(5)));
        assert_eq!(combine(2, Combine::Max, integer(9)), Ok(OpResult::Integer(9)));
        assert_eq!(combine(2, Combine::Min, integer(9)), Ok(OpResult::Integer(-5)));
        assert_eq!(combine(3, Combine::Add, Delta::Float(0.25)), Ok(OpResult::Float(0.75)));
        assert!(combine(1, Combine::Add, integer(-6)).unwrap_err().to_string().contains("overflow"));
        assert!(combine(0, Combine::Add, integer(1)).unwrap_err().to_string().contains("part of the key"));
        assert!(combine(4, Combine::Add, integer(1)).is_err());
        assert!(combine(9, Combine::Add, integer(1)).is_err());
    }

    #[test]
    fn an_item_is_appended_to_a_list_of_its_type() {
        let append = |field, item: Bytes| Change::Append { field, item, otherwise: None };
        let item = Bytes::from(postcard::to_stdvec("b").unwrap());
        let (after, result) = append(4, item.clone()).apply(&def(), Some(&record())).unwrap();
        assert_eq!(result, OpResult::Count(2));
        let list = def().shape.decode_field(&after.unwrap(), "list").unwrap();
        assert_eq!(list, Value::List(vec!["a".into(), "b".into()]));
        assert!(append(1, item.clone()).apply(&def(), Some(&record())).is_err(), "no list");
        assert!(append(4, Bytes::from_static(&[9])).apply(&def(), Some(&record())).is_err(), "no string");
        let none = append(4, item).apply(&def(), None);
        assert_eq!(none, Err(Rejection::NoSuchRecord { table: "t".to_owned() }));
    }

    #[test]
    fn a_function_that_this_program_does_not_have_is_named() {
        let change = Change::Call { function: "nothing".to_owned(), argument: Bytes::new() };
        let error = change.apply(&def(), None).unwrap_err();
        assert_eq!(error, Rejection::NoSuchFunction { function: "nothing".to_owned() });
    }
}
