use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tabularaft_schema::{
    CopyMode, IndexDef, IndexOn, Record, SchemaChange, TableDef, TableId, TableKind, Value,
    register_index_function,
};
use tabularaft_store::{
    Effect, IndexBounds, IndexReadError, IndexState, Store, StoreError, StoreOptions, TableView,
    bag_storage_key,
};

use crate::harness::*;

#[derive(Record, Serialize, Deserialize, Debug, Clone)]
#[record(table = "t", crate = "tabularaft_schema", index(name = "halves", function = "halves"))]
struct Item {
    #[key]
    id: u64,
    #[index]
    node: Option<String>,
    #[index(each, name = "by_tag")]
    tags: Vec<String>,
    number: u64,
}

/// The number and all its halves, down to 1: none for 0.
fn halves(item: &Item) -> Vec<u64> {
    std::iter::successors(Some(item.number), |number| Some(number / 2))
        .take_while(|number| *number > 0)
        .collect()
}

register_index_function!("halves", halves: fn(&Item) -> Vec<u64>);

impl Item {
    fn new(id: u64, node: &str, tags: &[&str], number: u64) -> Self {
        let node = (!node.is_empty()).then(|| node.to_owned());
        Self { id, node, tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), number }
    }

    /// What an index of this name should find it by.
    fn values(&self, index: &str) -> BTreeSet<Value> {
        match index {
            "node" => BTreeSet::from([Value::from(self.node.clone())]),
            "by_tag" => self.tags.iter().map(|tag| Value::from(tag.as_str())).collect(),
            "halves" => halves(self).into_iter().map(Value::U64).collect(),
            other => panic!("no index {other}"),
        }
    }
}

fn item_def(kind: TableKind, copy: CopyMode) -> TableDef {
    TableDef { kind, copy, ..Item::table_def() }
}

fn put_item(log: &mut Log, id: TableId, kind: TableKind, item: &Item) -> Effect {
    let (key, record) = (item.key().into_bytes(), item.encode().unwrap());
    let Effect::Put { version, .. } = log.put_effect(id, "", "") else { panic!("it is a put") };
    let (key, value) = match kind {
        TableKind::Bag => (bag_storage_key(&key, &record), Bytes::new()),
        _ => (key.into(), record.into()),
    };
    Effect::Put { table: id, key, value, version, owner: None }
}

/// Every index of the table is ready and holds just what its records ask for.
fn check_indexes(store: &Store, id: TableId) {
    wait_until("all indexes are built", || table(store, id).indexes().iter().all(|index| index.is_ready()));
    let view = table(store, id);
    for index in view.indexes() {
        let mut expected = BTreeSet::new();
        for stored in view.rows() {
            let stored = stored.unwrap();
            let item = Item::decode(&view.record_bytes(&stored).unwrap()).unwrap();
            for value in item.values(&index.def().name) {
                let value = index.value_type().unwrap().key_of_value(&value).unwrap();
                expected.insert((value.into_bytes(), stored.key().to_vec()));
            }
        }
        let entries = view.index(&index.def().name).unwrap().entries(&IndexBounds::ALL, false);
        let found: Vec<_> =
            entries.map(|entry| (entry.value().to_vec(), entry.storage_key().to_vec())).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "index {}", index.def().name);
        let mut backward: Vec<_> =
            index.entries(&IndexBounds::ALL, true).map(|entry| entry.storage_key().to_vec()).collect();
        backward.reverse();
        assert!(found.iter().map(|(_, key)| key).eq(&backward), "in reverse");
    }
}

#[derive(Debug, Clone)]
enum Op {
    Put(Item),
    Delete(u64),
    Clear,
    Drop(usize),
    Add(usize),
    Checkpoint,
    Restart,
    Mode(CopyMode),
    Install,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let text = prop::sample::select(vec!["", "a", "b", "ab"]);
    let item = (0..8u64, text.clone(), prop::collection::vec(text, 0..4), 0..6u64)
        .prop_map(|(id, node, tags, number)| Item::new(id, node, &tags, number));
    let op = prop_oneof![
        20 => item.prop_map(Op::Put),
        8 => (0..8u64).prop_map(Op::Delete),
        1 => Just(Op::Clear),
        2 => (0..3usize).prop_map(Op::Drop),
        2 => (0..3usize).prop_map(Op::Add),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::Restart),
        1 => prop::sample::select(CopyMode::ALL.to_vec()).prop_map(Op::Mode),
        1 => Just(Op::Install),
    ];
    prop::collection::vec(op, 1..60)
}

