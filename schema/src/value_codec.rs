//! Reading and writing fields as the bytes `postcard` makes of the Rust types they stand for.
//!
//! A field of a given type has exactly one encoding: what this module accepts, it would write again byte for byte.
//! That is stricter than postcard itself, which also reads padded integers and maps in any order; two encodings of
//! one record would be two records of a bag, and would upset the digests that compare copies.
//!
//! Memory and recursion are bounded by the bytes at hand and by the depth of the type, whatever lengths the bytes claim.

use std::collections::BTreeMap;

use crate::error::RecordError;
use crate::field::FieldType;
use crate::value::Value;

/// Appends `value`, a value of type `field_type`.
pub(crate) fn encode(out: &mut Vec<u8>, field_type: &FieldType, value: &Value) -> Result<(), RecordError> {
    match (field_type, value) {
        (FieldType::Bool, Value::Bool(value)) => out.push(u8::from(*value)),
        (FieldType::U64, Value::U64(value)) => put_varint(out, *value),
        (FieldType::I64, Value::I64(value)) => put_varint(out, zigzag(*value)),
        (FieldType::F64, Value::F64(value)) => out.extend_from_slice(&value.to_le_bytes()),
        (FieldType::String, Value::String(value)) => put_bytes(out, value.as_bytes()),
        (FieldType::Bytes, Value::Bytes(value)) => put_bytes(out, value),
        (FieldType::Optional(_), Value::Null) => out.push(0),
        (FieldType::Optional(inner), value) => {
            out.push(1);
            encode(out, inner, value)?;
        }
        (FieldType::List(item), Value::List(values)) => {
            put_varint(out, values.len() as u64);
            for (place, value) in values.iter().enumerate() {
                encode(out, item, value).map_err(|error| error.within_place(place))?;
            }
        }
        (FieldType::Map(item), Value::Map(values)) => {
            put_varint(out, values.len() as u64);
            for (name, value) in values {
                put_bytes(out, name.as_bytes());
                encode(out, item, value).map_err(|error| error.within_name(name))?;
            }
        }
        _ => return Err(mistyped(field_type, value)),
    }
    Ok(())
}

/// Reads a value of type `field_type`.
pub(crate) fn decode(reader: &mut Reader<'_>, field_type: &FieldType) -> Result<Value, RecordError> {
    Ok(match field_type {
        FieldType::Bool => Value::Bool(reader.bool()?),
        FieldType::U64 => Value::U64(reader.u64()?),
        FieldType::I64 => Value::I64(reader.i64()?),
        FieldType::F64 => Value::F64(reader.f64()?),
        FieldType::String => Value::String(reader.string()?.to_owned()),
        FieldType::Bytes => Value::Bytes(reader.bytes()?.to_vec()),
        FieldType::Optional(inner) => {
            if reader.is_some()? {
                decode(reader, inner)?
            } else {
                Value::Null
            }
        }
        FieldType::List(item) => {
            let mut values = Vec::new();
            for place in 0..reader.count(field_type)? {
                values.push(decode(reader, item).map_err(|error| error.within_place(place))?);
            }
            Value::List(values)
        }
        FieldType::Map(item) => Value::Map(decode_map(reader, field_type, item)?),
    })
}

fn decode_map(
    reader: &mut Reader<'_>,
    field_type: &FieldType,
    item: &FieldType,
) -> Result<BTreeMap<String, Value>, RecordError> {
    let mut values = BTreeMap::new();
    let mut last = None;
    for _ in 0..reader.count(field_type)? {
        let name = reader.map_name(field_type, &mut last)?;
        let value = decode(reader, item).map_err(|error| error.within_name(name))?;
        if values.insert(name.to_owned(), value).is_some() {
            return Err(reader.malformed(field_type, "a name occurs twice"));
        }
    }
    Ok(values)
}

/// Passes over a value of type `field_type`, checking it as [`decode`] does but keeping nothing.
pub(crate) fn skip(reader: &mut Reader<'_>, field_type: &FieldType) -> Result<(), RecordError> {
    match field_type {
        FieldType::Bool => reader.bool().map(drop),
        FieldType::U64 => reader.u64().map(drop),
        FieldType::I64 => reader.i64().map(drop),
        FieldType::F64 => reader.f64().map(drop),
        FieldType::String => reader.string().map(drop),
        FieldType::Bytes => reader.bytes().map(drop),
        FieldType::Optional(inner) => {
            if reader.is_some()? {
                skip(reader, inner)?;
            }
            Ok(())
        }
        FieldType::List(item) => {
            for place in 0..reader.count(field_type)? {
                skip(reader, item).map_err(|error| error.within_place(place))?;
            }
            Ok(())
        }
        FieldType::Map(item) => {
            let mut last = None;
            for _ in 0..reader.count(field_type)? {
                let name = reader.map_name(field_type, &mut last)?;
                skip(reader, item).map_err(|error| error.within_name(name))?;
            }
            Ok(())
        }
    }
}

