//! The Rust types a key may consist of.

use std::sync::Arc;

use crate::field_shape::FieldShape;
use crate::key_codec::{put_bool, put_bytes, put_f64, put_i64, put_null, put_some, put_u64};
use crate::name::{NodeName, TableName};

/// A Rust type that may be part of a key, or be indexed: any [`FieldShape`] that is neither a list nor a map.
///
/// A newtype of the application's own may implement it too. An implementation MUST append what the type it is
/// stored as appends, by handing on to it; else typed and untyped access find different records.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tabularaft_schema::{FieldShape, FieldType, KeyField};
///
/// #[derive(Serialize, Deserialize)]
/// struct ClientId(String);
///
/// impl FieldShape for ClientId {
///     fn field_type() -> FieldType {
///         String::field_type()
///     }
/// }
///
/// impl KeyField for ClientId {
///     fn append_to_key(&self, key: &mut Vec<u8>) {
///         self.0.append_to_key(key);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a key or be indexed",
    label = "not a key type",
    note = "keys may consist of bool, u16, u32, u64, usize, i16, i32, i64, isize, f64, String, Box<str>, Arc<str>, NodeName, Vec<u8>, and Option<T> of these"
)]
pub trait KeyField: FieldShape {
    /// Appends the order-preserving encoding of this value; see [`Key`](crate::Key).
    fn append_to_key(&self, key: &mut Vec<u8>);
}

macro_rules! impl_key_field {
    ($($rust:ty: |$value:ident, $key:ident| $append:expr;)+) => {$(
        impl KeyField for $rust {
            fn append_to_key(&self, $key: &mut Vec<u8>) {
                let $value = self;
                $append;
            }
        }
    )+};
}

impl_key_field! {
    bool: |value, key| put_bool(key, *value);
    u16: |value, key| put_u64(key, u64::from(*value));
    u32: |value, key| put_u64(key, u64::from(*value));
    u64: |value, key| put_u64(key, *value);
    usize: |value, key| put_u64(key, *value as u64);
    i16: |value, key| put_i64(key, i64::from(*value));
    i32: |value, key| put_i64(key, i64::from(*value));
    i64: |value, key| put_i64(key, *value);
    isize: |value, key| put_i64(key, *value as i64);
    f64: |value, key| put_f64(key, *value);
    String: |value, key| put_bytes(key, value.as_bytes());
    Box<str>: |value, key| put_bytes(key, value.as_bytes());
    Arc<str>: |value, key| put_bytes(key, value.as_bytes());
    NodeName: |value, key| put_bytes(key, value.as_bytes());
    TableName: |value, key| put_bytes(key, value.as_bytes());
    Vec<u8>: |value, key| put_bytes(key, value);
}

impl<T: KeyField> KeyField for Option<T> {
    fn append_to_key(&self, key: &mut Vec<u8>) {
        match self {
            None => put_null(key),
            Some(value) => {
                put_some(key);
                value.append_to_key(key);
            }
        }
    }
}