/// A store with a table of items, a peer that holds the same, and the log that both follow.
struct Pair {
    log: Log,
    id: TableId,
    kind: TableKind,
    store: Arc<Store>,
    peer: Arc<Store>,
    dir: tempfile::TempDir,
}

impl Pair {
    fn new(kind: TableKind, mode: CopyMode) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let peer = Store::open(StoreOptions::new(node("peer@there"))).unwrap();
        let mut log = Log::new();
        let id = log.create_def(item_def(kind, mode));
        Self { log, id, kind, store: on_disc(dir.path()), peer, dir }
    }

    fn feed(&self) {
        self.log.feed(&self.store);
        self.log.feed(&self.peer);
    }

    fn put(&mut self, item: &Item) {
        let effect = put_item(&mut self.log, self.id, self.kind, item);
        self.log.append(vec![effect]);
    }

    /// Deletes what is under the key; in a bag one record.
    fn delete(&mut self, id: u64) {
        self.feed();
        let key = Item::new(id, "", &[], 0).key();
        let peer = table(&self.peer, self.id);
        let Some(stored) = peer.prefix(&key).next() else { return };
        let key = Bytes::copy_from_slice(stored.unwrap().key());
        let Effect::Delete { version, .. } = self.log.delete_effect(self.id, "") else { return };
        self.log.append(vec![Effect::Delete { table: self.id, key, version }]);
    }

    fn restart(&mut self) {
        self.feed();
        self.store.close().unwrap();
        self.store = diskless();
        self.store = on_disc(self.dir.path());
        self.feed();
        if table(&self.store, self.id).is_loading() {
            let source = table(&self.peer, self.id);
            let mut builder = self.store.table_builder(self.id).unwrap();
            copy_into(&mut builder, &source, 300);
            let loaded = builder.finish(source.digest().unwrap()).unwrap();
            let mut writer = self.store.writer();
            writer.install_table(loaded, self.peer.view().applied_index()).unwrap();
            writer.publish();
        }
    }

    fn install(&mut self) {
        self.feed();
        let source = self.peer.view();
        let mut staging = self.store.begin_install(&source.image()).unwrap();
        let copy = source.table(self.id).unwrap();
        let mut builder = staging.builder(self.id).unwrap();
        copy_into(&mut builder, copy, 300);
        staging.add(builder.finish(copy.digest().unwrap()).unwrap()).unwrap();
        self.store.install(staging).unwrap();
    }

    fn run(&mut self, op: &Op) {
        let all = Item::table_def().indexes;
        let has = |pair: &Self, index: &IndexDef| {
            table(&pair.peer, pair.id).indexes().iter().any(|known| known.def().name == index.name)
        };
        match op {
            Op::Put(item) => self.put(item),
            Op::Delete(id) => self.delete(*id),
            Op::Clear => drop(self.log.clear(self.id)),
            Op::Drop(at) if has(self, &all[*at]) => {
                let index = all[*at].name.clone();
                self.log.schema(SchemaChange::DropIndex { table: table_name("t"), index });
            }
            Op::Add(at) if !has(self, &all[*at]) => {
                let index = all[*at].clone();
                self.log.schema(SchemaChange::AddIndex { table: table_name("t"), index });
            }
            Op::Drop(_) | Op::Add(_) => {}
            Op::Checkpoint => self.store.checkpoint_now(true).unwrap(),
            Op::Restart => self.restart(),
            Op::Mode(mode) => drop(self.log.set_copy("t", *mode)),
            Op::Install => self.install(),
        }
        self.feed();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_index_holds_what_its_records_ask_for_whatever_happens_to_them(
        ops in ops(),
        kind in prop::sample::select(vec![TableKind::Set, TableKind::OrderedSet, TableKind::Bag]),
        mode in prop::sample::select(CopyMode::ALL.to_vec()),
    ) {
        let mut pair = Pair::new(kind, mode);
        pair.feed();
        for op in &ops {
            pair.run(op);
        }
        check_indexes(&pair.store, pair.id);
        check_indexes(&pair.peer, pair.id);
    }
}

fn filled(kind: TableKind, mode: CopyMode, dir: Option<&Path>, records: u64) -> (Log, TableId, Arc<Store>) {
    let store = dir.map_or_else(diskless, on_disc);
    let mut log = Log::new();
    let def = TableDef { indexes: Vec::new(), ..item_def(kind, mode) };
    let id = log.create_def(def);
    let puts = (0..records).map(|number| {
        let item = Item::new(number, &format!("n{}", number % 7), &["x", "y"], number % 5);
        put_item(&mut log, id, kind, &item)
    });
    let puts = puts.collect();
    log.append(puts);
    log.feed(&store);
    (log, id, store)
}