pub(crate) fn mistyped(field_type: &FieldType, value: &Value) -> RecordError {
    RecordError::Mistyped {
        field: String::new(),
        expected: field_type.to_string(),
        found: value.kind_name().to_owned(),
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Small numbers of either sign become small unsigned numbers: 0, -1, 1, -2, … are 0, 1, 2, 3, …
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The part of a record that is not yet read.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    any_map_order: bool,
}

const ENDS_EARLY: &str = "the record ends early";

impl<'a> Reader<'a> {
    pub(crate) const fn new(record: &'a [u8]) -> Self {
        Self { rest: record, any_map_order: false }
    }

    /// Reads maps whose names are in any order, as a `HashMap` is written by serde.
    pub(crate) const fn of_unordered_maps(record: &'a [u8]) -> Self {
        Self { rest: record, any_map_order: true }
    }

    #[cfg(test)]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that all is read.
    pub(crate) const fn finish(self) -> Result<(), RecordError> {
        if self.rest.is_empty() { Ok(()) } else { Err(RecordError::TrailingBytes { bytes: self.rest.len() }) }
    }

    pub(crate) fn malformed(&self, field_type: &FieldType, problem: &'static str) -> RecordError {
        RecordError::Malformed { field: String::new(), expected: field_type.to_string(), problem }
    }

    fn byte(&mut self, field_type: &FieldType) -> Result<u8, RecordError> {
        let byte = self.rest.split_off_first().copied();
        byte.ok_or_else(|| self.malformed(field_type, ENDS_EARLY))
    }

    fn take(&mut self, count: u64, field_type: &FieldType) -> Result<&'a [u8], RecordError> {
        let taken = usize::try_from(count).ok().and_then(|count| self.rest.split_off(..count));
        taken.ok_or_else(|| self.malformed(field_type, ENDS_EARLY))
    }

    fn varint(&mut self, field_type: &FieldType) -> Result<u64, RecordError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(field_type)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(self.malformed(field_type, "an integer has more than 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(self.malformed(field_type, "an integer is padded"));
                }
                return Ok(value);
            }
        }
        Err(self.malformed(field_type, "an integer has more than 64 bits"))
    }

    /// The number of items of a list or map. Each item takes at least one byte, so a count beyond the bytes left is
    /// known to be wrong before anything is kept for it.
    pub(crate) fn count(&mut self, field_type: &FieldType) -> Result<u64, RecordError> {
        let count = self.varint(field_type)?;
        if count > self.rest.len() as u64 { Err(self.malformed(field_type, ENDS_EARLY)) } else { Ok(count) }
    }

    /// The next name of a map, after `last`.
    fn map_name(
        &mut self,
        field_type: &FieldType,
        last: &mut Option<&'a str>,
    ) -> Result<&'a str, RecordError> {
        let name = self.text(field_type)?;
        if !self.any_map_order && last.is_some_and(|last| last >= name) {
            return Err(self.malformed(field_type, "names are not in ascending order"));
        }
        *last = Some(name);
        Ok(name)
    }

    fn text(&mut self, field_type: &FieldType) -> Result<&'a str, RecordError> {
        let length = self.varint(field_type)?;
        let bytes = self.take(length, field_type)?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed(field_type, "text is not UTF-8"))
    }

    pub(crate) fn bool(&mut self) -> Result<bool, RecordError> {
        match self.byte(&FieldType::Bool)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.malformed(&FieldType::Bool, "neither 0 nor 1")),
        }
    }

    pub(crate) fn u64(&mut self) -> Result<u64, RecordError> {
        self.varint(&FieldType::U64)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, RecordError> {
        self.varint(&FieldType::I64).map(unzigzag)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, RecordError> {
        let Some((head, rest)) = self.rest.split_first_chunk() else {
            return Err(self.malformed(&FieldType::F64, ENDS_EARLY));
        };
        self.rest = rest;
        Ok(f64::from_le_bytes(*head))
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, RecordError> {
        self.text(&FieldType::String)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let length = self.varint(&FieldType::Bytes)?;
        self.take(length, &FieldType::Bytes)
    }

    /// Whether an optional field has a value.
    pub(crate) fn is_some(&mut self) -> Result<bool, RecordError> {
        match self.byte(&FieldType::Bool) {
            Ok(0) => Ok(false),
            Ok(1) => Ok(true),
            found => {
                let problem =
                    if found.is_ok() { "an optional value is marked neither 0 nor 1" } else { ENDS_EARLY };
                Err(RecordError::Malformed {
                    field: String::new(),
                    expected: "optional value".to_owned(),
                    problem,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    fn encoded(field_type: &FieldType, value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, field_type, value).unwrap();
        out
    }

    fn decoded(field_type: &FieldType, bytes: &[u8]) -> Result<Value, RecordError> {
        let mut reader = Reader::new(bytes);
        let value = decode(&mut reader, field_type)?;
        reader.finish()?;
        Ok(value)
    }

    #[test]
    fn the_bytes_are_those_of_postcard() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(encoded(&FieldType::U64, &Value::U64(value)), postcard::to_stdvec(&value).unwrap());
        }
        for value in [0, 1, -1, 63, -64, 64, i64::MIN, i64::MAX] {
            let bytes = postcard::to_stdvec(&value).unwrap();
            assert_eq!(encoded(&FieldType::I64, &Value::I64(value)), bytes);
            assert_eq!(decoded(&FieldType::I64, &bytes).unwrap(), Value::I64(value));
        }
        let bytes = postcard::to_stdvec(&Some(vec![Some(1.5f64), None])).unwrap();
        let field_type = "list<f64?>?".parse().unwrap();
        let value = Value::List(vec![Value::F64(1.5), Value::Null]);
        assert_eq!(decoded(&field_type, &bytes).unwrap(), value);
        assert_eq!(encoded(&field_type, &value), bytes);
    }

    #[test]
    fn claimed_lengths_are_checked_before_they_are_believed() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00];
        for text in ["string", "bytes", "list<bool>", "map<bool>", "list<list<list<u64>>>"] {
            let error = decoded(&text.parse().unwrap(), &huge).unwrap_err();
            assert!(matches!(error, RecordError::Malformed { problem: ENDS_EARLY, .. }), "{error}");
        }
    }

    #[test]
    fn other_encodings_of_the_same_value_are_refused() {
        let refused = |text: &str, bytes: &[u8]| {
            assert!(decoded(&text.parse().unwrap(), bytes).is_err(), "{text} {bytes:?} was accepted");
        };
        refused("u64", &[0x80, 0x00]);
        refused("u64", &[0xff; 10]);
        refused("u64", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]);
        refused("bool", &[2]);
        refused("bool?", &[2, 0]);
        refused("bool", &[1, 1]);
        refused("string", b"\x01\xff");
        refused("map<bool>", b"\x02\x01b\x00\x01a\x00");
        refused("map<bool>", b"\x02\x01a\x00\x01a\x00");
    }

    #[test]
    fn errors_name_the_place_inside_lists_and_maps() {
        let error = decoded(&"map<list<bool>>".parse().unwrap(), b"\x01\x01x\x02\x01\x07").unwrap_err();
        assert_eq!(error.to_string(), "field `.x[1]`: the bytes are no bool: neither 0 nor 1");
    }

    proptest! {
        #[test]
        fn values_read_back_as_written((field_type, value) in testing::typed_value()) {
            let bytes = encoded(&field_type, &value);
            prop_assert_eq!(decoded(&field_type, &bytes).unwrap(), value);
            let mut reader = Reader::new(&bytes);
            prop_assert!(skip(&mut reader, &field_type).is_ok());
            prop_assert!(reader.finish().is_ok());
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_have_one_reading(
            field_type in testing::field_type(),
            bytes in testing::awkward_bytes(),
        ) {
            let mut skipping = Reader::new(&bytes);
            let skipped = skip(&mut skipping, &field_type);
            let mut reading = Reader::new(&bytes);
            match decode(&mut reading, &field_type) {
                Ok(value) => {
                    let used = bytes.len() - reading.rest().len();
                    prop_assert_eq!(encoded(&field_type, &value), &bytes[..used]);
                    prop_assert_eq!(skipping.rest(), reading.rest());
                    prop_assert!(skipped.is_ok());
                }
                Err(error) => prop_assert_eq!(skipped, Err(error)),
            }
        }
    }
}
