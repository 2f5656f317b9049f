//! The order-preserving encoding of key fields; [`Key`](crate::Key) has the table of what is written.
//!
//! There are three ways in: from a Rust value (`key_field`), from a [`Value`], and straight from a record's bytes.
//! All end in the `put_…` functions here, so that they cannot disagree.

use crate::error::RecordError;
use crate::field::FieldType;
use crate::value::Value;
use crate::value_codec::{Reader, mistyped};

const SIGN: u64 = 1 << 63;

pub(crate) fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, value.cast_unsigned() ^ SIGN);
}

/// The order is that of [`f64::total_cmp`]: bit patterns of negative numbers grow as the numbers fall, so they are
/// inverted, and the sign bit then puts them below the positive ones.
pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    let bits = value.to_bits();
    put_u64(out, if bits & SIGN == 0 { bits | SIGN } else { !bits });
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, value: &[u8]) {
    put_bytes_prefix(out, value);
    out.extend_from_slice(&[0x00, 0x01]);
}

/// Without its end mark the encoding is a byte prefix of the encodings of all strings that start with `value`.
/// The end mark is less than every continuation (`00 ff` or a byte above `00`), so a string sorts before those it
/// is a prefix of.
pub(crate) fn put_bytes_prefix(out: &mut Vec<u8>, value: &[u8]) {
    out.reserve(value.len() + 2);
    let mut runs = value.split(|byte| *byte == 0x00);
    out.extend_from_slice(runs.next().unwrap_or_default());
    for run in runs {
        out.extend_from_slice(&[0x00, 0xff]);
        out.extend_from_slice(run);
    }
}

pub(crate) fn put_null(out: &mut Vec<u8>) {
    out.push(0x00);
}

/// Stands before the value of an optional field that has one.
pub(crate) fn put_some(out: &mut Vec<u8>) {
    out.push(0x01);
}

/// Appends the key encoding of `value`, a value of type `field_type`.
pub(crate) fn put_value(out: &mut Vec<u8>, field_type: &FieldType, value: &Value) -> Result<(), RecordError> {
    match (field_type, value) {
        (FieldType::Bool, Value::Bool(value)) => put_bool(out, *value),
        (FieldType::U64, Value::U64(value)) => put_u64(out, *value),
        (FieldType::I64, Value::I64(value)) => put_i64(out, *value),
        (FieldType::F64, Value::F64(value)) => put_f64(out, *value),
        (FieldType::String, Value::String(value)) => put_bytes(out, value.as_bytes()),
        (FieldType::Bytes, Value::Bytes(value)) => put_bytes(out, value),
        (FieldType::Optional(_), Value::Null) => put_null(out),
        (FieldType::Optional(inner), value) => {
            put_some(out);
            put_value(out, inner, value)?;
        }
        _ => return Err(mistyped(field_type, value)),
    }
    Ok(())
}

/// Reads one field of a record and appends its key encoding, without making a [`Value`] of it: this runs for every
/// write that arrives as bytes.
pub(crate) fn put_field(
    out: &mut Vec<u8>,
    field_type: &FieldType,
    record: &mut Reader<'_>,
) -> Result<(), RecordError> {
    match field_type {
        FieldType::Bool => put_bool(out, record.bool()?),
        FieldType::U64 => put_u64(out, record.u64()?),
        FieldType::I64 => put_i64(out, record.i64()?),
        FieldType::F64 => put_f64(out, record.f64()?),
        FieldType::String => put_bytes(out, record.string()?.as_bytes()),
        FieldType::Bytes => put_bytes(out, record.bytes()?),
        FieldType::Optional(inner) => {
            if record.is_some()? {
                put_some(out);
                put_field(out, inner, record)?;
            } else {
                put_null(out);
            }
        }
        FieldType::List(_) | FieldType::Map(_) => {
            return Err(record.malformed(field_type, "lists and maps cannot be keys"));
        }
    }
    Ok(())
}

/// Reads one field back from the start of `key`, and moves `key` behind it.
pub(crate) fn take_value(key: &mut &[u8], field_type: &FieldType) -> Result<Value, &'static str> {
    Ok(match field_type {
        FieldType::Bool => Value::Bool(take_flag(key)?),
        FieldType::U64 => Value::U64(take_u64(key)?),
        FieldType::I64 => Value::I64((take_u64(key)? ^ SIGN).cast_signed()),
        FieldType::F64 => {
            let bits = take_u64(key)?;
            Value::F64(f64::from_bits(if bits & SIGN == 0 { !bits } else { bits ^ SIGN }))
        }
        FieldType::String => {
            Value::String(String::from_utf8(take_bytes(key)?).map_err(|_| "text is not UTF-8")?)
        }
        FieldType::Bytes => Value::Bytes(take_bytes(key)?),
        FieldType::Optional(inner) => {
            if take_flag(key)? {
                take_value(key, inner)?
            } else {
                Value::Null
            }
        }
        FieldType::List(_) | FieldType::Map(_) => return Err("lists and maps cannot be keys"),
    })
}

