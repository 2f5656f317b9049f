//! How the values of an index are found in a record.

use crate::error::{IndexError, RecordError};
use crate::field::FieldType;
use crate::index_def::{IndexDef, IndexOn};
use crate::index_function::IndexFunction;
use crate::index_values::IndexValues;
use crate::key_codec;
use crate::shape::RecordShape;
use crate::table_def::TableDef;
use crate::value_codec::{self, Reader};

/// Finds the values under which records of a table stand in one of its secondary indexes.
///
/// The values are encoded as keys are, see [`Key`](crate::Key): they compare bytewise as the values do, and none is a
/// prefix of another. A field without a value counts as one that holds `Null`, so that such records are found too; a
/// record with an empty list stands nowhere.
///
/// ```
/// use tabularaft_schema::{FieldType, IndexDef, IndexKeys, IndexOn, IndexValues, TableDef, Value};
///
/// let def = TableDef::builder("post")?
///     .field("id", FieldType::U64)
///     .field("tags", FieldType::list(FieldType::String))
///     .key("id")
///     .add_index(IndexDef::new("by_tag", IndexOn::Each("tags".into())))
///     .build()?;
/// let record = def.shape.from_json(&serde_json::json!({"id": 1, "tags": ["b", "a", "b"]}))?;
///
/// let keys = IndexKeys::new(&def, &def.indexes[0])?;
/// let mut values = IndexValues::default();
/// keys.values(&def.shape, &record, &mut values)?;
/// assert_eq!(values.iter().collect::<Vec<_>>(), [b"a\x00\x01", b"b\x00\x01"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct IndexKeys {
    source: Source,
    value_type: FieldType,
}

#[derive(Clone)]
enum Source {
    /// The value of the field at this place.
    Field(usize),
    /// The items of the list at this place.
    Each(usize),
    Function(&'static IndexFunction),
}

impl IndexKeys {
    /// Prepares for records of the table's present shape.
    ///
    /// # Errors
    /// [`IndexError`] if the field does not exist or cannot be indexed, or this program lacks the function.
    pub fn new(def: &TableDef, index: &IndexDef) -> Result<Self, IndexError> {
        let no_field = |field: &str| IndexError::NoSuchField {
            table: def.name.clone(),
            index: index.name.clone(),
            field: field.to_owned(),
            known: def.shape.field_names(),
        };
        let at = |name: &str| {
            let place = def.shape.position(name);
            let field = place.and_then(|place| def.shape.fields.get(place));
            place.zip(field).ok_or_else(|| no_field(name))
        };
        match &index.on {
            IndexOn::Field(name) => {
                let (place, field) = at(name)?;
                Ok(Self { source: Source::Field(place), value_type: field.field_type.clone() })
            }
            IndexOn::Each(name) => {
                let (place, field) = at(name)?;
                let FieldType::List(item) = &field.field_type else { return Err(no_field(name)) };
                Ok(Self { source: Source::Each(place), value_type: FieldType::clone(item) })
            }
            IndexOn::Function(name) => {
                let function = IndexFunction::named(name).ok_or_else(|| IndexError::NoSuchFunction {
                    table: def.name.clone(),
                    index: index.name.clone(),
                    function: name.clone(),
                })?;
                Ok(Self { source: Source::Function(function), value_type: function.value_type() })
            }
        }
    }

    /// The type of the values.
    #[must_use]
    pub fn value_type(&self) -> &FieldType {
        &self.value_type
    }

    /// Whether this encoded value stands for a missing one, of which there may be any number even in a unique index.
    #[must_use]
    pub fn is_missing(&self, value: &[u8]) -> bool {
        matches!((&self.value_type, value), (FieldType::Optional(_), [0]))
    }

    /// Replaces the content of `values` by the values of an encoded record.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes are no record of this shape as far as they are looked at; then there are no values.
    pub fn values(
        &self,
        shape: &RecordShape,
        record: &[u8],
        values: &mut IndexValues,
    ) -> Result<(), RecordError> {
        values.clear();
        let gathered = self.gather(shape, record, values);
        match gathered {
            Ok(()) => values.settle(),
            Err(_) => values.clear(),
        }
        gathered
    }

    fn gather(
        &self,
        shape: &RecordShape,
        record: &[u8],
        values: &mut IndexValues,
    ) -> Result<(), RecordError> {
        let place = match &self.source {
            Source::Field(place) | Source::Each(place) => *place,
            Source::Function(function) => return function.gather(record, values),
        };
        let mut reader = Reader::new(record);
        for field in shape.fields.iter().take(place) {
            value_codec::skip(&mut reader, &field.field_type).map_err(|error| error.within(&field.name))?;
        }
        let items = match (&self.source, shape.fields.get(place)) {
            (Source::Each(_), Some(field)) => reader.count(&field.field_type)?,
            _ => 1,
        };
        for _ in 0..items {
            values.try_push(|key| key_codec::put_field(key, &self.value_type, &mut reader))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for IndexKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IndexKeys").field("value_type", &self.value_type).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;
    use crate::value::Value;

    fn def(index: IndexDef) -> TableDef {
        let text = FieldType::String;
        let builder = TableDef::builder("t").unwrap().field("id", FieldType::U64);
        let builder = builder.field("note", FieldType::optional(text.clone()));
        builder.field("tags", FieldType::list(text)).key("id").add_index(index).build().unwrap()
    }

    fn values_of(def: &TableDef, record: &[Value]) -> Vec<Value> {
        let keys = IndexKeys::new(def, &def.indexes[0]).unwrap();
        let mut values = IndexValues::default();
        keys.values(&def.shape, &def.shape.encode(record).unwrap(), &mut values).unwrap();
        values.iter().map(|value| keys.value_type().value_of_key(value).unwrap()).collect()
    }

    #[test]
    fn a_missing_value_is_found_as_null_and_an_empty_list_not_at_all() {
        let record = |note: Value, tags: &[&str]| {
            [Value::U64(1), note, Value::List(tags.iter().map(|tag| Value::from(*tag)).collect())]
        };
        let on_note = def(IndexDef::on_field("note"));
        assert_eq!(values_of(&on_note, &record(Value::Null, &[])), [Value::Null]);
        assert_eq!(values_of(&on_note, &record("x".into(), &[])), [Value::from("x")]);
        let on_tags = def(IndexDef::new("i", IndexOn::Each("tags".into())));
        assert_eq!(values_of(&on_tags, &record(Value::Null, &[])), []);
        let twice = values_of(&on_tags, &record(Value::Null, &["b", "a", "b"]));
        assert_eq!(twice, [Value::from("a"), Value::from("b")]);
    }

    #[test]
    fn a_function_that_is_not_linked_is_named() {
        let def = def(IndexDef::new("i", IndexOn::Function("nowhere".into())));
        let error = IndexKeys::new(&def, &def.indexes[0]).unwrap_err().to_string();
        assert!(error.contains("`nowhere`"), "{error}");
    }

    proptest! {
        #[test]
        fn broken_records_have_no_values_and_never_panic(bytes in testing::awkward_bytes()) {
            let mut values = IndexValues::default();
            for index in [IndexDef::on_field("note"), IndexDef::new("i", IndexOn::Each("tags".into()))] {
                let def = def(index);
                let keys = IndexKeys::new(&def, &def.indexes[0]).unwrap();
                if keys.values(&def.shape, &bytes, &mut values).is_err() {
                    prop_assert!(values.is_empty());
                }
            }
        }
    }
}
