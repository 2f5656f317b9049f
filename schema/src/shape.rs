//! The fields of a table's records, and records as bytes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::error::RecordError;
use crate::field::{FieldDef, FieldType};
use crate::value::Value;
use crate::value_codec::{self, Reader};

/// What the records of a table look like: their fields in order, with names and types.
///
/// A record's bytes are exactly what `postcard` makes of a Rust struct with these fields in this order, with maps in
/// the order of their names. So a program that has the Rust type and an operator who has only the shape read and
/// write the same records, and a record has exactly one encoding.
///
/// ```
/// use tabularaft_schema::{FieldType, RecordShape, Value};
///
/// let shape = RecordShape::new(1, [("topic", FieldType::String), ("qos", FieldType::U64)]);
/// let record = shape.encode(&["sensors/1".into(), Value::U64(2)])?;
/// assert_eq!(record, postcard::to_stdvec(&("sensors/1", 2u32)).unwrap());
/// assert_eq!(shape.to_json(&record)?.to_string(), r#"{"topic":"sensors/1","qos":2}"#);
/// # Ok::<(), tabularaft_schema::RecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordShape {
    /// The record version: raised by the application when it changes the fields. Starts at 1.
    pub version: u32,
    /// The fields, in the order in which they are encoded.
    pub fields: Vec<FieldDef>,
}

impl RecordShape {
    /// A shape of these fields, in this order.
    pub fn new<N: Into<String>>(version: u32, fields: impl IntoIterator<Item = (N, FieldType)>) -> Self {
        let fields = fields.into_iter().map(|(name, field_type)| FieldDef::new(name, field_type)).collect();
        Self { version, fields }
    }

    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldDef> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The place of the field of this name in a record's values.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Writes a record of these values, one for each field, in order.
    ///
    /// # Errors
    /// [`RecordError`] names the field whose value is of another type, or says that there are too many or too few.
    pub fn encode(&self, values: &[Value]) -> Result<Vec<u8>, RecordError> {
        self.check_count(values)?;
        let mut record = Vec::new();
        for (field, value) in self.fields.iter().zip(values) {
            value_codec::encode(&mut record, &field.field_type, value)
                .map_err(|error| error.within(&field.name))?;
        }
        Ok(record)
    }

    /// Reads the values of a record, in the order of the fields.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes are no record of this shape.
    pub fn decode(&self, record: &[u8]) -> Result<Vec<Value>, RecordError> {
        self.decode_from(Reader::new(record))
    }

    /// Reads the value of one field.
    ///
    /// # Errors
    /// [`RecordError`] if there is no such field, or the bytes up to it are no record of this shape; what follows
    /// the field is not looked at.
    pub fn decode_field(&self, record: &[u8], name: &str) -> Result<Value, RecordError> {
        let mut reader = Reader::new(record);
        for field in &self.fields {
            if field.name == name {
                return value_codec::decode(&mut reader, &field.field_type)
                    .map_err(|error| error.within(name));
            }
            value_codec::skip(&mut reader, &field.field_type).map_err(|error| error.within(&field.name))?;
        }
        Err(RecordError::UnknownField { field: name.to_owned(), known: self.field_names() })
    }

    /// Reads the values of the first `count` fields; what follows them is not looked at.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes up to there are no record of this shape.
    pub fn decode_first(&self, record: &[u8], count: usize) -> Result<Vec<Value>, RecordError> {
        let mut reader = Reader::new(record);
        let read = |field: &FieldDef| {
            value_codec::decode(&mut reader, &field.field_type).map_err(|error| error.within(&field.name))
        };
        self.fields.iter().take(count).map(read).collect()
    }

    /// Checks that the bytes are a record of this shape, in its one encoding.
    ///
    /// # Errors
    /// [`RecordError`] names the field at which they are not.
    pub fn check(&self, record: &[u8]) -> Result<(), RecordError> {
        let mut reader = Reader::new(record);
        for field in &self.fields {
            value_codec::skip(&mut reader, &field.field_type).map_err(|error| error.within(&field.name))?;
        }
        reader.finish()
    }

