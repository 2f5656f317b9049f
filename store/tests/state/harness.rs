//! A log in miniature, and stores that follow it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tabularaft_schema::{
    CopyMode, FieldType, NodeName, SchemaChange, TableDef, TableId, TableKind, TableName,
};
use tabularaft_store::disc::{DiscControl, DiscUse};
use tabularaft_store::{
    Applied, Batch, Decided, Effect, LogIndex, Position, Store, StoreOptions, TableDigest, TableView,
};

pub(crate) const TERM: u64 = 3;

pub(crate) fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

pub(crate) fn me() -> NodeName {
    node("me@here")
}

/// A store without a disc.
pub(crate) fn diskless() -> Arc<Store> {
    Store::open(options()).unwrap()
}

/// A store on disc that writes checkpoints only when told to.
pub(crate) fn on_disc(dir: &Path) -> Arc<Store> {
    Store::open(options().with_dir(dir)).unwrap()
}

pub(crate) fn options() -> StoreOptions {
    StoreOptions { checkpoint_interval: Duration::from_secs(3600), ..StoreOptions::new(me()) }
}

pub(crate) fn def(name: &str, kind: TableKind, copy: CopyMode) -> TableDef {
    let builder = TableDef::builder(name).unwrap().kind(kind).copy(copy);
    builder.field("id", FieldType::String).field("value", FieldType::Bytes).key("id").build().unwrap()
}

pub(crate) fn table_name(name: &str) -> TableName {
    TableName::new(name).unwrap()
}

/// Entries of a log, each with its position, to be fed to any number of stores.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) entries: Vec<(Position, Bytes)>,
    version: u64,
    tables: u64,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn append(&mut self, effects: Vec<Effect>) -> Position {
        self.append_decided(Vec::new(), effects)
    }

    pub(crate) fn append_decided(&mut self, decided: Vec<Decided>, effects: Vec<Effect>) -> Position {
        let position = Position::new(TERM, self.entries.len() as u64);
        let payload = Batch { term: TERM, decided, effects, rests_on: None }.encode(true);
        self.entries.push((position, payload));
        position
    }

    pub(crate) fn create(&mut self, name: &str, kind: TableKind, copy: CopyMode) -> TableId {
        self.create_def(def(name, kind, copy))
    }

    pub(crate) fn create_def(&mut self, def: TableDef) -> TableId {
        self.append(vec![Effect::Schema(def.into())]);
        self.tables += 1;
        TableId(self.tables)
    }

    pub(crate) fn schema(&mut self, change: SchemaChange) -> Position {
        self.append(vec![Effect::Schema(change)])
    }

    pub(crate) fn set_copy(&mut self, table: &str, mode: CopyMode) -> Position {
        self.schema(SchemaChange::SetCopy { table: table_name(table), node: me(), mode })
    }

    pub(crate) fn delete_copy(&mut self, table: &str) -> Position {
        self.schema(SchemaChange::DeleteCopy { table: table_name(table), node: me() })
    }

    pub(crate) fn put_effect(&mut self, table: TableId, key: &str, value: &str) -> Effect {
        self.version += 1;
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
        Effect::Put { table, key, value, version: self.version, owner: None }
    }

    pub(crate) fn delete_effect(&mut self, table: TableId, key: &str) -> Effect {
        self.version += 1;
        Effect::Delete { table, key: Bytes::copy_from_slice(key.as_bytes()), version: self.version }
    }

    pub(crate) fn clear_effect(&mut self, table: TableId) -> Effect {
        self.version += 1;
        Effect::Clear { table, version: self.version }
    }

    pub(crate) fn put(&mut self, table: TableId, key: &str, value: &str) -> Position {
        let effect = self.put_effect(table, key, value);
        self.append(vec![effect])
    }

    pub(crate) fn delete(&mut self, table: TableId, key: &str) -> Position {
        let effect = self.delete_effect(table, key);
        self.append(vec![effect])
    }

    pub(crate) fn clear(&mut self, table: TableId) -> Position {
        let effect = self.clear_effect(table);
        self.append(vec![effect])
    }

    /// Many records in one entry: keys `k00000` and on.
    pub(crate) fn fill(&mut self, table: TableId, records: usize) -> Position {
        let effects =
            (0..records).map(|n| self.put_effect(table, &format!("k{n:05}"), &format!("value {n}")));
        let effects = effects.collect();
        self.append(effects)
    }

    /// Applies and publishes everything that the store does not have yet.
    pub(crate) fn feed(&self, store: &Store) {
        self.feed_up_to(store, self.entries.len());
    }

    pub(crate) fn feed_up_to(&self, store: &Store, end: usize) {
        let mut writer = store.writer();
        let next = writer.applied().map_or(0, |applied| applied.index as usize + 1);
        for (position, payload) in &self.entries[next.min(end)..end] {
            let applied = writer.apply(*position, payload).unwrap();
            assert!(matches!(applied, Applied::Accepted { .. }), "{applied:?}");
        }
        writer.publish();
    }

    pub(crate) fn last(&self) -> LogIndex {
        LogIndex(self.entries.len() as u64 - 1)
    }
}

