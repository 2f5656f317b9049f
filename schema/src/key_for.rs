//! What may be given where a key is asked for.

use std::sync::Arc;

use crate::key::Key;
use crate::key_codec::put_bytes;
use crate::key_field::KeyField;
use crate::name::{NodeName, TableName};

/// A value that identifies a record whose key is `K`.
///
/// `K` is one key field's type, or a tuple of them for a compound key. Besides the owned key itself, borrowed forms
/// will do: `"a"` for a `String` or a [`NodeName`], `b"a"` for a `Vec<u8>`, a reference to any of them, and tuples
/// made of these.
///
/// ```
/// use tabularaft_schema::{Key, KeyFor, Record};
///
/// fn key_of<R: Record>(key: impl KeyFor<R::Key>) -> Key {
///     key.to_key()
/// }
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Record, Serialize, Deserialize)]
/// # #[record(table = "message", crate = "tabularaft_schema")]
/// # struct Message { #[key] room: String, #[key] number: u64, text: String }
/// // Message has the key (String, u64).
/// assert_eq!(key_of::<Message>(("kitchen", 7)), key_of::<Message>(&("kitchen".to_owned(), 7)));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not identify a record whose key is `{K}`",
    label = "not a key of this table"
)]
pub trait KeyFor<K: ?Sized> {
    /// Appends the encoded key.
    fn append_key(&self, key: &mut Vec<u8>);

    /// The encoded key.
    fn to_key(&self) -> Key {
        let mut key = Vec::new();
        self.append_key(&mut key);
        Key::from_bytes(key)
    }
}

impl<K: KeyField> KeyFor<K> for K {
    fn append_key(&self, key: &mut Vec<u8>) {
        self.append_to_key(key);
    }
}

// One implementation for `&Q` of any `Q` would be shorter, but references to foreign types count as local to the
// crate of the type, so it could collide with the one above.
impl<K: KeyField> KeyFor<K> for &K {
    fn append_key(&self, key: &mut Vec<u8>) {
        self.append_to_key(key);
    }
}

macro_rules! impl_borrowed {
    ($($borrowed:ty => $owned:ty $(, const $n:ident)?;)+) => {$(
        impl$(<const $n: usize>)? KeyFor<$owned> for $borrowed {
            fn append_key(&self, key: &mut Vec<u8>) {
                put_bytes(key, self.as_ref());
            }
        }

        impl$(<const $n: usize>)? KeyFor<$owned> for &$borrowed {
            fn append_key(&self, key: &mut Vec<u8>) {
                KeyFor::<$owned>::append_key(*self, key);
            }
        }
    )+};
}

impl_borrowed! {
    str => String;
    str => Box<str>;
    str => Arc<str>;
    str => NodeName;
    str => TableName;
    [u8] => Vec<u8>;
    [u8; N] => Vec<u8>, const N;
}

macro_rules! impl_tuple {
    ($($part:ident $query:ident $place:tt),+) => {
        impl<$($part, $query: KeyFor<$part>),+> KeyFor<($($part,)+)> for ($($query,)+) {
            fn append_key(&self, key: &mut Vec<u8>) {
                $(self.$place.append_key(key);)+
            }
        }

        impl<$($part, $query: KeyFor<$part>),+> KeyFor<($($part,)+)> for &($($query,)+) {
            fn append_key(&self, key: &mut Vec<u8>) {
                KeyFor::<($($part,)+)>::append_key(*self, key);
            }
        }
    };
}

impl_tuple!(A QA 0);
impl_tuple!(A QA 0, B QB 1);
impl_tuple!(A QA 0, B QB 1, C QC 2);
impl_tuple!(A QA 0, B QB 1, C QC 2, D QD 3);
impl_tuple!(A QA 0, B QB 1, C QC 2, D QD 3, E QE 4);
impl_tuple!(A QA 0, B QB 1, C QC 2, D QD 3, E QE 4, F QF 5);
impl_tuple!(A QA 0, B QB 1, C QC 2, D QD 3, E QE 4, F QF 5, G QG 6);
impl_tuple!(A QA 0, B QB 1, C QC 2, D QD 3, E QE 4, F QF 5, G QG 6, H QH 7);

#[cfg(test)]
mod tests {
    use super::*;

    /// As a table's `get` asks for it: the key type is known, the literal's is not.
    fn key_of<K>(key: impl KeyFor<K>) -> Vec<u8> {
        key.to_key().into_bytes()
    }

    #[test]
    fn literals_and_borrowed_forms_are_keys() {
        assert_eq!(key_of::<String>("a"), key_of::<String>("a".to_owned()));
        assert_eq!(key_of::<String>(&"a".to_owned()), b"a\x00\x01");
        assert_eq!(key_of::<u64>(7), [0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(key_of::<u16>(7), key_of::<u64>(&7));
        assert_eq!(key_of::<i32>(-7), key_of::<i64>(-7));
        assert_eq!(key_of::<Vec<u8>>(b"ab"), key_of::<Vec<u8>>(vec![b'a', b'b']));
        assert_eq!(key_of::<Vec<u8>>(&b"ab"[..]), key_of::<String>("ab"));
        assert_eq!(key_of::<NodeName>("a@b"), key_of::<NodeName>(NodeName::new("a@b").unwrap()));
        assert_eq!(key_of::<Option<u64>>(None), [0]);
        let (room, number) = ("x".to_owned(), 1);
        assert_eq!(key_of::<(String, u64)>((&room, number)), key_of::<(String, u64)>(("x", 1)));
    }

    #[test]
    fn the_key_of_the_first_fields_is_a_prefix_of_the_compound_key() {
        let whole = key_of::<(String, bool, u64)>(("x", true, 3));
        assert!(whole.starts_with(&key_of::<(String, bool)>(("x", true))));
        assert_eq!(key_of::<(String,)>(("x",)), key_of::<String>("x"));
    }
}