const ENDS_EARLY: &str = "it ends early";

fn take_flag(key: &mut &[u8]) -> Result<bool, &'static str> {
    match key.split_off_first() {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        Some(_) => Err("a flag is neither 0 nor 1"),
        None => Err(ENDS_EARLY),
    }
}

fn take_u64(key: &mut &[u8]) -> Result<u64, &'static str> {
    let (head, rest) = key.split_first_chunk().ok_or(ENDS_EARLY)?;
    *key = rest;
    Ok(u64::from_be_bytes(*head))
}

fn take_bytes(key: &mut &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    loop {
        let zero = key.iter().position(|byte| *byte == 0x00).ok_or(ENDS_EARLY)?;
        let (run, rest) = key.split_at_checked(zero).ok_or(ENDS_EARLY)?;
        bytes.extend_from_slice(run);
        match rest.split_first_chunk() {
            Some(([0x00, 0x01], rest)) => {
                *key = rest;
                return Ok(bytes);
            }
            Some(([0x00, 0xff], rest)) => {
                bytes.push(0x00);
                *key = rest;
            }
            Some(_) => return Err("a zero byte is neither escaped nor an end mark"),
            None => return Err(ENDS_EARLY),
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
        put_value(&mut out, field_type, value).unwrap();
        out
    }

    fn compound(types: &[FieldType], values: &[Value]) -> Vec<u8> {
        types.iter().zip(values).flat_map(|(field_type, value)| encoded(field_type, value)).collect()
    }

    #[test]
    fn the_encodings_are_as_documented() {
        let string = |text: &str| encoded(&FieldType::String, &text.into());
        assert_eq!(string(""), b"\x00\x01");
        assert_eq!(string("a\0b"), b"a\x00\xffb\x00\x01");
        assert_eq!(string("\0"), b"\x00\xff\x00\x01");
        assert_eq!(encoded(&FieldType::I64, &Value::I64(-1)), [0x7f, 255, 255, 255, 255, 255, 255, 255]);
        assert_eq!(encoded(&FieldType::F64, &Value::F64(0.0)), [0x80, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encoded(&FieldType::F64, &Value::F64(-0.0)), [0x7f, 255, 255, 255, 255, 255, 255, 255]);
        let optional = FieldType::optional(FieldType::Bool);
        assert_eq!(encoded(&optional, &Value::Null), [0]);
        assert_eq!(encoded(&optional, &Value::Bool(false)), [1, 0]);
    }

    proptest! {
        #[test]
        fn keys_order_as_their_values((types, a, b) in testing::two_keys()) {
            prop_assert_eq!(compound(&types, &a).cmp(&compound(&types, &b)), a.cmp(&b));
        }

        #[test]
        fn no_key_is_a_prefix_of_another((types, a, b) in testing::two_keys()) {
            let (key_a, key_b) = (compound(&types, &a), compound(&types, &b));
            prop_assert_eq!(key_b.starts_with(&key_a), a == b);
        }

        #[test]
        fn keys_read_back_as_written((types, values, _) in testing::two_keys()) {
            let key = compound(&types, &values);
            let mut rest = key.as_slice();
            for (field_type, value) in types.iter().zip(&values) {
                prop_assert_eq!(&take_value(&mut rest, field_type).unwrap(), value);
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_what_reads_is_what_would_be_written(
            (types, _, _) in testing::two_keys(),
            bytes in testing::bytes_near_a_key(),
        ) {
            for field_type in &types {
                let mut rest = bytes.as_slice();
                if let Ok(value) = take_value(&mut rest, field_type) {
                    prop_assert_eq!(encoded(field_type, &value), &bytes[..bytes.len() - rest.len()]);
                }
            }
        }

        #[test]
        fn a_string_without_end_mark_is_a_byte_prefix_of_exactly_the_strings_that_start_with_it(
            prefix in testing::awkward_bytes(),
            other in testing::awkward_bytes(),
        ) {
            let mut start = Vec::new();
            put_bytes_prefix(&mut start, &prefix);
            let key = encoded(&FieldType::Bytes, &Value::Bytes(other.clone()));
            // A prefix that ends in NUL ends in an escape, and the end mark differs from that in its second byte.
            prop_assert_eq!(key.starts_with(&start), other.starts_with(&prefix));
        }
    }
}
