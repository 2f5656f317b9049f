//! Encoded keys.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The encoded key of a record.
///
/// Keys compare bytewise exactly as the values they encode compare, field by field, and no key is a prefix of another
/// key of the same table. So `key ‖ anything` groups by key, and the key of a compound's first fields is a byte
/// prefix of all keys that agree on those fields.
///
/// | field | bytes |
/// |---|---|
/// | bool | `00` or `01` |
/// | u64 | 8 bytes, big-endian |
/// | i64 | 8 bytes, big-endian, sign bit flipped |
/// | f64 | 8 bytes, big-endian; sign bit flipped if positive, all bits if negative |
/// | string, bytes | the bytes with each `00` written `00 ff`, then `00 01` |
/// | optional | `00`, or `01` and the value |
///
/// ```
/// use tabularaft_schema::{Key, KeyFor};
///
/// let key = KeyFor::<(String, u64)>::to_key(&("room", 7));
/// assert_eq!(key.as_bytes(), b"room\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07");
/// // All messages of the room lie between the key of its first field and that key's successor.
/// let room: Key = KeyFor::<String>::to_key("room");
/// let end = Key::successor_of_prefix(&room).expect("the room's key is not all 0xff");
/// assert!(room <= key && key < end);
/// ```
// Persistent: keys are stored and sent. Add encodings for new field types, never change one.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key of bytes that were encoded before.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The encoded bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The encoded bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The key followed by another: the compound key of both.
    #[must_use]
    pub fn joined(mut self, rest: &[u8]) -> Self {
        self.0.extend_from_slice(rest);
        self
    }

    /// The least bytes that are greater than all bytes starting with `prefix`, or `None` if there are none such
    /// (the prefix is empty or all `ff`): the exclusive upper bound of a scan by prefix.
    ///
    /// ```
    /// use tabularaft_schema::Key;
    ///
    /// assert_eq!(Key::successor_of_prefix(b"ab").as_deref(), Some(&b"ac"[..]));
    /// assert_eq!(Key::successor_of_prefix(b"a\xff").as_deref(), Some(&b"b"[..]));
    /// assert_eq!(Key::successor_of_prefix(b"\xff\xff"), None);
    /// ```
    #[must_use]
    pub fn successor_of_prefix(prefix: &[u8]) -> Option<Self> {
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if last < 0xff {
                end.push(last + 1);
                return Some(Self(end));
            }
        }
        None
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<Key> for Vec<u8> {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(KeyVisitor).map(Self)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes of a key")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    // Self-describing formats such as JSON know bytes only as a list of numbers.
    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = items.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_serialises_as_bytes() {
        let key = Key::from_bytes(vec![1, 0, 255]);
        let bytes = postcard::to_stdvec(&key).unwrap();
        assert_eq!(bytes, [3, 1, 0, 255]);
        assert_eq!(postcard::from_bytes::<Key>(&bytes).unwrap(), key);
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<Key>(&json).unwrap(), key);
    }

    proptest! {
        #[test]
        fn the_successor_of_a_prefix_bounds_exactly_the_strings_that_start_with_it(
            prefix in prop::collection::vec(prop_oneof![Just(0u8), Just(0xfe), Just(0xff), any::<u8>()], 0..4),
            other in prop::collection::vec(prop_oneof![Just(0u8), Just(0xfe), Just(0xff), any::<u8>()], 0..6),
        ) {
            let below = Key::successor_of_prefix(&prefix).is_none_or(|end| other.as_slice() < end.as_bytes());
            prop_assert_eq!(other.starts_with(&prefix), other >= prefix && below);
        }
    }
}
