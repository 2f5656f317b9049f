use tabularaft_schema::{CopyMode, TableKind};

use crate::harness::*;

#[test]
fn a_held_view_of_a_disc_only_table_stays_as_it_was_over_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", TableKind::OrderedSet, CopyMode::DiscOnly);
    log.fill(id, 100);
    log.feed(&store);
    store.checkpoint_now(true).unwrap();
    log.put(id, "k00003", "pending");
    log.delete(id, "k00004");
    log.feed(&store);

    let held = table(&store, id);
    let (digest, before) = (held.digest().unwrap(), keys(&held));
    for round in 0..4 {
        log.put(id, "k00003", &format!("round {round}"));
        log.put(id, &format!("new{round}"), "x");
        log.delete(id, &format!("k0001{round}"));
        if round == 2 {
            log.clear(id);
        }
        log.feed(&store);
        store.checkpoint_now(true).unwrap();
        assert_eq!(held.digest().unwrap(), digest, "after checkpoint {round}");
        assert_eq!(keys(&held), before);
        assert_eq!(value_in(&held, "k00003").as_deref(), Some("pending"));
        assert_eq!(held.len(), 99);
    }
    assert_eq!(keys(&table(&store, id)), ["k00003", "new3"]);
}

#[test]
fn a_disc_only_table_counts_its_records_through_every_layer() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::DiscOnly);
    log.fill(id, 10);
    log.feed(&store);
    store.checkpoint_now(true).unwrap();
    log.put(id, "k00001", "replaced on disc");
    log.put(id, "new", "x");
    log.put(id, "new", "replaced in memory");
    log.delete(id, "k00002");
    log.delete(id, "k00002");
    log.delete(id, "never there");
    log.feed(&store);
    assert_eq!(table(&store, id).len(), 10);
    assert_eq!(keys(&table(&store, id)).len(), 10);
    store.checkpoint_now(true).unwrap();
    assert_eq!(table(&store, id).len(), 10);
    store.close().unwrap();
    drop(store);
    let store = on_disc(dir.path());
    assert_eq!(table(&store, id).len(), 10);
    assert_eq!(value(&store, id, "new").as_deref(), Some("replaced in memory"));
}

#[test]
fn clearing_a_disc_only_table_hides_what_is_on_disc_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::DiscOnly);
    log.fill(id, 10);
    log.feed(&store);
    store.checkpoint_now(true).unwrap();
    log.clear(id);
    log.put(id, "k00005", "again");
    log.feed(&store);
    assert_eq!(keys(&table(&store, id)), ["k00005"]);
    assert_eq!(value(&store, id, "k00004"), None);
    assert_eq!(table(&store, id).len(), 1);
    store.checkpoint_now(true).unwrap();
    assert_eq!(keys(&table(&store, id)), ["k00005"]);
}
