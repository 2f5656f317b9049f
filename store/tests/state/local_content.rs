use bytes::Bytes;
use tabularaft_schema::{CopyMode, TableId, TableKind};
use tabularaft_store::{Effect, Store, StoreError};

use crate::harness::*;

fn create(log: &mut Log, name: &str, mode: CopyMode) -> TableId {
    let mut def = def(name, TableKind::Set, mode);
    def.options.local_content = true;
    log.create_def(def)
}

fn put(store: &Store, table: TableId, key: &str, value: &str) {
    let mut writer = store.writer();
    let version = writer.next_local_version();
    let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    writer.apply_local(&[Effect::Put { table, key, value, version, owner: None }]).unwrap();
    writer.publish();
}

#[test]
fn local_tables_on_disc_are_durable_at_once_and_never_take_part_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let ids = CopyMode::ALL.map(|mode| create(&mut log, &mode.as_str().replace('-', "_"), mode));
    log.put(ids[1], "from the log", "ignored");
    log.feed(&store);
    for id in ids {
        put(&store, id, "a", "1");
        put(&store, id, "b", "2");
        assert_eq!((value(&store, id, "b").as_deref(), table(&store, id).len()), (Some("2"), 2));
        assert_eq!(value(&store, id, "from the log"), None);
    }
    let delete = Effect::Delete { table: ids[2], key: Bytes::from_static(b"a"), version: 100 };
    store.writer().apply_local(&[delete]).unwrap();

    // Killed without any checkpoint: the log brings the definitions back, the local file the records.
    drop(store);
    let store = on_disc(dir.path());
    log.feed(&store);
    assert!(ids.iter().all(|id| table(&store, *id).is_ready()));
    assert_eq!(table(&store, ids[0]).len(), 0);
    assert_eq!(table(&store, ids[1]).len(), 2);
    assert_eq!(keys(&table(&store, ids[2])), ["b"]);
    assert!(store.writer().next_local_version() > 100);
    store.close().unwrap();
    drop(store);
    let store = on_disc(dir.path());
    assert_eq!(table(&store, ids[1]).len(), 2);
    assert_eq!(value(&store, ids[2], "b").as_deref(), Some("2"));
}

#[test]
fn local_tables_change_their_mode_and_are_cleared_like_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let id = create(&mut log, "t", CopyMode::Ram);
    log.feed(&store);
    put(&store, id, "a", "1");
    for mode in
        [CopyMode::Disc, CopyMode::DiscOnly, CopyMode::Disc, CopyMode::Ram, CopyMode::DiscOnly, CopyMode::Ram]
    {
        log.set_copy("t", mode);
        log.feed(&store);
        assert_eq!((value(&store, id, "a").as_deref(), table(&store, id).mode()), (Some("1"), mode));
    }
    log.set_copy("t", CopyMode::DiscOnly);
    log.feed(&store);
    let version = store.writer().next_local_version();
    store.writer().apply_local(&[Effect::Clear { table: id, version }]).unwrap();
    store.writer().publish();
    assert!(table(&store, id).is_empty());
    put(&store, id, "b", "2");
    assert_eq!(keys(&table(&store, id)), ["b"]);
}

#[test]
fn replicated_tables_cannot_be_written_locally() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.feed(&store);
    let clear = |table| Effect::Clear { table, version: 1 };
    let error = store.writer().apply_local(&[clear(id)]).unwrap_err();
    assert!(matches!(error, StoreError::NotLocal { .. }), "{error}");
    assert!(matches!(store.writer().apply_local(&[clear(TableId(9))]), Err(StoreError::NotHeld { .. })));
    let barrier = Effect::Barrier { token: 1 };
    assert!(matches!(store.writer().apply_local(&[barrier]), Err(StoreError::NotARecordChange)));
}
