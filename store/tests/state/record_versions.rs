//! Rows of several record versions in one table.

use bytes::Bytes;
use tabularaft_schema::{
    CopyMode, FieldType, RecordShape, SchemaChange, TableDef, TableId, TableKind, Value,
};
use tabularaft_store::{
    Change, CopyState, Effect, LogIndex, Store, TableBuilder, TableView, bag_storage_key,
};

use crate::harness::*;

fn def_of(kind: TableKind, mode: CopyMode) -> TableDef {
    let builder = TableDef::builder("t").unwrap().kind(kind).copy(mode);
    builder.field("id", FieldType::U64).field("size", FieldType::U64).key("id").index("size").build().unwrap()
}

/// The size comes first and may be missing, and there is room for a note.
fn second_shape() -> RecordShape {
    let optional = FieldType::optional;
    let (size, note) = (optional(FieldType::U64), optional(FieldType::String));
    RecordShape::new(2, [("size", size), ("id", FieldType::U64), ("note", note)])
}

fn transform() -> SchemaChange {
    SchemaChange::Transform { table: table_name("t"), shape: second_shape() }
}

fn first(id: u64, size: u64) -> Vec<u8> {
    def_of(TableKind::Set, CopyMode::Ram).shape.encode(&[Value::U64(id), Value::U64(size)]).unwrap()
}

fn second(id: u64, size: u64) -> Vec<u8> {
    second_shape().encode(&[Value::U64(size), Value::U64(id), Value::Null]).unwrap()
}

fn key(id: u64) -> Vec<u8> {
    def_of(TableKind::Set, CopyMode::Ram).key_of_record(&first(id, 0)).unwrap().into_bytes()
}

fn put(kind: TableKind, table: TableId, id: u64, record: &[u8], version: u64) -> Effect {
    let (key, value) = match kind {
        TableKind::Bag => (bag_storage_key(&key(id), record), Bytes::new()),
        _ => (key(id).into(), Bytes::copy_from_slice(record)),
    };
    Effect::Put { table, key, value, version, owner: None }
}

/// Five records of version 1, of which one is written anew after the transformation.
fn transformed(kind: TableKind, mode: CopyMode) -> (Log, TableId) {
    let mut log = Log::new();
    let id = log.create_def(def_of(kind, mode));
    log.append((0..5).map(|n| put(kind, id, n, &first(n, 10 + n), n + 1)).collect());
    log.schema(transform());
    log.append(vec![put(kind, id, 9, &second(9, 19), 10)]);
    (log, id)
}

fn shown(copy: &TableView) -> Vec<(Vec<u8>, u64, u32)> {
    let shown = copy.rows().map(|stored| {
        let stored = stored.unwrap();
        (copy.record_bytes(&stored).unwrap().into_owned(), stored.version(), stored.record_version())
    });
    let mut shown: Vec<_> = shown.collect();
    shown.sort();
    shown
}

fn expected(former: u32) -> Vec<(Vec<u8>, u64, u32)> {
    let mut all: Vec<_> = (0..5).map(|n| (second(n, 10 + n), n + 1, former)).collect();
    all.push((second(9, 19), 10, 2));
    all.sort();
    all
}

const KINDS: [TableKind; 3] = [TableKind::Set, TableKind::OrderedSet, TableKind::Bag];

#[test]
fn rows_of_a_former_version_keep_their_bytes_and_are_read_in_the_present_shape_also_after_a_restart() {
    for kind in KINDS {
        for mode in CopyMode::ALL {
            let dir = tempfile::tempdir().unwrap();
            let store = on_disc(dir.path());
            let (log, id) = transformed(kind, mode);
            log.feed(&store);
            assert_eq!(shown(&table(&store, id)), expected(1), "{kind} {mode}");
            let digest = table(&store, id).digest().unwrap();
            store.close().unwrap();
            drop(store);
            if mode == CopyMode::Ram {
                continue;
            }
            let store = on_disc(dir.path());
            assert_eq!(shown(&table(&store, id)), expected(1), "{kind} {mode}, after a restart");
            assert_eq!(table(&store, id).digest().unwrap(), digest);
        }
    }
}

