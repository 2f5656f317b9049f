//! What a version wrote is read, and written again byte for byte, by every later one.
//!
//! The files lie in `tests/fixtures/v1/schema`. What later versions added has files of its own beside them, in `v2`;
//! these never change. They were made by `cargo test -p tabularaft-schema --test fixtures -- --ignored`, which writes only files
//! that do not exist.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
#![expect(clippy::disallowed_methods, reason = "fixtures are files; the crate itself touches none")]

use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tabularaft_schema::{
    CopyMode, FieldType, IndexDef, IndexOn, NodeName, RecordShape, Schema, SchemaChange, TableDef, TableKind,
    TableName, TableOption, TableOptions,
};

/// `file` begins with the version that brought it.
fn path(file: &str) -> PathBuf {
    let (version, name) = file.split_once('/').unwrap();
    [env!("CARGO_MANIFEST_DIR"), "../tests/fixtures", version, "schema", name].iter().collect()
}

fn fixture(file: &str) -> Vec<u8> {
    std::fs::read(path(file)).unwrap_or_else(|error| panic!("fixture {file}: {error}"))
}

/// A field of each type, alone and nested.
fn shape() -> RecordShape {
    let types = [
        "bool",
        "u64",
        "i64",
        "f64",
        "string",
        "bytes",
        "u64?",
        "list<string?>",
        "map<list<i64>>",
        "list<map<bytes>>?",
    ];
    RecordShape::new(
        7,
        (0..).zip(types).map(|(place, text)| (format!("field-{place}"), text.parse().unwrap())),
    )
}

fn record() -> serde_json::Value {
    json!({
        "field-0": true, "field-1": u64::MAX, "field-2": i64::MIN, "field-3": -0.5, "field-4": "é\0", "field-5": "AP8=",
        "field-6": 300, "field-7": ["a", null], "field-8": {"x": [-1, 64], "y": []}, "field-9": [{"z": ""}],
    })
}

fn table_def() -> TableDef {
    let options =
        TableOptions { owned: true, load_order: -3, record_bytes_max: Some(70_000), ..Default::default() };
    let mut def = TableDef::builder("every_type").unwrap().kind(TableKind::Bag).copy(CopyMode::DiscOnly);
    for field in shape().fields {
        def = def.field(field.name, field.field_type);
    }
    let def = def.record_version(7).key("field-4").key("field-6").key("field-3");
    def.index("field-0").unique_index("field-5").options(options).build().unwrap()
}

fn changes() -> Vec<SchemaChange> {
    let (table, node): (TableName, NodeName) = ("every_type".parse().unwrap(), "n1@[::1]".parse().unwrap());
    let local = TableDef::builder("local").unwrap().field("id", FieldType::U64).key("id").local_content();
    vec![
        table_def().into(),
        local.build().unwrap().into(),
        SchemaChange::SetCopy { table: table.clone(), node: node.clone(), mode: CopyMode::Ram },
        SchemaChange::RenameNode { from: node, to: "n2@host".parse().unwrap() },
        SchemaChange::DeleteCopy { table, node: "n3@host".parse().unwrap() },
        SchemaChange::ForgetNode("n4@host".parse().unwrap()),
        SchemaChange::DropTable("local".parse().unwrap()),
    ]
}

fn schema() -> Schema {
    schema_after(&changes())
}

fn schema_after(changes: &[SchemaChange]) -> Schema {
    let apply = |schema: Schema, change: &SchemaChange| schema.apply(change).unwrap().unwrap_or(schema);
    changes.iter().fold(Schema::default(), apply)
}

/// What the second version can say and the first could not.
fn table_def_v2() -> TableDef {
    let options = TableOptions {
        read_only: true,
        ttl_ms: Some(60_000),
        records_max: Some(1_000_000),
        bytes_max: Some(1 << 33),
        ..Default::default()
    };
    let def = TableDef::builder("newer").unwrap().field("id", FieldType::U64);
    let def = def.field("tags", FieldType::list(FieldType::String)).key("id").index("id");
    let def = def.add_index(IndexDef::new("tag", IndexOn::Each("tags".into())));
    let function = IndexDef::new("word", IndexOn::Function("words".into())).unique();
    def.add_index(function).options(options).build().unwrap()
}

