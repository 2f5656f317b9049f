use tabularaft_schema::{CopyMode, TableKind};
use tabularaft_store::{CopyState, LogIndex, Store, StoreError, StoreOptions};

use crate::harness::*;

/// A store whose table is loading since index 2, and a peer that has it.
fn waiting(mode: CopyMode, options: StoreOptions) -> (Log, std::sync::Arc<Store>, std::sync::Arc<Store>) {
    let (store, peer) =
        (Store::open(options).unwrap(), Store::open(StoreOptions::new(node("peer@there"))).unwrap());
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, mode);
    log.delete_copy("t");
    log.fill(id, 100);
    log.set_copy("t", mode);
    log.feed(&store);
    log.feed(&peer);
    assert!(table(&store, id).is_loading());
    (log, store, peer)
}

const T: tabularaft_schema::TableId = tabularaft_schema::TableId(1);

#[test]
fn a_table_appears_with_what_was_written_while_it_was_loaded() {
    for mode in CopyMode::ALL {
        let dir = tempfile::tempdir().unwrap();
        let (mut log, store, peer) = waiting(mode, options().with_dir(dir.path()));
        log.put(T, "k00001", "before the copy");
        log.feed(&store);
        log.feed(&peer);
        let (source, at) = (table(&peer, T), peer.view().applied_index());
        let mut builder = store.table_builder(T).unwrap();
        copy_into(&mut builder, &source, 500);
        log.put(T, "k00001", "after the copy");
        log.delete(T, "k00002");
        log.feed(&store);
        log.feed(&peer);
        let loaded = builder.finish(source.digest().unwrap()).unwrap();

        let mut writer = store.writer();
        writer.install_table(loaded, at).unwrap();
        assert!(table(&store, T).is_loading(), "not before it is published, {mode}");
        writer.publish();
        drop(writer);
        assert_eq!(value(&store, T, "k00001").as_deref(), Some("after the copy"), "{mode}");
        assert_eq!(table(&store, T).digest().unwrap(), table(&peer, T).digest().unwrap(), "{mode}");
        assert_eq!(table(&store, T).len(), 99);

        store.close().unwrap();
        let before = digests(&peer);
        drop((store, source));
        let store = on_disc(dir.path());
        match mode {
            CopyMode::Ram => assert!(table(&store, T).is_loading()),
            _ => assert_eq!(digests(&store), before, "{mode}"),
        }
    }
}

#[test]
fn a_table_from_a_peer_that_is_ahead_is_ready_when_this_node_has_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, store, peer) = waiting(CopyMode::Disc, options().with_dir(dir.path()));
    log.put(T, "x", "1");
    log.put(T, "x", "2");
    log.feed(&peer);
    let mut builder = store.table_builder(T).unwrap();
    copy_into(&mut builder, &table(&peer, T), 1 << 20);
    let loaded = builder.finish(table(&peer, T).digest().unwrap()).unwrap();
    let mut writer = store.writer();
    writer.install_table(loaded, peer.view().applied_index()).unwrap();
    writer.publish();
    drop(writer);
    assert!(table(&store, T).is_loading());
    assert!(table(&store, T).get(b"x").is_err());

    // Neither a checkpoint nor a restart forgets that the table is ahead.
    store.checkpoint_now(true).unwrap();
    drop(store);
    let store = on_disc(dir.path());
    log.feed_up_to(&store, log.entries.len() - 1);
    assert!(table(&store, T).is_loading());
    log.feed(&store);
    assert!(table(&store, T).is_ready());
    assert_eq!(table(&store, T).digest().unwrap(), table(&peer, T).digest().unwrap());
}

#[test]
fn a_copy_older_than_what_is_kept_of_the_log_is_refused() {
    let options = StoreOptions { load_buffer_bytes: 2000, ..options() };
    let (mut log, store, peer) = waiting(CopyMode::Ram, options);
    let (old, at) = (table(&peer, T), peer.view().applied_index());
    let mut builder = store.table_builder(T).unwrap();
    copy_into(&mut builder, &old, 1 << 20);
    let loaded = builder.finish(old.digest().unwrap()).unwrap();
    log.put(T, "a", &"x".repeat(1500));
    log.feed(&store);
    let buffered = |store: &Store| match table(store, T).state() {
        CopyState::Loading { floor, buffered_bytes } => (floor, buffered_bytes),
        state => panic!("{state:?}"),
    };
    assert!(buffered(&store).1 >= 1500);
    log.put(T, "b", &"x".repeat(1500));
    log.feed(&store);
    log.feed(&peer);
    assert_eq!(buffered(&store), (log.last(), 0), "the buffer has started again");
    let error = store.writer().install_table(loaded, at).unwrap_err();
    assert!(matches!(error, StoreError::CopyTooOld { floor, .. } if floor == log.last()), "{error}");

    log.put(T, "c", "after");
    log.feed(&store);
    let mut builder = store.table_builder(T).unwrap();
    copy_into(&mut builder, &table(&peer, T), 1 << 20);
    let loaded = builder.finish(table(&peer, T).digest().unwrap()).unwrap();
    store.writer().install_table(loaded, peer.view().applied_index()).unwrap();
    store.writer().publish();
    log.feed(&peer);
    assert_eq!(digests(&store), digests(&peer));
}

#[test]
fn clearing_a_table_ends_the_waiting_for_its_records() {
    let (mut log, store, peer) = waiting(CopyMode::Ram, options());
    let clear = log.clear_effect(T);
    let put = log.put_effect(T, "a", "new");
    log.append(vec![clear, put]);
    log.put(T, "b", "new");
    log.feed(&store);
    log.feed(&peer);
    assert!(table(&store, T).is_ready());
    assert_eq!(table(&store, T).len(), 2);
    assert_eq!(digests(&store), digests(&peer));
}

#[test]
fn a_table_that_nobody_has_any_more_may_start_empty() {
    let (mut log, store, _peer) = waiting(CopyMode::Ram, options());
    let loaded = store.table_builder(T).unwrap().finish_empty().unwrap();
    let at = store.view().applied_index();
    store.writer().install_table(loaded, at).unwrap();
    log.put(T, "a", "1");
    log.feed(&store);
    assert_eq!(keys(&table(&store, T)), ["a"]);
    let loaded = store.table_builder(T).unwrap().finish_empty().unwrap();
    let error = store.writer().install_table(loaded, LogIndex(99)).unwrap_err();
    assert!(matches!(error, StoreError::NotLoading { .. }), "{error}");
}