/// The newest view of a table.
pub(crate) fn table(store: &Store, id: TableId) -> Arc<TableView> {
    Arc::clone(store.view().table(id).expect("the node holds the table"))
}

pub(crate) fn value(store: &Store, id: TableId, key: &str) -> Option<String> {
    value_in(&table(store, id), key)
}

pub(crate) fn value_in(table: &TableView, key: &str) -> Option<String> {
    let row = table.get(key.as_bytes()).unwrap()?;
    Some(String::from_utf8(row.value().to_vec()).unwrap())
}

/// Keys in the order in which the table gives them.
pub(crate) fn keys(table: &TableView) -> Vec<String> {
    table.rows().map(|record| String::from_utf8(record.unwrap().key().to_vec()).unwrap()).collect()
}

/// The digests of all tables that can be read.
pub(crate) fn digests(store: &Store) -> Vec<(TableId, TableDigest)> {
    let view = store.view();
    let ready = view.tables().filter(|table| table.is_ready());
    ready.map(|table| (table.id(), table.digest().unwrap())).collect()
}

/// Waits for something that another thread brings about.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// Copies a table of one view into a builder, in chunks of at most `bytes_max`.
pub(crate) fn copy_into(builder: &mut tabularaft_store::TableBuilder, source: &TableView, bytes_max: usize) {
    loop {
        let cursor = builder.progress().cursor.clone();
        let chunk = source.chunk_after(cursor.as_deref(), bytes_max).unwrap();
        if builder.push(&chunk.bytes).unwrap().complete {
            return;
        }
    }
}

/// A disc whose syncs wait while it is held.
#[derive(Debug, Default)]
pub(crate) struct HeldDisc {
    state: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    hold: bool,
    waiting: usize,
}

impl HeldDisc {
    /// Until what this returns is dropped, also by a failing test: closing the store waits for the disc.
    pub(crate) fn hold(&self) -> Holding<'_> {
        self.state.lock().unwrap().hold = true;
        Holding(self)
    }

    pub(crate) fn wait_until_reached(&self) {
        drop(self.changed.wait_while(self.state.lock().unwrap(), |state| state.waiting == 0).unwrap());
    }
}

pub(crate) struct Holding<'a>(&'a HeldDisc);

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().hold = false;
        self.0.changed.notify_all();
    }
}

impl DiscControl for HeldDisc {
    fn before_write(&self, _what: DiscUse, _bytes: usize) -> io::Result<()> {
        Ok(())
    }

    fn before_sync(&self, _what: DiscUse) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| state.hold).unwrap();
        state.waiting -= 1;
        Ok(())
    }
}
