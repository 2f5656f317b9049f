//! The serialised form of table definitions.
//!
//! In binary formats the form starts with a tag, so that later versions can add properties and still read what is on
//! disc; a build that does not know the tag refuses to read, instead of misreading. In JSON, properties have names,
//! and a tag is not needed: later versions add properties with defaults.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::kind::TableKind;
use crate::mode::CopyMode;
use crate::name::TableName;
use crate::shape::RecordShape;
use crate::table_def::{IndexDef, TableDef, TableOptions};

// Persistent: add a variant at the end, never change or reuse one. Each version has a fixture in `tests/fixtures`.
#[derive(Serialize, Deserialize)]
enum Form<'a> {
    V1(FormV1<'a>),
}

// Persistent: the fields and their order are the encoding, including those of the types within. Never change.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FormV1<'a> {
    name: Cow<'a, TableName>,
    kind: TableKind,
    copy: CopyMode,
    shape: Cow<'a, RecordShape>,
    key: Cow<'a, [String]>,
    #[serde(default)]
    indexes: Cow<'a, [IndexDef]>,
    #[serde(default)]
    options: Cow<'a, TableOptions>,
}

impl Serialize for TableDef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = FormV1 {
            name: Cow::Borrowed(&self.name),
            kind: self.kind,
            copy: self.copy,
            shape: Cow::Borrowed(&self.shape),
            key: Cow::Borrowed(&self.key),
            indexes: Cow::Borrowed(&self.indexes),
            options: Cow::Borrowed(&self.options),
        };
        if serializer.is_human_readable() {
            form.serialize(serializer)
        } else {
            Form::V1(form).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for TableDef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = if deserializer.is_human_readable() {
            FormV1::deserialize(deserializer)?
        } else {
            let Form::V1(form) = Form::deserialize(deserializer)?;
            form
        };
        let def = Self {
            name: form.name.into_owned(),
            kind: form.kind,
            copy: form.copy,
            shape: form.shape.into_owned(),
            key: form.key.into_owned(),
            indexes: form.indexes.into_owned(),
            options: form.options.into_owned(),
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
        let unknown_form = [&[1], &BYTES[1..]].concat();
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
