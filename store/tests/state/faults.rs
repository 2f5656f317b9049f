use std::path::Path;
use std::sync::Arc;

use tabularaft_schema::{CopyMode, TableKind};
use tabularaft_store::disc::FaultyDisc;
use tabularaft_store::{Position, Store, StoreError, StoreOptions};

use crate::harness::*;

fn on_faulty_disc(dir: &Path) -> (Arc<Store>, Arc<FaultyDisc>) {
    let disc = Arc::new(FaultyDisc::new());
    (Store::open(StoreOptions { disc: disc.clone(), ..options().with_dir(dir) }).unwrap(), disc)
}

#[test]
fn a_full_disc_poisons_the_store_and_the_next_start_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let (store, disc) = on_faulty_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Disc);
    log.fill(id, 10);
    log.feed(&store);
    store.checkpoint_now(true).unwrap();
    log.put(id, "a", "1");
    log.feed(&store);
    disc.set_full(true);
    let error = store.checkpoint_now(true).unwrap_err();
    assert!(error.is_disc_full(), "{error}");
    assert!(matches!(&error, StoreError::Poisoned { cause } if cause.is_disc_full()), "{error}");

    let put = log.put(id, "b", "2");
    let refused = store.writer().apply(put, &log.entries.last().unwrap().1).unwrap_err();
    assert!(refused.is_disc_full(), "{refused}");
    assert!(store.poisoned().is_some_and(|cause| cause.is_disc_full()));
    assert_eq!(value(&store, id, "a").as_deref(), Some("1"), "reads go on");
    assert!(store.close().is_err());
    drop(store);

    let store = on_disc(dir.path());
    assert_eq!(table(&store, id).len(), 10);
    log.feed(&store);
    assert_eq!(table(&store, id).len(), 12);
}

#[test]
fn an_error_that_is_no_full_disc_poisons_too_and_says_which_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (store, disc) = on_faulty_disc(dir.path());
    let mut log = Log::new();
    log.create("t", TableKind::Set, CopyMode::Disc);
    log.feed(&store);
    disc.fail_next_sync();
    let error = store.checkpoint_now(true).unwrap_err();
    assert!(!error.is_disc_full());
    assert!(error.to_string().contains("injected"), "{error}");
    let again = store.checkpoint_now(true).unwrap_err();
    assert!(matches!(again, StoreError::Poisoned { .. }), "{again}");
    assert!(store.writer().apply_blank(Position::new(TERM, 1)).is_err());
}

#[test]
fn a_failed_install_leaves_the_old_state_on_disc() {
    let dir = tempfile::tempdir().unwrap();
    let (store, disc) = on_faulty_disc(dir.path());
    let peer = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Disc);
    log.feed(&store);
    store.checkpoint_now(true).unwrap();
    log.fill(id, 10);
    log.feed(&peer);
    let staging = store.begin_install(&peer.view().image()).unwrap();
    disc.set_full(true);
    assert!(store.install(staging).unwrap_err().is_disc_full());
    assert_eq!(store.view().applied_index().0, 0);
    drop(store);
    let store = on_disc(dir.path());
    assert_eq!(store.view().applied_index().0, 0);
    assert!(table(&store, id).is_ready() && table(&store, id).is_empty());
}

/// Flips one bit in the only place where `needle` stands in the file.
fn flip_bit_in(file: &Path, needle: &[u8]) {
    let mut bytes = std::fs::read(file).unwrap();
    let places: Vec<usize> =
        bytes.windows(needle.len()).enumerate().filter(|(_, w)| *w == needle).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the value is in the file");
    for place in places {
        bytes[place] ^= 1;
    }
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_flipped_bit_in_a_record_is_found_at_the_start_and_the_file_and_the_way_out_named() {
    for mode in [CopyMode::Disc, CopyMode::DiscOnly] {
        let dir = tempfile::tempdir().unwrap();
        let store = on_disc(dir.path());
        let mut log = Log::new();
        let id = log.create("t", TableKind::Set, mode);
        log.put(id, "a", "a value that stands out");
        log.feed(&store);
        store.close().unwrap();
        drop(store);
        flip_bit_in(&dir.path().join("tables.redb"), b"a value that stands out");
        let error = Store::open(options().with_dir(dir.path())).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("tables.redb") && message.contains("recover --from-cluster"),
            "{mode}: {message}"
        );
        assert!(!message.contains("stands out"), "no content in messages: {message}");
    }
}

/// Applies the log with a checkpoint after every third entry, until the disc fails.
fn run(store: &Store, log: &Log) -> Result<(), StoreError> {
    for (number, (position, payload)) in log.entries.iter().enumerate() {
        let mut writer = store.writer();
        writer.apply(*position, payload)?;
        writer.publish();
        drop(writer);
        if number % 3 == 2 {
            store.checkpoint_now(true)?;
        }
    }
    store.close()
}

#[test]
fn a_failure_at_any_sync_loses_nothing_that_the_log_has() {
    let mut log = Log::new();
    let set = log.create("set", TableKind::Set, CopyMode::Disc);
    let ordered = log.create("ordered", TableKind::OrderedSet, CopyMode::DiscOnly);
    for round in 0..4 {
        log.fill(set, 20 + round);
        log.fill(ordered, 20 + round);
        log.delete(set, "k00003");
        log.put(ordered, "k00003", "changed");
        match round {
            1 => drop(log.clear(ordered)),
            2 => drop((log.set_copy("set", CopyMode::DiscOnly), log.set_copy("ordered", CopyMode::Disc))),
            _ => {}
        }
    }
    let model = diskless();
    log.feed(&model);
    for sync in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let (store, disc) = on_faulty_disc(dir.path());
        disc.fail_sync_number(sync);
        let outcome = run(&store, &log);
        drop(store);
        let store = on_disc(dir.path());
        log.feed(&store);
        assert_eq!(digests(&store), digests(&model), "after a failure of sync {sync}");
        if outcome.is_ok() {
            assert!(sync > 6, "the run has syncs that can fail");
            return;
        }
    }
}
