//! The types a field of a record may have.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{InvalidFieldType, InvalidName};
use crate::name::check_identifier;

/// The type of one field, written as on the command line: `string`, `u64?`, `list<string>`, `map<u64>`.
///
/// ```
/// use tabularaft_schema::FieldType;
///
/// let tags: FieldType = "list<string>?".parse()?;
/// assert_eq!(tags, FieldType::optional(FieldType::list(FieldType::String)));
/// assert_eq!(tags.to_string(), "list<string>?");
/// # Ok::<(), tabularaft_schema::InvalidFieldType>(())
/// ```
// Persistent: a field type is written as its text, on disc and on the wire. Add names, never change or reuse them.
// The text form is what bounds the nesting when a definition is read from untrusted bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldType {
    /// True or false. Rust: `bool`.
    Bool,
    /// A non-negative integer. Rust: `u16`, `u32`, `u64`, `usize`.
    U64,
    /// An integer. Rust: `i16`, `i32`, `i64`, `isize`.
    I64,
    /// A floating-point number. Rust: `f64`.
    F64,
    /// UTF-8 text. Rust: `String`, `Box<str>`, `Arc<str>`, [`NodeName`](crate::NodeName).
    String,
    /// Any bytes. Rust: `Vec<u8>`.
    Bytes,
    /// A value or nothing. Rust: `Option<T>`. Optional values do not nest directly.
    Optional(Box<FieldType>),
    /// Any number of values, in order. Rust: `Vec<T>`.
    List(Box<FieldType>),
    /// Values by name. Rust: `BTreeMap<String, T>`, `HashMap<String, T>`.
    Map(Box<FieldType>),
}

impl FieldType {
    /// The deepest nesting of a type: `string` has depth 1, `list<string>` depth 2.
    pub const DEPTH_MAX: usize = 8;

    /// `T?`
    #[must_use]
    pub fn optional(inner: Self) -> Self {
        Self::Optional(Box::new(inner))
    }

    /// `list<T>`
    #[must_use]
    pub fn list(item: Self) -> Self {
        Self::List(Box::new(item))
    }

    /// `map<T>`
    #[must_use]
    pub fn map(item: Self) -> Self {
        Self::Map(Box::new(item))
    }

    /// Whether a field of this type may be part of a key or be indexed: all types but lists and maps.
    #[must_use]
    pub fn is_key_type(&self) -> bool {
        match self {
            Self::Bool | Self::U64 | Self::I64 | Self::F64 | Self::String | Self::Bytes => true,
            Self::Optional(inner) => inner.is_key_type(),
            Self::List(_) | Self::Map(_) => false,
        }
    }

    /// Checks what the constructors cannot: the nesting, and that optional values do not nest directly
    /// (`null` could not say which of the two is missing).
    ///
    /// # Errors
    /// [`InvalidFieldType`] says which rule is broken.
    pub fn validate(&self) -> Result<(), InvalidFieldType> {
        let mut depth = 1;
        let mut at = self;
        while let Self::Optional(inner) | Self::List(inner) | Self::Map(inner) = at {
            depth += 1;
            if depth > Self::DEPTH_MAX {
                return Err(InvalidFieldType::new("…", DEPTH_RULE));
            }
            if matches!(at, Self::Optional(_)) && matches!(**inner, Self::Optional(_)) {
                return Err(InvalidFieldType::new(&self.to_string(), OPTIONAL_RULE));
            }
            at = inner;
        }
        Ok(())
    }
}

const DEPTH_RULE: &str = "types nest at most 8 deep";
const OPTIONAL_RULE: &str = "an optional value cannot be optional again";
const SYNTAX_RULE: &str =
    "expected bool, u64, i64, f64, string or bytes, or TYPE? (optional), list<TYPE>, map<TYPE>";

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::U64 => f.write_str("u64"),
            Self::I64 => f.write_str("i64"),
            Self::F64 => f.write_str("f64"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Optional(inner) => write!(f, "{inner}?"),
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Map(item) => write!(f, "map<{item}>"),
        }
    }
}

impl FromStr for FieldType {
    type Err = InvalidFieldType;

    fn from_str(text: &str) -> Result<Self, InvalidFieldType> {
        parse(text, 1).map_err(|rule| InvalidFieldType::new(text, rule))
    }
}

fn parse(text: &str, depth: usize) -> Result<FieldType, &'static str> {
    if depth > FieldType::DEPTH_MAX {
        return Err(DEPTH_RULE);
    }
    if let Some(inner) = text.strip_suffix('?') {
        return match parse(inner, depth + 1)? {
            FieldType::Optional(_) => Err(OPTIONAL_RULE),
            inner => Ok(FieldType::optional(inner)),
        };
    }
    if let Some(item) = text.strip_prefix("list<").and_then(|rest| rest.strip_suffix('>')) {
        return Ok(FieldType::list(parse(item, depth + 1)?));
    }
    if let Some(item) = text.strip_prefix("map<").and_then(|rest| rest.strip_suffix('>')) {
        return Ok(FieldType::map(parse(item, depth + 1)?));
    }
    match text {
        "bool" => Ok(FieldType::Bool),
        "u64" => Ok(FieldType::U64),
        "i64" => Ok(FieldType::I64),
        "f64" => Ok(FieldType::F64),
        "string" => Ok(FieldType::String),
        "bytes" => Ok(FieldType::Bytes),
        _ => Err(SYNTAX_RULE),
    }
}

impl Serialize for FieldType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FieldType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A field of a record: its name and type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldDef {
    /// The field's name, unique in its table; same rule as for [`TableName`](crate::TableName).
    pub name: String,
    /// The field's type.
    #[serde(rename = "type")]
    pub field_type: FieldType,
}

impl FieldDef {
    /// A field of this name and type.
    #[must_use]
    pub fn new(name: impl Into<String>, field_type: FieldType) -> Self {
        Self { name: name.into(), field_type }
    }

    pub(crate) fn check_name(&self) -> Result<(), InvalidName> {
        check_identifier("field name", &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_read_as_they_print() {
        for text in [
            "bool",
            "u64",
            "i64?",
            "f64",
            "string",
            "bytes?",
            "list<string>",
            "map<list<u64?>>?",
            "list<map<bytes>>",
        ] {
            assert_eq!(text.parse::<FieldType>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_types_are_refused() {
        for text in [
            "",
            "?",
            "u8",
            "str",
            "u64??",
            "list<>",
            "list<u64",
            "list<u64>>",
            "map<u64>x",
            "list<u64?>??",
            " u64",
            "LIST<u64>",
        ] {
            assert!(text.parse::<FieldType>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn nesting_is_bounded_both_when_read_and_when_built() {
        let nested = |depth: usize| format!("{}u64{}", "list<".repeat(depth - 1), ">".repeat(depth - 1));
        assert!(nested(8).parse::<FieldType>().unwrap().validate().is_ok());
        assert!(nested(9).parse::<FieldType>().is_err());
        assert!(nested(100_000).parse::<FieldType>().is_err());
        let built = (0..8).fold(FieldType::U64, |inner, _| FieldType::list(inner));
        assert!(built.validate().is_err());
        assert!(FieldType::optional(FieldType::optional(FieldType::U64)).validate().is_err());
    }

    #[test]
    fn a_type_is_persisted_as_its_text() {
        let field = FieldDef::new("tags", FieldType::list(FieldType::String));
        assert_eq!(serde_json::to_string(&field).unwrap(), r#"{"name":"tags","type":"list<string>"}"#);
        assert_eq!(postcard::to_stdvec(&field).unwrap(), b"\x04tags\x0clist<string>");
    }
}
