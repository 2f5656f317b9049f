//! `#[derive(Record)]` as a user's crate sees it: the struct, its bytes, its definition and its key agree.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tabularaft_schema::{
    CopyMode, FieldShape, FieldType, IndexKeys, IndexValues, KeyField, KeyFor, NodeName, Record, RecordError,
    TableKind, Value, register_index_function,
};

#[derive(Record, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[record(
    table = "everything",
    kind = "ordered-set",
    copy = "disc-only",
    version = 3,
    load_order = -1,
    record_bytes_max = 100_000,
    index(name = "by_length", function = "name_length"),
    crate = "tabularaft_schema"
)]
struct Everything {
    flag: bool,
    #[key]
    small: u16,
    medium: u32,
    large: u64,
    size: usize,
    short: i16,
    #[key]
    int: i32,
    #[index]
    long: i64,
    offset: isize,
    ratio: f64,
    #[key]
    name: String,
    boxed: Box<str>,
    shared: Arc<str>,
    #[index(unique)]
    node: NodeName,
    #[serde(with = "serde_bytes")]
    blob: Vec<u8>,
    #[key]
    note: Option<String>,
    #[index(each, name = "by_tag")]
    tags: Vec<String>,
    labels: BTreeMap<String, Option<Vec<u64>>>,
    #[serde(rename = "content-type", default)]
    r#type: ContentType,
}

fn name_length(record: &Everything) -> [u64; 1] {
    [record.name.len() as u64]
}

register_index_function!("name_length", name_length: fn(&Everything) -> [u64; 1]);

/// A newtype of the application's own.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
struct ContentType(String);

impl FieldShape for ContentType {
    fn field_type() -> FieldType {
        String::field_type()
    }
}

impl KeyField for ContentType {
    fn append_to_key(&self, key: &mut Vec<u8>) {
        self.0.append_to_key(key);
    }
}

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (any::<(bool, u16, u32, u64, usize)>(), any::<(i16, i32, i64, isize, f64)>());
    let texts = (any::<String>(), any::<String>(), any::<String>(), "[a-z]{1,9}@[a-z.]{1,9}");
    let labels = prop::collection::btree_map(any::<String>(), any::<Option<Vec<u64>>>(), 0..3);
    let rest = (any::<Vec<u8>>(), any::<Option<String>>(), any::<Vec<String>>(), labels, any::<String>());
    (numbers, texts, rest).prop_map(
        |(((flag, small, medium, large, size), (short, int, long, offset, ratio)), texts, rest)| {
            let (name, boxed, shared, node) = texts;
            let (blob, note, tags, labels, content_type) = rest;
            let (boxed, shared, node) = (boxed.into(), shared.into(), node.parse().unwrap());
            let r#type = ContentType(content_type);
            Everything {
                flag,
                small,
                medium,
                large,
                size,
                short,
                int,
                long,
                offset,
                ratio,
                name,
                boxed,
                shared,
                node,
                blob,
                note,
                tags,
                labels,
                r#type,
            }
        },
    )
}

proptest! {
    #[test]
    fn the_bytes_of_a_record_are_those_of_its_values_and_of_its_json(record in everything()) {
        let shape = Everything::table_def().shape;
        let bytes = record.encode().unwrap();
        prop_assert_eq!(&bytes, &postcard::to_stdvec(&record).unwrap());

        let values = shape.decode(&bytes).unwrap();
        prop_assert_eq!(&shape.encode(&values).unwrap(), &bytes);

        let text = shape.to_json(&bytes).unwrap().to_string();
        prop_assert_eq!(&shape.from_json(&serde_json::from_str(&text).unwrap()).unwrap(), &bytes);
        prop_assert_eq!(Everything::decode(&bytes).unwrap(), record);
    }

    #[test]
    fn the_key_of_a_record_is_that_of_its_bytes_values_and_parts(record in everything()) {
        let def = Everything::table_def();
        let bytes = record.encode().unwrap();
        let key = record.key();
        prop_assert_eq!(&def.key_of_record(&bytes).unwrap(), &key);
        prop_assert_eq!(&def.key_of_values(&def.shape.decode(&bytes).unwrap()).unwrap(), &key);
        prop_assert_eq!(&def.key_of_parts(&def.values_of_key(&key).unwrap()).unwrap(), &key);
        prop_assert_eq!(&def.parse_key(&def.key_to_json(&key).unwrap().to_string()).unwrap(), &key);
        let parts = (record.small, record.int, record.name.as_str(), record.note.clone());
        prop_assert_eq!(KeyFor::<<Everything as Record>::Key>::to_key(&parts), key);
    }

    #[test]
    fn indexes_find_what_the_fields_and_the_registered_function_say(record in everything()) {
        let def = Everything::table_def();
        let bytes = record.encode().unwrap();
        let found = |index: &str| {
            let keys = IndexKeys::new(&def, def.index(index).unwrap()).unwrap();
            let mut values = IndexValues::default();
            keys.values(&def.shape, &bytes, &mut values).unwrap();
            values.iter().map(|value| keys.value_type().value_of_key(value).unwrap()).collect::<Vec<_>>()
        };
        prop_assert_eq!(found("long"), [Value::I64(record.long)]);
        prop_assert_eq!(found("by_length"), [Value::U64(record.name.len() as u64)]);
        let mut tags: Vec<_> = record.tags.iter().map(|tag| Value::from(tag.as_str())).collect();
        tags.sort();
        tags.dedup();
        prop_assert_eq!(found("by_tag"), tags);
    }

    #[test]
    fn damaged_bytes_never_panic_and_what_the_definition_accepts_is_written_so(
        record in everything(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let def = Everything::table_def();
        let mut bytes = record.encode().unwrap();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let decoded = Everything::decode(bytes);
            let checked = def.check_record(bytes);
            prop_assert_eq!(&def.key_of_record(bytes).map(drop), &checked);
            if let (Ok(decoded), Ok(())) = (decoded, checked) {
                prop_assert_eq!(decoded.encode().unwrap(), bytes);
            }
        }
    }
}

