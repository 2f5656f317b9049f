//! Values of fields whose types are known only at run time.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::field::FieldType;
use crate::name::NodeName;

/// The value of one field, for programs that have no Rust type for a table: the operator's command, filters, dumps.
///
/// A value has no type of its own; a [`FieldType`] says what it is read and written as. An optional field holds
/// either [`Value::Null`] or the bare value.
///
/// Values of one field type order exactly as their encoded keys do: `Null` first, `false` before `true`, numbers by
/// size (floats by [`f64::total_cmp`]), text and bytes bytewise. Equality follows the same order, so `-0.0` and `0.0`
/// differ and a NaN equals itself.
#[derive(Clone, Debug)]
pub enum Value {
    /// A missing optional value.
    Null,
    /// See [`FieldType::Bool`].
    Bool(bool),
    /// See [`FieldType::U64`].
    U64(u64),
    /// See [`FieldType::I64`].
    I64(i64),
    /// See [`FieldType::F64`].
    F64(f64),
    /// See [`FieldType::String`].
    String(String),
    /// See [`FieldType::Bytes`].
    Bytes(Vec<u8>),
    /// See [`FieldType::List`].
    List(Vec<Value>),
    /// See [`FieldType::Map`].
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// Whether this is [`Value::Null`].
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What this value is, in words, for messages. Never its content: records do not belong into logs.
    #[must_use]
    pub const fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::U64(_) => "u64",
            Self::I64(_) => "i64",
            Self::F64(_) => "f64",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// Whether this value may be stored in a field of this type.
    #[must_use]
    pub fn is_of(&self, field_type: &FieldType) -> bool {
        match (field_type, self) {
            (FieldType::Bool, Self::Bool(_))
            | (FieldType::U64, Self::U64(_))
            | (FieldType::I64, Self::I64(_))
            | (FieldType::F64, Self::F64(_))
            | (FieldType::String, Self::String(_))
            | (FieldType::Bytes, Self::Bytes(_))
            | (FieldType::Optional(_), Self::Null) => true,
            (FieldType::Optional(inner), value) => value.is_of(inner),
            (FieldType::List(item), Self::List(values)) => values.iter().all(|value| value.is_of(item)),
            (FieldType::Map(item), Self::Map(values)) => values.values().all(|value| value.is_of(item)),
            _ => false,
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::U64(_) => 2,
            Self::I64(_) => 3,
            Self::F64(_) => 4,
            Self::String(_) => 5,
            Self::Bytes(_) => 6,
            Self::List(_) => 7,
            Self::Map(_) => 8,
        }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::U64(a), Self::U64(b)) => a.cmp(b),
            (Self::I64(a), Self::I64(b)) => a.cmp(b),
            (Self::F64(a), Self::F64(b)) => a.total_cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => a.cmp(b),
            (Self::Map(a), Self::Map(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Value {}

macro_rules! impl_from {
    ($($rust:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$rust> for Value {
            fn from(value: $rust) -> Self {
                Self::$variant(value.into())
            }
        }
    )+};
}

impl_from!(
    bool => Bool, u16 => U64, u32 => U64, u64 => U64, i16 => I64, i32 => I64, i64 => I64, f64 => F64,
    &str => String, String => String, Vec<u8> => Bytes, Vec<Value> => List, BTreeMap<String, Value> => Map,
);

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::String(text.clone())
    }
}

impl From<&NodeName> for Value {
    fn from(name: &NodeName) -> Self {
        Self::String(name.to_string())
    }
}

impl From<NodeName> for Value {
    fn from(name: NodeName) -> Self {
        Self::from(&name)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