fn changes_v2() -> Vec<SchemaChange> {
    let table = |name: &str| -> TableName { name.parse().unwrap() };
    let option = |option| SchemaChange::SetOption { table: table("newer"), option };
    let wider =
        [("id", FieldType::U64), ("tags", FieldType::list(FieldType::String)), ("on", FieldType::Bool)];
    vec![
        table_def_v2().into(),
        TableDef::builder("a").unwrap().field("id", FieldType::U64).key("id").build().unwrap().into(),
        SchemaChange::RenameTable { from: table("a"), to: table("b") },
        TableDef::builder("c").unwrap().field("id", FieldType::U64).key("id").build().unwrap().into(),
        SchemaChange::ReplaceTable { table: table("c"), replaces: table("b") },
        SchemaChange::SetDefaultCopy { table: table("b"), mode: CopyMode::Ram },
        option(TableOption::ReadOnly(false)),
        option(TableOption::LoadOrder(-1)),
        option(TableOption::RecordBytesMax(Some(9_000))),
        option(TableOption::TtlMs(None)),
        option(TableOption::RecordsMax(Some(5))),
        option(TableOption::BytesMax(Some(6))),
        SchemaChange::DropIndex { table: table("newer"), index: "id".into() },
        SchemaChange::AddIndex { table: table("newer"), index: IndexDef::on_field("id").unique() },
        SchemaChange::AddIndex { table: table("b"), index: IndexDef::on_field("id") },
        SchemaChange::ActivateIndex { table: table("b"), index: "id".into() },
        SchemaChange::Transform { table: table("newer"), shape: RecordShape::new(2, wider) },
        SchemaChange::ForgetFormerShapes { table: table("newer") },
    ]
}

fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, expected: &T) {
    let (bytes, text) = (fixture(&format!("{name}.postcard")), fixture(&format!("{name}.json")));
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), expected);
    assert_eq!(postcard::to_stdvec(expected).unwrap(), bytes);
    assert_eq!(&serde_json::from_slice::<T>(&text).unwrap(), expected);
}

#[test]
fn table_definitions_of_every_version_are_read() {
    check("v1/table_def", &table_def());
    check("v2/table_def", &table_def_v2());
}

#[test]
fn schema_changes_of_every_version_are_read() {
    check("v1/schema_changes", &changes());
    check("v2/schema_changes", &changes_v2());
}

#[test]
fn the_schema_of_every_version_is_read() {
    check("v1/schema", &schema());
    check("v2/schema", &schema_after(&changes_v2()[..changes_v2().len() - 1]));
}

#[test]
fn records_and_keys_of_the_first_version_are_read() {
    let (bytes, key) = (fixture("v1/record.bin"), fixture("v1/key.bin"));
    let def = table_def();
    assert_eq!(def.shape.to_json(&bytes).unwrap(), record());
    assert_eq!(def.shape.from_json(&record()).unwrap(), bytes);
    assert_eq!(def.key_of_record(&bytes).unwrap().as_bytes(), key);
    assert_eq!(def.key_to_json(&key).unwrap(), json!(["é\0", 300, -0.5]));
}

#[test]
#[ignore = "writes the fixtures that do not exist yet"]
fn missing_fixtures_are_written() {
    let record = table_def().shape.from_json(&record()).unwrap();
    write("v1/key.bin", table_def().key_of_record(&record).unwrap().into_bytes());
    write("v1/record.bin", record);
    write_both("v1/table_def", &table_def());
    write_both("v1/schema_changes", &changes());
    write_both("v1/schema", &schema());
    write_both("v2/table_def", &table_def_v2());
    write_both("v2/schema_changes", &changes_v2());
    write_both("v2/schema", &schema_after(&changes_v2()[..changes_v2().len() - 1]));
}

fn write_both<T: Serialize>(name: &str, value: &T) {
    write(&format!("{name}.postcard"), postcard::to_stdvec(value).unwrap());
    write(&format!("{name}.json"), serde_json::to_vec_pretty(value).unwrap());
}

fn write(file: &str, bytes: Vec<u8>) {
    if !path(file).exists() {
        std::fs::create_dir_all(path(file).parent().unwrap()).unwrap();
        std::fs::write(path(file), bytes).unwrap();
    }
}