#[test]
fn the_definition_is_what_the_attributes_say() {
    let def = Everything::table_def();
    def.validate().unwrap();
    assert_eq!((def.name.as_str(), Everything::TABLE), ("everything", "everything"));
    assert_eq!((def.kind, def.copy), (TableKind::OrderedSet, CopyMode::DiscOnly));
    assert_eq!(def.key, ["small", "int", "name", "note"]);
    let indexes: Vec<_> =
        def.indexes.iter().map(|index| format!("{} on {} {}", index.name, index.on, index.unique)).collect();
    assert_eq!(
        indexes,
        [
            "long on long false",
            "node on node true",
            "by_tag on each of tags false",
            "by_length on function name_length false"
        ]
    );
    assert_eq!((def.options.load_order, def.options.record_bytes_max), (-1, Some(100_000)));
    assert!(!def.options.owned && !def.options.local_content);
    let fields: Vec<_> =
        def.shape.fields.iter().map(|field| format!("{} {}", field.name, field.field_type)).collect();
    assert_eq!(
        fields.join(", "),
        "flag bool, small u64, medium u64, large u64, size u64, short i64, int i64, long i64, offset i64, ratio f64, \
         name string, boxed string, shared string, node string, blob bytes, note string?, tags list<string>, \
         labels map<list<u64>?>, content-type string"
    );
    assert_eq!(def.shape.version, 3);
}

#[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
#[record(table = "counted", crate = "tabularaft_schema")]
struct Counted {
    #[key]
    id: u32,
    counts: HashMap<String, u64>,
}

#[test]
fn records_with_hash_maps_have_one_encoding_too() {
    const { assert!(!Counted::ORDERED && Everything::ORDERED) };
    let counts = || (0..50).map(|n| (format!("k{n}"), n)).collect::<HashMap<_, _>>();
    let encoded: Vec<_> = (0..8).map(|_| Counted { id: 1, counts: counts() }.encode().unwrap()).collect();
    assert!(encoded.iter().all(|bytes| *bytes == encoded[0]));
    Counted::table_def().check_record(&encoded[0]).unwrap();
    assert_eq!(Counted::decode(&encoded[0]).unwrap(), Counted { id: 1, counts: counts() });
}

#[test]
fn defaults_are_a_set_on_disc_of_version_one() {
    let def = Counted::table_def();
    assert_eq!((def.kind, def.copy, def.shape.version), (TableKind::Set, CopyMode::Disc, 1));
    assert_eq!(Counted { id: 7, counts: HashMap::new() }.key(), KeyFor::<u32>::to_key(&7));
}

#[test]
fn a_number_too_large_for_the_rust_type_is_an_error_and_does_not_wrap() {
    let shape = Counted::table_def().shape;
    let bytes = shape.encode(&[Value::U64(u64::from(u32::MAX) + 1), Value::Map(BTreeMap::new())]).unwrap();
    let error = Counted::decode(&bytes).unwrap_err();
    assert!(matches!(error, RecordError::Decode { table: "counted", .. }), "{error}");
}

#[test]
fn bytes_behind_a_record_are_noticed() {
    let mut bytes = Counted { id: 7, counts: HashMap::new() }.encode().unwrap();
    bytes.push(0);
    assert_eq!(Counted::decode(&bytes).unwrap_err(), RecordError::TrailingBytes { bytes: 1 });
}

/// As a table's `get` is declared.
fn key_of<R: Record>(key: impl KeyFor<R::Key>) -> Vec<u8> {
    key.to_key().into_bytes()
}

#[test]
fn keys_may_be_given_as_literals() {
    assert_eq!(key_of::<Counted>(7), key_of::<Counted>(&7));
    let owned = (1, -2, "x".to_owned(), None);
    assert_eq!(key_of::<Everything>((1, -2, "x", None)), key_of::<Everything>(&owned));
}
