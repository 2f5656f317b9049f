use std::path::Path;
use std::sync::Arc;

use tabularaft_schema::{CopyMode, TableKind};
use tabularaft_store::{Staging, Store, StoreError, StoreOptions, View};

use crate::harness::*;

fn peer() -> (Log, Arc<Store>) {
    let peer = Store::open(StoreOptions::new(node("peer@there"))).unwrap();
    let mut log = Log::new();
    for (name, kind, mode) in [
        ("ram", TableKind::Set, CopyMode::Ram),
        ("disc", TableKind::Set, CopyMode::Disc),
        ("disc_only", TableKind::OrderedSet, CopyMode::DiscOnly),
        ("not_here", TableKind::Set, CopyMode::Disc),
    ] {
        let id = log.create(name, kind, mode);
        log.fill(id, 100);
    }
    log.delete_copy("not_here");
    log.feed(&peer);
    (log, peer)
}

fn stage(store: &Store, source: &View) -> Staging {
    let mut staging = store.begin_install(&source.image()).unwrap();
    for held in staging.tables() {
        let copy = source.table(held.id).unwrap();
        let mut builder = staging.builder(held.id).unwrap();
        copy_into(&mut builder, copy, 700);
        staging.add(builder.finish(copy.digest().unwrap()).unwrap()).unwrap();
    }
    assert!(staging.missing().is_empty());
    staging
}

/// A store with a state of its own, which the install replaces.
fn old(dir: &Path) -> (Arc<Store>, Log) {
    let store = on_disc(dir);
    let mut log = Log::new();
    let id = log.create("old", TableKind::Set, CopyMode::Disc);
    log.fill(id, 3);
    log.feed(&store);
    (store, log)
}

#[test]
fn tables_of_a_higher_load_order_are_copied_first() {
    let (source, target) = (diskless(), diskless());
    let mut log = Log::new();
    for (name, load_order) in [("a", 0), ("b", -1), ("c", 7), ("d", 0)] {
        let mut table = def(name, TableKind::Set, CopyMode::Ram);
        table.options.load_order = load_order;
        log.create_def(table);
    }
    log.feed(&source);
    let staging = target.begin_install(&source.view().image()).unwrap();
    let names: Vec<String> = staging.tables().iter().map(|table| table.def.name.to_string()).collect();
    assert_eq!(names, ["c", "a", "d", "b"]);
}

#[test]
fn an_install_replaces_everything_at_once_and_is_on_disc_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, peer) = peer();
    let (store, _) = old(dir.path());
    store.checkpoint_now(true).unwrap();
    let before = store.view();
    let staging = stage(&store, &peer.view());
    assert_eq!(
        store.view().schema().version(),
        before.schema().version(),
        "nothing shows before the install"
    );
    store.install(staging).unwrap();

    let view = store.view();
    assert_eq!(view.applied(), peer.view().applied());
    assert_eq!(store.checkpointed(), view.applied());
    assert_eq!(view.schema(), peer.view().schema());
    assert!(view.table_named(&table_name("old")).is_none());
    assert!(view.table_named(&table_name("not_here")).is_none());
    let of_peer: Vec<_> = digests(&peer).into_iter().take(3).collect();
    assert_eq!(digests(&store), of_peer);
    assert_eq!(before.tables().count(), 1, "a held view stays");
    drop((view, before));

    // Killed at once: the disc tables are there, at the position of the image.
    drop(store);
    let store = on_disc(dir.path());
    assert_eq!(store.view().applied(), peer.view().applied());
    assert_eq!(digests(&store), of_peer[1..]);
    assert!(store.view().table_named(&table_name("ram")).unwrap().is_loading());
    let id = tabularaft_schema::TableId(2);
    log.put(id, "after", "x");
    log.feed(&store);
    log.feed(&peer);
    assert_eq!(table(&store, id).digest().unwrap(), table(&peer, id).digest().unwrap());
}

#[test]
fn a_crash_before_the_install_leaves_the_old_state() {
    let dir = tempfile::tempdir().unwrap();
    let (_, peer) = peer();
    let (store, _) = old(dir.path());
    store.checkpoint_now(true).unwrap();
    let before = digests(&store);
    let staging = stage(&store, &peer.view());
    let image = dir.path().join("as-at-the-crash");
    std::fs::create_dir(&image).unwrap();
    std::fs::copy(dir.path().join("tables.redb"), image.join("tables.redb")).unwrap();
    drop(staging);
    assert_eq!(digests(&store), before);
    let crashed = on_disc(&image);
    assert_eq!(digests(&crashed), before);
    assert_eq!(crashed.view().schema().version(), 1);
}

#[test]
fn a_checkpoint_frozen_before_an_install_does_not_undo_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_, peer) = peer();
    for round in 0..5 {
        let dir = dir.path().join(round.to_string());
        let (store, mut log) = old(&dir);
        let staging = stage(&store, &peer.view());
        log.fill(tabularaft_schema::TableId(1), 2000);
        // Fewer entries than the peer, so that its image is newer.
        log.feed(&store);
        store.checkpoint_now(false).unwrap();
        store.install(staging).unwrap();
        store.checkpoint_now(true).unwrap();
        drop(store);
        let store = on_disc(&dir);
        assert_eq!(store.view().applied(), peer.view().applied());
        assert_eq!(digests(&store).len(), 2);
    }
}

#[test]
fn tables_that_were_not_staged_are_loading_from_the_image_on() {
    let (mut log, peer) = peer();
    let store = diskless();
    let staging = store.begin_install(&peer.view().image()).unwrap();
    assert_eq!(staging.missing().len(), 3);
    store.install(staging).unwrap();
    let id = tabularaft_schema::TableId(1);
    assert!(table(&store, id).is_loading());
    log.put(id, "later", "x");
    log.feed(&store);
    log.feed(&peer);
    let mut builder = store.table_builder(id).unwrap();
    copy_into(&mut builder, &table(&peer, id), 1 << 20);
    let loaded = builder.finish(table(&peer, id).digest().unwrap()).unwrap();
    store.writer().install_table(loaded, peer.view().applied_index()).unwrap();
    store.writer().publish();
    assert_eq!(table(&store, id).digest().unwrap(), table(&peer, id).digest().unwrap());
}

#[test]
fn an_image_older_than_the_store_is_refused() {
    let (mut log, peer) = peer();
    let store = diskless();
    let image = peer.view().image();
    log.put(tabularaft_schema::TableId(1), "x", "y");
    log.feed(&store);
    let staging = store.begin_install(&image).unwrap();
    let error = store.install(staging).unwrap_err();
    assert!(matches!(error, StoreError::ImageTooOld { .. }), "{error}");
}
