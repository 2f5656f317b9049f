//! Single values as keys: what indexes hold, and what bounds of a range are made of.

use crate::error::RecordError;
use crate::field::FieldType;
use crate::key::Key;
use crate::key_codec;
use crate::value::Value;

impl FieldType {
    /// The key encoding of one value of this type.
    ///
    /// ```
    /// use tabularaft_schema::{FieldType, Value};
    ///
    /// let key = FieldType::String.key_of_value(&Value::from("a"))?;
    /// assert_eq!(key.as_bytes(), b"a\x00\x01");
    /// assert_eq!(FieldType::String.split_key(b"a\x00\x01rest"), Some((&b"a\x00\x01"[..], &b"rest"[..])));
    /// # Ok::<(), tabularaft_schema::RecordError>(())
    /// ```
    ///
    /// # Errors
    /// [`RecordError::Mistyped`] if the value is of another type.
    pub fn key_of_value(&self, value: &Value) -> Result<Key, RecordError> {
        let mut key = Vec::new();
        key_codec::put_value(&mut key, self, value)?;
        Ok(Key::from_bytes(key))
    }

    /// The value as one of this type, if it is a whole number written as one of another numeric type; else itself.
    ///
    /// ```
    /// # use tabularaft_schema::{FieldType, Value};
    /// assert_eq!(FieldType::U64.fitted(Value::from(7)), Value::U64(7));
    /// assert_eq!(FieldType::optional(FieldType::F64).fitted(Value::from(7)), Value::F64(7.0));
    /// ```
    #[must_use]
    pub fn fitted(&self, value: Value) -> Value {
        match (self, value) {
            (Self::Optional(inner), value) => inner.fitted(value),
            (Self::U64, Value::I64(number)) => u64::try_from(number).map_or(Value::I64(number), Value::U64),
            (Self::I64, Value::U64(number)) => i64::try_from(number).map_or(Value::U64(number), Value::I64),
            (Self::F64, Value::I64(number)) => Value::F64(number as f64),
            (Self::F64, Value::U64(number)) => Value::F64(number as f64),
            (_, value) => value,
        }
    }

    /// What the key encodings of all strings that start with `prefix` start with; `None` if this is no type of text.
    /// An optional text counts as text.
    #[must_use]
    pub fn key_prefix_of_text(&self, prefix: &str) -> Option<Vec<u8>> {
        let mut key = Vec::new();
        let inner = match self {
            Self::Optional(inner) => {
                key_codec::put_some(&mut key);
                inner.as_ref()
            }
            other => other,
        };
        key_codec::put_bytes_prefix(&mut key, prefix.as_bytes());
        matches!(inner, Self::String | Self::Bytes).then_some(key)
    }

    /// Reads one value back from its key encoding, which must end with it; `None` if the bytes are none.
    #[must_use]
    pub fn value_of_key(&self, mut key: &[u8]) -> Option<Value> {
        let value = key_codec::take_value(&mut key, self).ok()?;
        key.is_empty().then_some(value)
    }

    /// Cuts bytes that begin with the key encoding of a value of this type behind it, without reading the value.
    #[must_use]
    pub fn split_key<'k>(&self, key: &'k [u8]) -> Option<(&'k [u8], &'k [u8])> {
        let rest = self.after_key(key)?;
        key.split_at_checked(key.len() - rest.len())
    }

    fn after_key<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        match self {
            Self::Bool => key.get(1..),
            Self::U64 | Self::I64 | Self::F64 => key.get(8..),
            Self::String | Self::Bytes => after_end_mark(key),
            Self::Optional(inner) => match key.split_first()? {
                (0, rest) => Some(rest),
                (_, rest) => inner.after_key(rest),
            },
            Self::List(_) | Self::Map(_) => None,
        }
    }
}

/// `00 01` ends a text; any other byte after `00` belongs to it.
fn after_end_mark(mut key: &[u8]) -> Option<&[u8]> {
    loop {
        let zero = key.iter().position(|byte| *byte == 0)?;
        let (mark, rest) = key.get(zero + 1..)?.split_first()?;
        if *mark == 1 {
            return Some(rest);
        }
        key = rest;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_value_is_cut_off_where_its_encoding_ends(
            (types, values, _) in testing::two_keys(),
            rest in testing::awkward_bytes(),
        ) {
            for (field_type, value) in types.iter().zip(&values) {
                let key = field_type.key_of_value(value).unwrap();
                let joined = key.clone().joined(&rest);
                prop_assert_eq!(field_type.split_key(&joined), Some((key.as_bytes(), rest.as_slice())));
                prop_assert_eq!(field_type.value_of_key(&key), Some(value.clone()));
            }
        }
    }

    #[test]
    fn only_texts_have_prefixes() {
        assert_eq!(FieldType::U64.key_prefix_of_text("a"), None);
        assert_eq!(FieldType::String.key_prefix_of_text("a"), Some(b"a".to_vec()));
        assert_eq!(FieldType::optional(FieldType::String).key_prefix_of_text("a"), Some(b"\x01a".to_vec()));
    }
}
