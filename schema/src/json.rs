//! Records as JSON objects: how operators and dumps see them.
//!
//! Fields stand in the order of the shape. Bytes are base64 (standard alphabet, padded), missing optional values are
//! `null`, 64-bit integers are JSON numbers in their full range.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value as Json;

use crate::error::RecordError;
use crate::field::FieldType;
use crate::shape::RecordShape;
use crate::value::Value;

impl RecordShape {
    /// The record as a JSON object, its fields in order.
    ///
    /// # Errors
    /// [`RecordError`] if the bytes are no record of this shape, or a float is NaN or infinite.
    pub fn to_json(&self, record: &[u8]) -> Result<Json, RecordError> {
        let values = self.decode(record)?;
        let mut object = serde_json::Map::with_capacity(values.len());
        for (field, value) in self.fields.iter().zip(&values) {
            let value = value.to_json().map_err(|error| error.within(&field.name))?;
            object.insert(field.name.clone(), value);
        }
        Ok(Json::Object(object))
    }

    /// The record written as a JSON object. Optional fields may be left out.
    ///
    /// # Errors
    /// [`RecordError`] names the field that is missing, unknown or of another type, and says what was expected.
    pub fn from_json(&self, json: &Json) -> Result<Vec<u8>, RecordError> {
        let Json::Object(object) = json else {
            return Err(RecordError::NotAnObject { known: self.field_names(), found: kind_name(json) });
        };
        if let Some(field) = object.keys().find(|name| self.field(name).is_none()) {
            return Err(RecordError::UnknownField {
                field: crate::error::shortened(field),
                known: self.field_names(),
            });
        }
        let mut values = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            values.push(match (object.get(&field.name), &field.field_type) {
                (Some(json), field_type) => {
                    field_type.from_json(json).map_err(|error| error.within(&field.name))?
                }
                (None, FieldType::Optional(_)) => Value::Null,
                (None, field_type) => {
                    let (field, expected) = (field.name.clone(), field_type.to_string());
                    return Err(RecordError::MissingField { field, expected });
                }
            });
        }
        self.encode(&values)
    }
}

impl Value {
    /// The value as JSON.
    ///
    /// # Errors
    /// [`RecordError::NotFinite`] for floats that are NaN or infinite.
    pub fn to_json(&self) -> Result<Json, RecordError> {
        Ok(match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::from(*value),
            Self::U64(value) => Json::from(*value),
            Self::I64(value) => Json::from(*value),
            Self::F64(value) => match serde_json::Number::from_f64(*value) {
                Some(number) => Json::Number(number),
                None => {
                    return Err(RecordError::NotFinite { field: String::new(), found: value.to_string() });
                }
            },
            Self::String(value) => Json::from(value.as_str()),
            Self::Bytes(value) => Json::from(BASE64.encode(value)),
            Self::List(values) => {
                let item = |(place, value): (usize, &Self)| {
                    value.to_json().map_err(|error| error.within_place(place))
                };
                Json::Array(values.iter().enumerate().map(item).collect::<Result<_, _>>()?)
            }
            Self::Map(values) => {
                let item = |(name, value): (&String, &Self)| {
                    let json = value.to_json().map_err(|error| error.within_name(name))?;
                    Ok((name.clone(), json))
                };
                Json::Object(values.iter().map(item).collect::<Result<_, _>>()?)
            }
        })
    }
}

impl FieldType {
    /// The JSON value read as a value of this type.
    ///
    /// # Errors
    /// [`RecordError::Mistyped`] if it is of another type or out of range.
    pub fn from_json(&self, json: &Json) -> Result<Value, RecordError> {
        let value = match (self, json) {
            (Self::Bool, Json::Bool(value)) => Some(Value::Bool(*value)),
            (Self::U64, Json::Number(number)) => number.as_u64().map(Value::U64),
            (Self::I64, Json::Number(number)) => number.as_i64().map(Value::I64),
            (Self::F64, Json::Number(number)) => {
                number.as_f64().filter(|value| value.is_finite()).map(Value::F64)
            }
            (Self::String, Json::String(text)) => Some(Value::String(text.clone())),
            (Self::Bytes, Json::String(text)) => BASE64.decode(text).ok().map(Value::Bytes),
            (Self::Optional(_), Json::Null) => Some(Value::Null),
            (Self::Optional(inner), json) => Some(inner.from_json(json)?),
            (Self::List(item), Json::Array(items)) => {
                let item = |(place, json)| item.from_json(json).map_err(|error| error.within_place(place));
                Some(Value::List(items.iter().enumerate().map(item).collect::<Result<_, _>>()?))
            }
            (Self::Map(item), Json::Object(items)) => {
                let item = |(name, json): (&String, &Json)| {
                    let value = item.from_json(json).map_err(|error| error.within_name(name))?;
                    Ok((name.clone(), value))
                };
                Some(Value::Map(items.iter().map(item).collect::<Result<_, _>>()?))
            }
            _ => None,
        };
        value.ok_or_else(|| RecordError::Mistyped {
            field: String::new(),
            expected: self.in_json(),
            found: found(json),
        })
    }

    /// The plain text read as a value of this type, as on a command line: text as it stands, numbers and `true` or
    /// `false` as in JSON, bytes as base64, `null` for a missing optional value. Lists and maps are read as JSON; so
    /// is an optional string that starts with a quote, which makes the text `null` expressible.
    ///
    /// # Errors
    /// [`RecordError::Mistyped`] if the text is no value of this type.
    pub fn from_text(&self, text: &str) -> Result<Value, RecordError> {
        match self {
            Self::String | Self::Bytes => self.from_json(&Json::from(text)),
            Self::Optional(_) if text == "null" => Ok(Value::Null),
            Self::Optional(inner) if !text.starts_with('"') => inner.from_text(text),
            _ => match serde_json::from_str(text) {
                Ok(json) => self.from_json(&json),
                Err(_) => self.from_json(&Json::from(text)),
            },
        }
    }

