use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tabularaft_schema::{CopyMode, TableKind};
use tabularaft_store::{Store, StoreOptions};

use crate::harness::*;

#[test]
fn a_checkpoint_that_hangs_on_the_disc_stops_neither_writer_nor_readers() {
    let (dir, disc) = (tempfile::tempdir().unwrap(), Arc::new(HeldDisc::default()));
    let store = Store::open(StoreOptions { disc: disc.clone(), ..options().with_dir(dir.path()) }).unwrap();
    let mut log = Log::new();
    let disc_only = log.create("disc_only", TableKind::Set, CopyMode::DiscOnly);
    let in_memory = log.create("disc", TableKind::Set, CopyMode::Disc);
    log.put(disc_only, "a", "1");
    log.put(in_memory, "a", "1");
    log.feed(&store);
    let held = disc.hold();
    store.checkpoint_now(false).unwrap();
    disc.wait_until_reached();

    // What follows would wait for ever if anything of it needed the checkpoint.
    log.put(disc_only, "a", "2");
    log.put(disc_only, "b", "3");
    log.put(in_memory, "a", "2");
    log.feed(&store);
    assert_eq!(value(&store, disc_only, "a").as_deref(), Some("2"));
    assert_eq!(keys(&table(&store, disc_only)), ["a", "b"]);
    assert_eq!(value(&store, in_memory, "a").as_deref(), Some("2"));
    assert_eq!(store.checkpointed(), None);

    drop(held);
    store.checkpoint_now(true).unwrap();
    assert_eq!(store.checkpointed(), store.view().applied());
    assert_eq!(keys(&table(&store, disc_only)), ["a", "b"]);
}

#[test]
fn a_writer_that_outruns_the_checkpoint_is_told_so_until_the_next_one_begins() {
    let (dir, disc) = (tempfile::tempdir().unwrap(), Arc::new(HeldDisc::default()));
    let options =
        StoreOptions { disc: disc.clone(), checkpoint_bytes: 1000, ..options().with_dir(dir.path()) };
    let store = Store::open(options).unwrap();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Disc);
    log.feed(&store);
    let held = disc.hold();
    store.checkpoint_now(false).unwrap();
    disc.wait_until_reached();
    log.put(id, "a", &"x".repeat(2000));
    log.feed(&store);
    assert!(!store.overloaded());
    log.put(id, "b", &"x".repeat(3000));
    log.feed(&store);
    assert!(store.overloaded());
    drop(held);
    wait_until("the checkpoint has caught up", || !store.overloaded());
}

#[test]
fn enough_changes_begin_a_checkpoint_and_its_position_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let teller = Arc::clone(&told);
    let store = Store::open(StoreOptions {
        checkpoint_bytes: 10_000,
        on_checkpoint: Some(Box::new(move |position| teller.store(position.index, Ordering::SeqCst))),
        ..options().with_dir(dir.path())
    })
    .unwrap();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Disc);
    log.feed(&store);
    assert_eq!(store.checkpointed(), None);
    log.fill(id, 500);
    log.feed(&store);
    wait_until("the checkpoint is written", || told.load(Ordering::SeqCst) == 1);
    assert_eq!(store.checkpointed(), store.view().applied());
}

#[test]
fn changes_of_ram_tables_move_the_checkpoint_too_so_that_the_log_can_be_purged() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.fill(id, 10);
    log.feed(&store);
    store.checkpoint_now(true).unwrap();
    assert_eq!(store.checkpointed(), store.view().applied());
}

#[test]
fn what_is_staged_is_in_no_checkpoint_before_it_is_published() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::DiscOnly);
    log.feed(&store);
    let put = log.put(id, "a", "1");
    store.writer().apply(put, &log.entries[1].1).unwrap();
    store.checkpoint_now(false).unwrap();
    assert_eq!(value(&store, id, "a"), None);
    store.writer().publish();
    wait_until("the checkpoint that had to wait is written", || store.checkpointed() == Some(put));
    assert_eq!(value(&store, id, "a").as_deref(), Some("1"));
}
