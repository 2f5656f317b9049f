//! Strategies for this crate's property tests: types, values and bytes chosen to be awkward.

use proptest::prelude::*;

use crate::field::FieldType;
use crate::value::Value;

/// Bytes rich in the values the encodings treat specially.
pub(crate) fn awkward_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => prop::sample::select(vec![0x00u8, 0x01, 0x02, 0x7f, 0x80, 0xfe, 0xff, b'a']),
        1 => any::<u8>(),
    ];
    prop::collection::vec(byte, 0..24)
}

fn awkward_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        prop::sample::select(vec!["", "\0", "a", "b", "\u{1}", "\u{7f}", "é", "😀", "null", "\""]),
        Just("\0\0"),
    ];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

/// Bytes that start like a key and go wrong later.
pub(crate) fn bytes_near_a_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        awkward_bytes(),
        awkward_bytes().prop_map(|bytes| {
            let mut key = Vec::new();
            crate::key_codec::put_bytes(&mut key, &bytes);
            key
        }),
    ]
}

fn scalar_type() -> impl Strategy<Value = FieldType> {
    use FieldType::{Bool, Bytes, F64, I64, String, U64};
    prop::sample::select(vec![Bool, U64, I64, F64, String, Bytes])
}

fn key_type() -> impl Strategy<Value = FieldType> {
    (scalar_type(), any::<bool>()).prop_map(
        |(scalar, optional)| {
            if optional { FieldType::optional(scalar) } else { scalar }
        },
    )
}

pub(crate) fn field_type() -> impl Strategy<Value = FieldType> {
    scalar_type().prop_recursive(3, 4, 1, |inner| {
        (inner, 0..3).prop_map(|(inner, wrap)| match wrap {
            0 => FieldType::list(inner),
            1 => FieldType::map(inner),
            _ if matches!(inner, FieldType::Optional(_)) => inner,
            _ => FieldType::optional(inner),
        })
    })
}

pub(crate) fn value_of(field_type: &FieldType) -> BoxedStrategy<Value> {
    match field_type {
        FieldType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        FieldType::U64 => prop_oneof![0u64..4, any::<u64>(), Just(u64::MAX)].prop_map(Value::U64).boxed(),
        FieldType::I64 => {
            prop_oneof![-3i64..3, any::<i64>(), Just(i64::MIN), Just(i64::MAX)].prop_map(Value::I64).boxed()
        }
        FieldType::F64 => {
            let special = prop::sample::select(vec![
                0.0,
                -0.0,
                1.0,
                -1.0,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::NAN,
                f64::MIN_POSITIVE,
            ]);
            prop_oneof![special, any::<u64>().prop_map(f64::from_bits)].prop_map(Value::F64).boxed()
        }
        FieldType::String => awkward_text().prop_map(Value::String).boxed(),
        FieldType::Bytes => awkward_bytes().prop_map(Value::Bytes).boxed(),
        FieldType::Optional(inner) => prop_oneof![1 => Just(Value::Null), 3 => value_of(inner)].boxed(),
        FieldType::List(item) => prop::collection::vec(value_of(item), 0..4).prop_map(Value::List).boxed(),
        FieldType::Map(item) => {
            prop::collection::btree_map(awkward_text(), value_of(item), 0..4).prop_map(Value::Map).boxed()
        }
    }
}

pub(crate) fn typed_value() -> impl Strategy<Value = (FieldType, Value)> {
    field_type().prop_flat_map(|field_type| {
        let value = value_of(&field_type);
        (Just(field_type), value)
    })
}

/// The types of a compound key, and two keys of these types that often share their first fields.
pub(crate) fn two_keys() -> impl Strategy<Value = (Vec<FieldType>, Vec<Value>, Vec<Value>)> {
    prop::collection::vec(key_type(), 1..4).prop_flat_map(|types| {
        let key: Vec<_> = types.iter().map(value_of).collect();
        let shared = 0..=types.len();
        (Just(types), key.clone(), key, shared).prop_map(|(types, a, mut b, shared)| {
            b.splice(..shared, a.iter().take(shared).cloned());
            (types, a, b)
        })
    })
}
