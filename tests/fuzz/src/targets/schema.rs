//! Records, keys and definitions.

use std::sync::OnceLock;

use tabularaft::schema::{FieldType, NodeName, Schema, SchemaChange, TableDef, TableKind, TableName};

/// A table that has a field of every type, and a key of several parts.
fn table() -> &'static TableDef {
    static TABLE: OnceLock<TableDef> = OnceLock::new();
    TABLE.get_or_init(|| {
        let fields = [
            ("name", FieldType::String),
            ("size", FieldType::U64),
            ("change", FieldType::I64),
            ("share", FieldType::F64),
            ("on", FieldType::Bool),
            ("blob", FieldType::Bytes),
            ("note", FieldType::optional(FieldType::String)),
            ("tags", FieldType::list(FieldType::String)),
            ("counts", FieldType::map(FieldType::list(FieldType::optional(FieldType::U64)))),
        ];
        let builder = TableDef::builder("any").expect("a valid name").kind(TableKind::OrderedSet);
        let builder = fields.into_iter().fold(builder, |builder, (name, of)| builder.field(name, of));
        let keys = ["name", "size", "change", "share", "on", "blob", "note"];
        keys.into_iter().fold(builder, |builder, key| builder.key(key)).build().expect("a valid definition")
    })
}

/// A stored record.
pub(super) fn record(bytes: &[u8]) {
    let shape = &table().shape;
    let checked = shape.check(bytes);
    let Ok(values) = shape.decode(bytes) else {
        assert!(checked.is_err(), "a record that passes the check can be decoded");
        return;
    };
    let written = shape.encode(&values).expect("values of the shape can be encoded");
    let again = shape.decode(&written).expect("what was just encoded can be decoded");
    assert_eq!(shape.encode(&again).ok(), Some(written));
    let _ = shape.to_json(bytes);
    let _ = shape.canonical(bytes);
    let _ = table().key_of_record(bytes);
}

/// A record in JSON.
pub(super) fn record_json(bytes: &[u8]) {
    let Ok(json) = serde_json::from_slice(bytes) else { return };
    let Ok(record) = table().shape.from_json(&json) else { return };
    let shown = table().shape.to_json(&record).expect("a record that came from JSON becomes JSON");
    assert_eq!(table().shape.from_json(&shown).ok(), Some(record), "a record survives being shown");
}

/// A stored key.
pub(super) fn key(bytes: &[u8]) {
    let Ok(values) = table().values_of_key(bytes) else { return };
    let key = table().key_of_parts(&values).expect("the values of a key make a key");
    assert_eq!(key.as_bytes(), bytes, "a key has one encoding");
    let json = table().key_to_json(bytes);
    if let Ok(json) = json {
        assert_eq!(table().key_from_json(&json).ok(), Some(key), "a key survives being shown");
    }
}

/// A key as it is typed.
pub(super) fn key_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = table().parse_key(text);
    let _ = table().key_prefix(text);
    for field in &table().shape.fields {
        let _ = field.field_type.from_text(text);
    }
}

/// Definitions, changes and whole schemas, in both of their forms.
pub(super) fn definitions(bytes: &[u8]) {
    if let Ok(def) = postcard::from_bytes::<TableDef>(bytes) {
        let _ = def.validate();
        again(&def);
    }
    if let Ok(change) = postcard::from_bytes::<SchemaChange>(bytes) {
        let _ = Schema::default().apply(&change);
        again(&change);
    }
    if let Ok(schema) = postcard::from_bytes::<Schema>(bytes) {
        again(&schema);
    }
    let _ = serde_json::from_slice::<TableDef>(bytes);
    let _ = serde_json::from_slice::<SchemaChange>(bytes);
    let _ = serde_json::from_slice::<Schema>(bytes);
}

fn again<T>(value: &T)
where
    T: PartialEq + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let written = postcard::to_stdvec(value).expect("what was decoded can be encoded");
    assert_eq!(postcard::from_bytes::<T>(&written).as_ref(), Ok(value));
}

/// Names and types as they are typed.
pub(super) fn names(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = NodeName::new(text) {
        assert_eq!(NodeName::new(name.as_str()), Ok(name));
    }
    if let Ok(name) = TableName::new(text) {
        assert_eq!(TableName::new(name.as_str()), Ok(name));
    }
    if let Ok(field_type) = text.parse::<FieldType>() {
        assert_eq!(field_type.to_string().parse(), Ok(field_type));
    }
}
