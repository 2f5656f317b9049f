//! Definitions of secondary indexes.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::shape::RecordShape;

/// A secondary index: records may be found by what it is over.
///
/// ```
/// use tabularaft_schema::{IndexDef, IndexOn};
///
/// let by_tag = IndexDef::new("by_tag", IndexOn::Each("tags".into()));
/// let json = serde_json::to_string(&by_tag).unwrap();
/// assert_eq!(json, r#"{"name":"by_tag","each":"tags","unique":false}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IndexDef {
    /// The name of the index, unique in its table; by default that of the field.
    pub name: String,
    /// What the index is over.
    pub on: IndexOn,
    /// Whether at most one record may have any one indexed value. Any number may lack an optional one.
    pub unique: bool,
}

/// What a secondary index is over.
// Persistent: the order of the variants is their tag. Add at the end, never change or reuse.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum IndexOn {
    /// The value of this field; a record has one entry.
    Field(String),
    /// The elements of this list; a record has an entry for each distinct one.
    Each(String),
    /// What the registered function of this name makes of a record: any number of values.
    Function(String),
}

impl IndexDef {
    /// An index that is not unique.
    pub fn new(name: impl Into<String>, on: IndexOn) -> Self {
        Self { name: name.into(), on, unique: false }
    }

    /// An index over the value of a field, named as the field.
    pub fn on_field(field: impl Into<String>) -> Self {
        let field = field.into();
        Self::new(field.clone(), IndexOn::Field(field))
    }

    /// The same index, with at most one record for any one value.
    #[must_use]
    pub fn unique(self) -> Self {
        Self { unique: true, ..self }
    }
}

impl IndexOn {
    /// The field that is looked at; none if a function looks at the whole record.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Field(field) | Self::Each(field) => Some(field),
            Self::Function(_) => None,
        }
    }

    /// Whether records of another shape, which kept the values of all fields that they share with this one, have the
    /// same values in the index.
    #[must_use]
    pub fn is_same_in(&self, shape: &RecordShape, other: &RecordShape) -> bool {
        let type_in = |shape: &RecordShape| {
            self.field().and_then(|name| shape.field(name)).map(|field| field.field_type.clone())
        };
        type_in(shape).is_some_and(|here| type_in(other) == Some(here))
    }
}

impl std::fmt::Display for IndexOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(field) => f.write_str(field),
            Self::Each(field) => write!(f, "each of {field}"),
            Self::Function(function) => write!(f, "function {function}"),
        }
    }
}

// Persistent: the fields and their order are the binary encoding. Never change.
#[derive(Serialize, Deserialize)]
struct Binary<S, O> {
    name: S,
    on: O,
    unique: bool,
}

/// In JSON, what the index is over is the property `field`, `each` or `function`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    each: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    #[serde(default)]
    unique: bool,
}

impl Serialize for IndexDef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { name, on, unique } = self;
        if !serializer.is_human_readable() {
            return Binary { name, on, unique: *unique }.serialize(serializer);
        }
        let mut json = Json { name: name.clone(), field: None, each: None, function: None, unique: *unique };
        match on.clone() {
            IndexOn::Field(field) => json.field = Some(field),
            IndexOn::Each(field) => json.each = Some(field),
            IndexOn::Function(function) => json.function = Some(function),
        }
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IndexDef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            let Binary { name, on, unique } = Binary::deserialize(deserializer)?;
            return Ok(Self { name, on, unique });
        }
        let Json { name, field, each, function, unique } = Json::deserialize(deserializer)?;
        let on = match (field, each, function) {
            (Some(field), None, None) => IndexOn::Field(field),
            (None, Some(field), None) => IndexOn::Each(field),
            (None, None, Some(function)) => IndexOn::Function(function),
            _ => {
                let problem = format!("secondary index `{name}`: give one of field, each or function");
                return Err(D::Error::custom(problem));
            }
        };
        Ok(Self { name, on, unique })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_keeps_its_binary_form_and_goes_to_json_and_back() {
        let golden: [(IndexDef, &[u8]); 3] = [
            (IndexDef::on_field("a").unique(), b"\x01a\x00\x01a\x01"),
            (IndexDef::new("i", IndexOn::Each("a".into())), b"\x01i\x01\x01a\x00"),
            (IndexDef::new("i", IndexOn::Function("f".into())), b"\x01i\x02\x01f\x00"),
        ];
        for (index, bytes) in golden {
            assert_eq!(postcard::to_stdvec(&index).unwrap(), bytes);
            assert_eq!(postcard::from_bytes::<IndexDef>(bytes).unwrap(), index);
            let json = serde_json::to_string(&index).unwrap();
            assert_eq!(serde_json::from_str::<IndexDef>(&json).unwrap(), index);
        }
    }

    #[test]
    fn json_that_names_no_or_two_things_to_index_is_refused() {
        for json in [r#"{"name":"i"}"#, r#"{"name":"i","field":"a","each":"b"}"#] {
            let error = serde_json::from_str::<IndexDef>(json).unwrap_err().to_string();
            assert!(error.contains("secondary index `i`: give one of"), "{error}");
        }
    }
}
