//! The Rust types a record's fields may have.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::field::FieldType;
use crate::name::{NodeName, TableName};

/// A Rust type that may be a field of a record.
///
/// `bool`, `u16` to `u64`, `usize`, `i16` to `i64`, `isize`, `f64`, `String`, `Box<str>`, `Arc<str>`, [`NodeName`],
/// [`TableName`], `Vec<u8>`, and of these `Option<T>`, `Vec<T>`, `BTreeMap<String, T>`, `HashMap<String, T>`.
///
/// A type of the application's own may implement it too, typically a newtype. An implementation MUST
///
/// * serialise, with serde and `postcard`, to the very bytes of the [`FieldType`] it states. A newtype around one of
///   the types above does so by `#[derive(Serialize, Deserialize)]`;
/// * state the same type for ever, or records written before can no longer be read.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tabularaft_schema::{FieldShape, FieldType};
///
/// #[derive(Serialize, Deserialize)]
/// struct ClientId(String);
///
/// impl FieldShape for ClientId {
///     fn field_type() -> FieldType {
///         String::field_type()
///     }
/// }
/// ```
///
/// Types whose bytes differ are refused when the program is compiled:
///
/// ```compile_fail,E0277
/// # use serde::{Deserialize, Serialize};
/// # use tabularaft_schema::Record;
/// #[derive(Record, Serialize, Deserialize)]
/// #[record(table = "route", crate = "tabularaft_schema")]
/// struct Route {
///     #[key]
///     topic: String,
///     qos: u8, // error: `u8` cannot be a field of a record … write u16 instead of u8
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a record",
    label = "not a field type of a table",
    note = "fields may be bool, u16, u32, u64, usize, i16, i32, i64, isize, f64, String, Box<str>, Arc<str>, NodeName, Vec<u8>, and Option<T>, Vec<T>, BTreeMap<String, T>, HashMap<String, T> of these",
    note = "write u16 instead of u8, i16 instead of i8, f64 instead of f32; nested structs are not supported"
)]
pub trait FieldShape {
    /// Whether serde always writes the same value as the same bytes; false if a `HashMap` is inside.
    const ORDERED: bool = true;

    /// The field type this Rust type is stored as.
    fn field_type() -> FieldType;
}

macro_rules! impl_shape {
    ($($variant:ident: $($rust:ty),+;)+) => {$($(
        impl FieldShape for $rust {
            fn field_type() -> FieldType {
                FieldType::$variant
            }
        }
    )+)+};
}

// u8, i8 and f32 are left out on purpose: postcard writes u8 and i8 as one plain byte and f32 as four, not as the
// variable-length integers and the eight bytes the field types stand for.
impl_shape! {
    Bool: bool;
    U64: u16, u32, u64, usize;
    I64: i16, i32, i64, isize;
    F64: f64;
    String: String, Box<str>, Arc<str>, NodeName, TableName;
    Bytes: Vec<u8>;
}

impl<T: FieldShape> FieldShape for Option<T> {
    const ORDERED: bool = T::ORDERED;

    fn field_type() -> FieldType {
        FieldType::optional(T::field_type())
    }
}

impl<T: FieldShape> FieldShape for Vec<T> {
    const ORDERED: bool = T::ORDERED;

    fn field_type() -> FieldType {
        FieldType::list(T::field_type())
    }
}

impl<T: FieldShape> FieldShape for BTreeMap<String, T> {
    const ORDERED: bool = T::ORDERED;

    fn field_type() -> FieldType {
        FieldType::map(T::field_type())
    }
}

impl<T: FieldShape, S> FieldShape for HashMap<String, T, S> {
    const ORDERED: bool = false;

    fn field_type() -> FieldType {
        FieldType::map(T::field_type())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_types_have_the_field_types_of_the_documentation() {
        assert_eq!(<Vec<u8>>::field_type(), FieldType::Bytes);
        assert_eq!(<Vec<u16>>::field_type().to_string(), "list<u64>");
        assert_eq!(<Option<BTreeMap<String, Vec<i32>>>>::field_type().to_string(), "map<list<i64>>?");
        assert_eq!(NodeName::field_type(), FieldType::String);
        const { assert!(!<Vec<Option<HashMap<String, u64>>> as FieldShape>::ORDERED) };
        const { assert!(<BTreeMap<String, u64> as FieldShape>::ORDERED) };
    }
}