#[test]
fn rewritten_rows_keep_their_versions_and_those_who_follow_the_table_are_told_nothing() {
    for kind in KINDS {
        let store = Store::open(options()).unwrap();
        let (mut log, id) = transformed(kind, CopyMode::Ram);
        log.feed(&store);
        let before = store.view().applied_index();
        let mut effects = Vec::new();
        for n in 0..5 {
            if kind == TableKind::Bag {
                let old = bag_storage_key(&key(n), &first(n, 10 + n));
                effects.push(Effect::Delete { table: id, key: old, version: n + 1 });
            }
            effects.push(put(kind, id, n, &second(n, 10 + n), n + 1));
        }
        log.append(effects);
        log.schema(SchemaChange::ForgetFormerShapes { table: table_name("t") });
        log.feed(&store);
        assert_eq!(shown(&table(&store, id)), expected(2), "{kind}");
        assert!(table(&store, id).upgrade().is_none());
        assert_eq!(store.view().last_version(), 10);
        let page = store.history().read(Some(before), None, 100).unwrap();
        let records = page.entries.iter().flat_map(|entry| &entry.changes);
        let told = records.filter(|change| !matches!(change, Change::Table { .. })).count();
        assert_eq!(told, 0, "{kind}");
    }
}

#[test]
fn what_a_change_replaced_is_told_in_the_present_shape() {
    for kind in KINDS {
        let store = Store::open(options()).unwrap();
        let (mut log, id) = transformed(kind, CopyMode::Ram);
        log.feed(&store);
        let before = store.view().applied_index();
        let Effect::Put { key, .. } = put(kind, id, 3, &first(3, 13), 0) else { unreachable!() };
        log.append(vec![Effect::Delete { table: id, key, version: 11 }]);
        log.feed(&store);
        let page = store.history().read(Some(before), None, 100).unwrap();
        let change = &page.entries[0].changes[0];
        assert_eq!(change.old_record().unwrap(), (&second(3, 13)[..], 4), "{kind}");
    }
}

#[test]
fn an_index_finds_records_of_former_versions() {
    for kind in KINDS {
        let store = diskless();
        let (log, id) = transformed(kind, CopyMode::Ram);
        log.feed(&store);
        let copy = table(&store, id);
        let index = copy.index("size").unwrap();
        let values = index.entries(&tabularaft_store::IndexBounds::ALL, false);
        assert_eq!(values.count(), 6, "{kind}");
    }
}

#[test]
fn a_copy_keeps_each_row_s_record_version() {
    for kind in KINDS {
        let (source, target) = (diskless(), diskless());
        let (mut log, id) = transformed(kind, CopyMode::Ram);
        log.feed(&source);
        log.feed_up_to(&target, 1);
        log.delete_copy("t");
        log.set_copy("t", CopyMode::Ram);
        log.feed(&target);
        let CopyState::Loading { .. } = table(&target, id).state() else { panic!("it has to be copied") };
        log.append(vec![put(kind, id, 7, &second(7, 17), 20)]);
        log.feed(&target);
        let view = table(&source, id);
        let mut builder = TableBuilder::new(id, view.def().clone(), CopyMode::Ram, &target);
        copy_into(&mut builder, &view, 64);
        let loaded = builder.finish(view.digest().unwrap()).unwrap();
        let mut writer = target.writer();
        // The copy holds everything up to the last change of the mode.
        writer.install_table(loaded, LogIndex(log.last().0 - 1)).unwrap();
        writer.publish();
        drop(writer);
        let mut all = expected(1);
        all.push((second(7, 17), 20, 2));
        all.sort();
        assert_eq!(shown(&table(&target, id)), all, "{kind}");
    }
}
