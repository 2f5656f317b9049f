//! The serialised form of table definitions.
//!
//! In binary formats the form starts with a tag, so that later versions can add properties and still read what is on
//! disc; a build that does not know the tag refuses to read, instead of misreading. A definition is written in the
//! oldest form that can say all of it, so that builds which know no newer one go on reading it. In JSON, properties
//! have names, and a tag is not needed: later versions add properties with defaults, and leave those out.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::index_def::{IndexDef, IndexOn};
use crate::kind::TableKind;
use crate::mode::CopyMode;
use crate::name::TableName;
use crate::shape::RecordShape;
use crate::table_def::TableDef;
use crate::table_options::TableOptions;

// Persistent: add a variant at the end, never change or reuse one. Each version has a fixture in `tests/fixtures`.
#[derive(Serialize, Deserialize)]
enum Form<'a> {
    V1(Parts<'a, IndexV1, OptionsV1>),
    V2(Parts<'a, IndexDef, OptionsV2>),
}

// Persistent: the fields and their order are the encoding, including those of the types within. Never change.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(bound(deserialize = "I: Deserialize<'de>, O: Deserialize<'de> + Default"))]
struct Parts<'a, I, O> {
    name: Cow<'a, TableName>,
    kind: TableKind,
    copy: CopyMode,
    shape: Cow<'a, RecordShape>,
    key: Cow<'a, [String]>,
    #[serde(default = "Vec::new")]
    indexes: Vec<I>,
    #[serde(default)]
    options: O,
}

// Persistent, as `Parts`.
#[derive(Serialize, Deserialize)]
struct IndexV1 {
    name: String,
    field: String,
    unique: bool,
}

// Persistent, as `Parts`.
#[derive(Serialize, Deserialize, Default)]
struct OptionsV1 {
    owned: bool,
    local_content: bool,
    load_order: i32,
    record_bytes_max: Option<u32>,
}

// Persistent, as `Parts`.
#[derive(Serialize, Deserialize, Default)]
struct OptionsV2 {
    v1: OptionsV1,
    read_only: bool,
    ttl_ms: Option<u64>,
    records_max: Option<u64>,
    bytes_max: Option<u64>,
}

/// Options in JSON: those that came after the first version are left out unless they say something.
#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct OptionsJson {
    owned: bool,
    local_content: bool,
    load_order: i32,
    record_bytes_max: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_max: Option<u64>,
}

impl<'a, I, O> Parts<'a, I, O> {
    fn of(def: &'a TableDef, indexes: Vec<I>, options: O) -> Self {
        Self {
            name: Cow::Borrowed(&def.name),
            kind: def.kind,
            copy: def.copy,
            shape: Cow::Borrowed(&def.shape),
            key: Cow::Borrowed(&def.key),
            indexes,
            options,
        }
    }
}

impl<I: Into<IndexDef>, O: Into<TableOptions>> From<Parts<'_, I, O>> for TableDef {
    fn from(parts: Parts<'_, I, O>) -> Self {
        Self {
            name: parts.name.into_owned(),
            kind: parts.kind,
            copy: parts.copy,
            shape: parts.shape.into_owned(),
            key: parts.key.into_owned(),
            indexes: parts.indexes.into_iter().map(Into::into).collect(),
            options: parts.options.into(),
        }
    }
}

impl<'a> From<&'a TableDef> for Form<'a> {
    fn from(def: &'a TableDef) -> Self {
        let indexes: Option<Vec<IndexV1>> = def.indexes.iter().map(IndexV1::of).collect();
        match (indexes, OptionsV1::of(&def.options)) {
            (Some(indexes), Some(options)) => Self::V1(Parts::of(def, indexes, options)),
            _ => Self::V2(Parts::of(def, def.indexes.clone(), OptionsV2::of(&def.options))),
        }
    }
}

impl IndexV1 {
    /// `None` if the first form cannot say it.
    fn of(index: &IndexDef) -> Option<Self> {
        match &index.on {
            IndexOn::Field(field) => {
                Some(Self { name: index.name.clone(), field: field.clone(), unique: index.unique })
            }
            _ => None,
        }
    }
}

impl From<IndexV1> for IndexDef {
    fn from(index: IndexV1) -> Self {
        Self { name: index.name, on: IndexOn::Field(index.field), unique: index.unique }
    }
}

impl OptionsV1 {
    /// `None` if the first form cannot say it.
    fn of(options: &TableOptions) -> Option<Self> {
        let TableOptions { owned, local_content, load_order, record_bytes_max, .. } = *options;
        let v1 = || Self { owned, local_content, load_order, record_bytes_max };
        (TableOptions::from(v1()) == *options).then(v1)
    }
}

impl From<OptionsV1> for TableOptions {
    fn from(options: OptionsV1) -> Self {
        let OptionsV1 { owned, local_content, load_order, record_bytes_max } = options;
        Self { owned, local_content, load_order, record_bytes_max, ..Self::default() }
    }
}

impl OptionsV2 {
    fn of(options: &TableOptions) -> Self {
        let TableOptions { owned, local_content, load_order, record_bytes_max, .. } = *options;
        let TableOptions { read_only, ttl_ms, records_max, bytes_max, .. } = *options;
        let v1 = OptionsV1 { owned, local_content, load_order, record_bytes_max };
        Self { v1, read_only, ttl_ms, records_max, bytes_max }
    }
}