#[test]
fn an_index_is_built_while_its_table_is_written() {
    for (kind, mode) in [
        (TableKind::Set, CopyMode::Ram),
        (TableKind::OrderedSet, CopyMode::Disc),
        (TableKind::Bag, CopyMode::DiscOnly),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, id, store) = filled(kind, mode, Some(dir.path()), 5_000);
        store.checkpoint_now(true).unwrap();
        for index in Item::table_def().indexes {
            log.schema(SchemaChange::AddIndex { table: table_name("t"), index });
        }
        log.feed(&store);
        let mut number = 0;
        while number < 3_000 || !table(&store, id).indexes().iter().all(|index| index.is_ready()) {
            let item = Item::new(number % 9_000, "moved", &["z"], number % 11);
            let effect = put_item(&mut log, id, kind, &item);
            log.append(vec![effect]);
            log.feed(&store);
            number += 1;
        }
        check_indexes(&store, id);
        store.close().unwrap();
    }
}

#[test]
fn clearing_a_table_while_its_index_is_built_leaves_both_empty() {
    let (mut log, id, store) = filled(TableKind::Set, CopyMode::Ram, None, 5_000);
    log.schema(SchemaChange::AddIndex { table: table_name("t"), index: IndexDef::on_field("node") });
    log.feed(&store);
    log.clear(id);
    let item = put_item(&mut log, id, TableKind::Set, &Item::new(1, "a", &[], 0));
    log.append(vec![item]);
    log.feed(&store);
    check_indexes(&store, id);
    assert_eq!(table(&store, id).index("node").unwrap().len(), 1);
}

#[test]
fn an_index_that_is_dropped_while_it_is_built_is_gone_and_can_be_added_again() {
    let (mut log, id, store) = filled(TableKind::Set, CopyMode::Ram, None, 5_000);
    for _ in 0..3 {
        log.schema(SchemaChange::AddIndex { table: table_name("t"), index: IndexDef::on_field("node") });
        log.schema(SchemaChange::DropIndex { table: table_name("t"), index: "node".into() });
    }
    log.feed(&store);
    let error = table(&store, id).index("node").unwrap_err().to_string();
    assert!(error.contains("no secondary index node"), "{error}");
    log.schema(SchemaChange::AddIndex { table: table_name("t"), index: IndexDef::on_field("node") });
    log.feed(&store);
    check_indexes(&store, id);
}

#[test]
fn an_index_is_active_once_the_schema_says_so() {
    let (mut log, id, store) = filled(TableKind::Set, CopyMode::Ram, None, 10);
    let index = IndexDef::on_field("node").unique();
    log.schema(SchemaChange::AddIndex { table: table_name("t"), index });
    log.feed(&store);
    let is = |check: fn(&tabularaft_store::IndexView) -> bool| check(&table(&store, id).indexes()[0]);
    assert!(is(|index| index.is_ready() && !index.is_active() && !index.is_enforced()));
    log.schema(SchemaChange::ActivateIndex { table: table_name("t"), index: "node".into() });
    log.feed(&store);
    assert!(is(|index| index.is_enforced()));
    log.clear(id);
    log.feed(&store);
    assert!(is(|index| index.is_enforced() && index.is_empty()));
}

#[test]
fn values_that_more_than_one_record_has_are_counted_and_listed_with_their_keys() {
    let (mut log, id, store) = filled(TableKind::Set, CopyMode::Ram, None, 30);
    log.schema(SchemaChange::AddIndex { table: table_name("t"), index: IndexDef::on_field("node") });
    log.feed(&store);
    let found = table(&store, id).index("node").unwrap().duplicates(2);
    assert_eq!((found.count, found.first.len()), (7, 2));
    assert_eq!(found.first[0].0, b"\x01n0\x00\x01");
    assert_eq!(found.first[0].1.len(), 4, "some of the keys will do");
    assert_eq!(found.first[1].1[0], 1u64.to_be_bytes());
}

#[test]
fn an_index_over_a_function_that_is_not_linked_says_so_and_does_no_harm() {
    let (mut log, id, store) = filled(TableKind::Set, CopyMode::Ram, None, 2_000);
    let index = IndexDef::new("i", IndexOn::Function("nowhere".into()));
    log.schema(SchemaChange::AddIndex { table: table_name("t"), index });
    log.put(id, "k", "v");
    log.feed(&store);
    let view: Arc<TableView> = table(&store, id);
    assert!(matches!(view.indexes()[0].state(), IndexState::Unavailable { .. }));
    let error = view.index("i").unwrap_err();
    assert!(matches!(error, StoreError::Index(IndexReadError::Unavailable { .. })));
    assert!(error.to_string().contains("`nowhere`, which is not linked"), "{error}");
}