    fn in_json(&self) -> String {
        match self {
            Self::Bytes => "bytes (a base64 string)".to_owned(),
            Self::U64 => "u64 (an integer from 0 to 18446744073709551615)".to_owned(),
            Self::I64 => "i64 (an integer from -9223372036854775808 to 9223372036854775807)".to_owned(),
            Self::F64 => "f64 (a finite number)".to_owned(),
            _ => self.to_string(),
        }
    }
}

const fn kind_name(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

/// Numbers are shown, since it is their range that is most often wrong; other content is not.
fn found(json: &Json) -> String {
    match json {
        Json::Number(number) => format!("the number {number}"),
        _ => kind_name(json).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing;

    fn shape() -> RecordShape {
        let fields = [
            "name string",
            "seq u64",
            "delta i64",
            "ratio f64",
            "payload bytes",
            "note string?",
            "tags list<string>",
            "counts map<u64>",
            "on bool",
        ];
        RecordShape::new(
            1,
            fields
                .map(|field| field.split_once(' ').unwrap())
                .map(|(name, text)| (name, text.parse().unwrap())),
        )
    }

    fn record() -> Json {
        json!({
            "name": "a\"b", "seq": u64::MAX, "delta": i64::MIN, "ratio": -0.25, "payload": "AAH/", "note": null,
            "tags": ["x", ""], "counts": {"a": 1, "b": 0}, "on": true,
        })
    }

    #[test]
    fn a_record_goes_to_json_and_back_with_its_fields_in_order() {
        let bytes = shape().from_json(&record()).unwrap();
        let json = shape().to_json(&bytes).unwrap();
        assert_eq!(json.to_string(), record().to_string());
        assert_eq!(shape().decode_field(&bytes, "payload").unwrap(), Value::Bytes(vec![0, 1, 255]));
    }

    #[test]
    fn errors_say_what_is_missing_unknown_or_mistyped() {
        let message = |change: &dyn Fn(&mut serde_json::Map<String, Json>)| {
            let mut json = record();
            change(json.as_object_mut().unwrap());
            shape().from_json(&json).unwrap_err().to_string()
        };
        assert_eq!(message(&|o| drop(o.shift_remove("seq"))), "field `seq` is missing: expected u64");
        assert_eq!(
            message(&|o| drop(o.insert("sequence".into(), json!(1)))),
            "field `sequence` is unknown: the table's fields are name, seq, delta, ratio, payload, note, tags, counts, on"
        );
        assert_eq!(
            message(&|o| drop(o.insert("seq".into(), json!(-1)))),
            "field `seq`: expected u64 (an integer from 0 to 18446744073709551615), found the number -1"
        );
        assert_eq!(
            message(&|o| drop(o.insert("tags".into(), json!(["a", 3])))),
            "field `tags[1]`: expected string, found the number 3"
        );
        assert_eq!(
            message(&|o| drop(o.insert("counts".into(), json!({"a": null})))),
            "field `counts.a`: expected u64 (an integer from 0 to 18446744073709551615), found null"
        );
        assert_eq!(
            message(&|o| drop(o.insert("payload".into(), json!("?")))),
            "field `payload`: expected bytes (a base64 string), found a string"
        );
        assert_eq!(
            message(&|o| drop(o.insert("name".into(), Json::Null))),
            "field `name`: expected string, found null"
        );
        assert!(shape().from_json(&json!([1])).unwrap_err().to_string().ends_with("found an array"));
    }

    #[test]
    fn optional_fields_may_be_left_out() {
        let mut json = record();
        json.as_object_mut().unwrap().shift_remove("note");
        assert_eq!(shape().from_json(&json).unwrap(), shape().from_json(&record()).unwrap());
    }

    #[test]
    fn floats_that_are_not_finite_are_refused() {
        let shape = RecordShape::new(1, [("ratios", FieldType::list(FieldType::F64))]);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let bytes = shape.encode(&[vec![Value::F64(value)].into()]).unwrap();
            let error = shape.to_json(&bytes).unwrap_err().to_string();
            assert_eq!(error, format!("field `ratios[0]` holds {value}, which JSON cannot express"));
        }
    }

    #[test]
    fn plain_text_is_read_by_the_type_of_the_field() {
        let read = |field_type: &str, text: &str| field_type.parse::<FieldType>().unwrap().from_text(text);
        assert_eq!(read("string", "12").unwrap(), "12".into());
        assert_eq!(read("u64", "12").unwrap(), Value::U64(12));
        assert_eq!(read("f64", "12").unwrap(), Value::F64(12.0));
        assert_eq!(read("bool", "true").unwrap(), Value::Bool(true));
        assert_eq!(read("string?", "null").unwrap(), Value::Null);
        assert_eq!(read("string?", "\"null\"").unwrap(), "null".into());
        assert_eq!(read("string?", "abc").unwrap(), "abc".into());
        assert_eq!(read("list<u64>", "[1]").unwrap(), Value::List(vec![Value::U64(1)]));
        assert!(read("u64", "abc").is_err());
        assert!(read("u64", "").is_err());
    }

    proptest! {
        #[test]
        fn every_finite_value_survives_json_text((field_type, value) in testing::typed_value()) {
            if let Ok(json) = value.to_json() {
                let text = json.to_string();
                let json: Json = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(field_type.from_json(&json).unwrap(), value);
            }
        }
    }
}