impl From<OptionsV2> for TableOptions {
    fn from(options: OptionsV2) -> Self {
        let OptionsV2 { v1, read_only, ttl_ms, records_max, bytes_max } = options;
        Self { read_only, ttl_ms, records_max, bytes_max, ..v1.into() }
    }
}

impl OptionsJson {
    fn of(options: &TableOptions) -> Self {
        let OptionsV2 { v1, read_only, ttl_ms, records_max, bytes_max } = OptionsV2::of(options);
        let OptionsV1 { owned, local_content, load_order, record_bytes_max } = v1;
        Self { owned, local_content, load_order, record_bytes_max, read_only, ttl_ms, records_max, bytes_max }
    }
}

impl From<OptionsJson> for TableOptions {
    fn from(json: OptionsJson) -> Self {
        let OptionsJson { owned, local_content, load_order, record_bytes_max, .. } = json;
        let v1 = OptionsV1 { owned, local_content, load_order, record_bytes_max };
        let OptionsJson { read_only, ttl_ms, records_max, bytes_max, .. } = json;
        OptionsV2 { v1, read_only, ttl_ms, records_max, bytes_max }.into()
    }
}

impl Serialize for TableDef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Parts::of(self, self.indexes.clone(), OptionsJson::of(&self.options)).serialize(serializer)
        } else {
            Form::from(self).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for TableDef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let def: Self = if deserializer.is_human_readable() {
            Parts::<IndexDef, OptionsJson>::deserialize(deserializer)?.into()
        } else {
            match Form::deserialize(deserializer)? {
                Form::V1(parts) => parts.into(),
                Form::V2(parts) => parts.into(),
            }
        };
        def.validate().map_err(D::Error::custom)?;
        Ok(def)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::FieldType;

    fn def() -> TableDef {
        let def = TableDef::builder("route").unwrap().kind(TableKind::Bag).copy(CopyMode::Ram);
        let def = def.field("topic", FieldType::String).field("node", FieldType::optional(FieldType::String));
        def.key("topic").unique_index("node").owned().build().unwrap()
    }

    const BYTES: &[u8] =
        b"\x00\x05route\x02\x00\x01\x02\x05topic\x06string\x04node\x07string?\x01\x05topic\x01\x04node\x04node\x01\x01\x00\x00\x00";

    const JSON: &str = concat!(
        r#"{"name":"route","kind":"bag","copy":"ram","#,
        r#""shape":{"version":1,"fields":[{"name":"topic","type":"string"},{"name":"node","type":"string?"}]},"#,
        r#""key":["topic"],"indexes":[{"name":"node","field":"node","unique":true}],"#,
        r#""options":{"owned":true,"local_content":false,"load_order":0,"record_bytes_max":null}}"#,
    );

    #[test]
    fn the_first_form_is_written_and_read_for_ever() {
        assert_eq!(
            postcard::to_stdvec(&def()).unwrap().escape_ascii().to_string(),
            BYTES.escape_ascii().to_string()
        );
        assert_eq!(postcard::from_bytes::<TableDef>(BYTES).unwrap(), def());
        assert_eq!(serde_json::to_string(&def()).unwrap(), JSON);
        assert_eq!(serde_json::from_str::<TableDef>(JSON).unwrap(), def());
    }

    #[test]
    fn what_the_first_form_cannot_say_is_written_in_the_second() {
        let mut newer = def();
        newer.options.ttl_ms = Some(300);
        let bytes = postcard::to_stdvec(&newer).unwrap();
        let golden: &[u8] =
            b"\x01\x05route\x02\x00\x01\x02\x05topic\x06string\x04node\x07string?\x01\x05topic\x01\x04node\x00\x04node\x01\x01\x00\x00\x00\x00\x01\xac\x02\x00\x00";
        assert_eq!(bytes.escape_ascii().to_string(), golden.escape_ascii().to_string());
        assert_eq!(postcard::from_bytes::<TableDef>(&bytes).unwrap(), newer);
        let json = serde_json::to_string(&newer).unwrap();
        assert!(json.ends_with(r#""record_bytes_max":null,"ttl_ms":300}}"#), "{json}");
        assert_eq!(serde_json::from_str::<TableDef>(&json).unwrap(), newer);
    }

    #[test]
    fn indexes_and_options_may_be_left_out_in_json() {
        let json = r#"{"name":"t","kind":"set","copy":"disc","shape":{"version":1,"fields":[{"name":"id","type":"u64"}]},"key":["id"]}"#;
        let def: TableDef = serde_json::from_str(json).unwrap();
        assert!(def.indexes.is_empty() && def.options == TableOptions::default());
    }

    #[test]
    fn an_invalid_definition_is_refused_when_read() {
        let error = serde_json::from_str::<TableDef>(&JSON.replace(r#""key":["topic"]"#, r#""key":["x"]"#))
            .unwrap_err();
        assert!(error.to_string().contains("names the field `x`"), "{error}");
        let unknown_form = [&[9], &BYTES[1..]].concat();
        assert!(postcard::from_bytes::<TableDef>(&unknown_form).is_err());
    }

    proptest! {
        #[test]
        fn damaged_definitions_never_panic(at in 0..BYTES.len(), byte: u8, end in 0..=BYTES.len()) {
            let mut bytes = BYTES.to_vec();
            bytes[at] = byte;
            if let Ok(def) = postcard::from_bytes::<TableDef>(&bytes[..end]) {
                prop_assert!(def.validate().is_ok());
            }
        }
    }
}