    /// The record's one encoding, given bytes that serde made of a Rust value whose maps are in no particular order.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes are no record of this shape even so.
    pub fn canonical<'a>(&self, record: &'a [u8]) -> Result<Cow<'a, [u8]>, RecordError> {
        if self.check(record).is_ok() {
            return Ok(Cow::Borrowed(record));
        }
        let values = self.decode_from(Reader::of_unordered_maps(record))?;
        self.encode(&values).map(Cow::Owned)
    }

    pub(crate) fn field_names(&self) -> String {
        self.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn check_count(&self, values: &[Value]) -> Result<(), RecordError> {
        let (expected, found) = (self.fields.len(), values.len());
        if expected == found { Ok(()) } else { Err(RecordError::ValueCount { expected, found }) }
    }

    fn decode_from(&self, mut reader: Reader<'_>) -> Result<Vec<Value>, RecordError> {
        let read = |field: &FieldDef| {
            value_codec::decode(&mut reader, &field.field_type).map_err(|error| error.within(&field.name))
        };
        let values = self.fields.iter().map(read).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn shape() -> RecordShape {
        RecordShape::new(
            1,
            [
                ("name", FieldType::String),
                ("sizes", FieldType::list(FieldType::U64)),
                ("labels", FieldType::map(FieldType::optional(FieldType::I64))),
            ],
        )
    }

    #[test]
    fn a_record_is_what_postcard_makes_of_the_struct() {
        #[derive(Serialize)]
        struct Thing {
            name: String,
            sizes: Vec<u32>,
            labels: BTreeMap<String, Option<i16>>,
        }
        let labels = BTreeMap::from([("a".to_owned(), Some(-3)), ("b".to_owned(), None)]);
        let thing = Thing { name: "x".into(), sizes: vec![1, 1000], labels };
        let bytes = postcard::to_stdvec(&thing).unwrap();

        let values = shape().decode(&bytes).unwrap();
        let labels = BTreeMap::from([("a".to_owned(), Value::I64(-3)), ("b".to_owned(), Value::Null)]);
        let sizes = vec![Value::U64(1), Value::U64(1000)];
        assert_eq!(values, ["x".into(), Value::List(sizes), Value::Map(labels)]);
        assert_eq!(shape().encode(&values).unwrap(), bytes);
        assert_eq!(shape().decode_field(&bytes, "name").unwrap(), "x".into());
    }

    #[test]
    fn errors_name_the_field_and_what_is_wrong() {
        let message = |values: &[Value]| shape().encode(values).unwrap_err().to_string();
        let none = || Value::Map(BTreeMap::new());
        assert_eq!(message(&["x".into()]), "expected 3 values, one for each field, found 1");
        assert_eq!(
            message(&["x".into(), vec![Value::U64(1), Value::I64(1)].into(), none()]),
            "field `sizes[1]`: expected u64, found i64"
        );
        let whole = shape().encode(&["x".into(), Value::List(vec![]), none()]).unwrap();
        assert_eq!(
            shape().check(&whole[..whole.len() - 1]).unwrap_err().to_string(),
            "field `labels`: the bytes are no map<i64?>: the record ends early"
        );
        let longer = [whole.as_slice(), &[0]].concat();
        assert_eq!(shape().check(&longer).unwrap_err(), RecordError::TrailingBytes { bytes: 1 });
        assert!(
            shape().decode_field(&whole, "size").unwrap_err().to_string().contains("name, sizes, labels")
        );
    }

    #[test]
    fn unordered_maps_become_canonical_and_repeated_names_do_not() {
        let unordered = b"\x01x\x00\x02\x01b\x00\x01a\x00";
        assert!(shape().check(unordered).is_err());
        let canonical = shape().canonical(unordered).unwrap();
        assert_eq!(&*canonical, b"\x01x\x00\x02\x01a\x00\x01b\x00");
        assert!(matches!(shape().canonical(&canonical).unwrap(), Cow::Borrowed(_)));
        assert!(shape().canonical(b"\x01x\x00\x02\x01b\x00\x01b\x00").is_err());
    }
}
