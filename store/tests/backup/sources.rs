//! Backups of views.

use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::{CopyMode, TableDef, TableId, TableKind, TableName, Value};
use tabularaft_store::{
    BackupError, BackupReader, BackupSource, Batch, Effect, Position, Store, StoreOptions, bag_storage_key,
};

use crate::support::{def, header};

const TERM: u64 = 1;

struct Log {
    store: Arc<Store>,
    next: u64,
}

impl Log {
    fn new() -> Self {
        let store = Store::open(StoreOptions::new("me@here".parse().unwrap())).unwrap();
        Self { store, next: 0 }
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        let payload = Batch { term: TERM, decided: Vec::new(), effects, rests_on: None }.encode(true);
        let mut writer = self.store.writer();
        writer.apply(Position::new(TERM, self.next), &payload).unwrap();
        writer.publish();
        self.next += 1;
    }

    fn create(&mut self, def: TableDef) {
        self.apply(vec![Effect::Schema(def.into())]);
    }

    fn put(&mut self, table: u64, def: &TableDef, id: u64) {
        let record = def.shape.encode(&[Value::U64(id), format!("text {id}").as_str().into()]).unwrap();
        let key = Bytes::from(def.key_of_record(&record).unwrap().into_bytes());
        let (key, value) = match def.kind {
            TableKind::Bag => (bag_storage_key(&key, &record), Bytes::new()),
            _ => (key, Bytes::from(record)),
        };
        let (table, version) = (TableId(table), self.next + 1);
        self.apply(vec![Effect::Put { table, key, value, version, owner: None }]);
    }
}

fn filled() -> Log {
    let mut log = Log::new();
    let kinds = [("set", TableKind::Set), ("sorted", TableKind::OrderedSet), ("bag", TableKind::Bag)];
    for (name, kind) in kinds {
        log.create(def(name, kind));
    }
    let mut local = def("local", TableKind::Set);
    local.options.local_content = true;
    log.create(local);
    for (table, (name, kind)) in (1..).zip(kinds) {
        let def = def(name, kind);
        (0..50).for_each(|id| log.put(table, &def, id));
    }
    log
}

fn all_bytes(source: &mut BackupSource, bytes_wanted: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(part) = source.next_part(bytes_wanted).unwrap() {
        bytes.extend(part.bytes);
        if part.end.is_some() {
            assert_eq!(part.records, source.records_total());
        }
    }
    bytes
}

#[test]
fn a_backup_is_what_its_view_holds_however_large_its_parts_are_and_whatever_is_written_meanwhile() {
    let mut log = filled();
    let view = log.store.view();
    let mut backups = Vec::new();
    for bytes_wanted in [1, 200, 5_000, 1 << 20] {
        let mut source = BackupSource::new(Arc::clone(&view), &header(), &[]).unwrap();
        let def = def("sorted", TableKind::OrderedSet);
        log.put(2, &def, 1_000 + bytes_wanted as u64);
        backups.push(all_bytes(&mut source, bytes_wanted));
    }
    assert!(backups.windows(2).all(|pair| pair[0] == pair[1]), "the size of the parts leaves no trace");
    let mut reader = BackupReader::new("test", backups[0].as_slice()).unwrap();
    assert_eq!(reader.verify().unwrap().records, 150);
    let names: Vec<&str> = reader.tables().iter().map(|table| table.def.name.as_str()).collect();
    assert_eq!(names, ["bag", "local", "set", "sorted"]);
    for (place, summary) in reader.summaries() {
        let copy = view.table(reader.tables()[*place].id).unwrap();
        assert_eq!(summary.content, copy.content_digest().unwrap());
    }
}

#[test]
fn of_local_content_only_the_definition_is_kept() {
    let log = filled();
    let mut source = BackupSource::new(log.store.view(), &header(), &[]).unwrap();
    let bytes = all_bytes(&mut source, 1 << 20);
    let mut reader = BackupReader::new("test", bytes.as_slice()).unwrap();
    reader.verify().unwrap();
    let local = reader.tables().iter().position(|table| table.def.name == "local").unwrap();
    assert!(!reader.tables()[local].has_records);
    assert!(reader.summaries().iter().all(|(place, _)| *place != local));
}

#[test]
fn tables_are_chosen_by_name_and_an_unknown_one_is_refused_with_those_there_are() {
    let log = filled();
    let names = [TableName::new("bag").unwrap()];
    let mut source = BackupSource::new(log.store.view(), &header(), &names).unwrap();
    let bytes = all_bytes(&mut source, 64);
    assert_eq!(BackupReader::new("test", bytes.as_slice()).unwrap().verify().unwrap().records, 50);
    let unknown = [TableName::new("nowhere").unwrap()];
    let Err(error) = BackupSource::new(log.store.view(), &header(), &unknown) else { panic!("refused") };
    assert_eq!(error.to_string(), "there is no table nowhere; the tables are bag, local, set, sorted");
}

#[test]
fn a_table_that_this_node_does_not_hold_or_has_not_loaded_cannot_be_backed_up_here() {
    let mut log = Log::new();
    log.create(def("t", TableKind::Set));
    let (table, node) = (TableName::new("t").unwrap(), "me@here".parse().unwrap());
    let gone = tabularaft_schema::SchemaChange::DeleteCopy { table: table.clone(), node };
    log.apply(vec![Effect::Schema(gone)]);
    let refused = BackupSource::new(log.store.view(), &header(), &[]).err().unwrap();
    assert!(matches!(refused, BackupError::Store(_)), "{refused}");
    let back = tabularaft_schema::SchemaChange::SetCopy {
        table,
        node: "me@here".parse().unwrap(),
        mode: CopyMode::Ram,
    };
    log.apply(vec![Effect::Schema(back)]);
    let refused = BackupSource::new(log.store.view(), &header(), &[]).err().unwrap();
    assert!(refused.to_string().contains("table t"), "{refused}");
}
