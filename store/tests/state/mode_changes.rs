use tabularaft_schema::{CopyMode, SchemaChange, TableKind};

use crate::harness::*;

#[test]
fn every_change_of_mode_keeps_the_records_readable_and_lasting_as_the_new_mode_says() {
    for from in CopyMode::ALL {
        for to in CopyMode::ALL {
            for kind in [TableKind::Set, TableKind::OrderedSet] {
                change_mode(kind, from, to);
            }
        }
    }
}

fn change_mode(kind: TableKind, from: CopyMode, to: CopyMode) {
    let (dir, model) = (tempfile::tempdir().unwrap(), diskless());
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", kind, from);
    log.fill(id, 300);
    log.feed(&store);
    store.checkpoint_now(true).unwrap();
    log.put(id, "k00001", "changed before");
    log.feed(&store);
    let held = table(&store, id);
    let held_digest = held.digest().unwrap();

    log.set_copy("t", to);
    log.put(id, "k00002", "changed after");
    log.delete(id, "k00003");
    log.feed(&store);
    log.feed(&model);
    let expected = table(&model, id).digest().unwrap();
    assert_eq!(table(&store, id).mode(), to);
    assert_eq!(table(&store, id).digest().unwrap(), expected, "at once, {from} to {to}");
    store.checkpoint_now(true).unwrap();
    assert_eq!(table(&store, id).digest().unwrap(), expected, "after a checkpoint, {from} to {to}");
    log.put(id, "k00004", "later still");
    log.feed(&store);
    log.feed(&model);
    let expected = table(&model, id).digest().unwrap();
    assert_eq!(table(&store, id).digest().unwrap(), expected, "{from} to {to}");
    assert_eq!(held.digest().unwrap(), held_digest, "a held view stays, {from} to {to}");
    drop(held);
    store.close().unwrap();
    drop(store);

    let store = on_disc(dir.path());
    let state = table(&store, id);
    match to {
        // A refill that was not over yet leaves the records in the checkpoint, which is no harm.
        CopyMode::Ram => assert!(state.is_loading() || state.digest().unwrap() == expected, "{from} to {to}"),
        _ => assert_eq!(state.digest().unwrap(), expected, "after a restart, {from} to {to}"),
    }
}

#[test]
fn a_disc_only_table_moves_into_memory_while_it_is_written() {
    let (dir, model) = (tempfile::tempdir().unwrap(), diskless());
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", TableKind::OrderedSet, CopyMode::DiscOnly);
    log.fill(id, 5000);
    log.feed(&store);
    store.checkpoint_now(true).unwrap();
    log.set_copy("t", CopyMode::Disc);
    log.feed(&store);
    for number in 0..500 {
        log.put(id, &format!("k{:05}", number * 7), "changed meanwhile");
        log.delete(id, &format!("k{:05}", number * 5 + 1));
        if number == 250 {
            log.clear(id);
        }
        log.feed(&store);
        if number % 100 == 0 {
            store.checkpoint_now(false).unwrap();
        }
    }
    log.feed(&model);
    assert_eq!(digests(&store), digests(&model));
    store.close().unwrap();
    assert_eq!(digests(&store), digests(&model));
    drop(store);
    assert_eq!(digests(&on_disc(dir.path())), digests(&model));
}

#[test]
fn dropped_tables_and_copies_are_gone_also_from_the_disc() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    for name in ["dropped", "not_here"] {
        let id = log.create(name, TableKind::Set, CopyMode::Disc);
        log.fill(id, 50);
    }
    log.feed(&store);
    store.checkpoint_now(true).unwrap();
    log.schema(SchemaChange::DropTable(table_name("dropped")));
    log.delete_copy("not_here");
    log.feed(&store);
    assert_eq!(store.view().tables().count(), 0);
    store.close().unwrap();
    drop(store);
    let database = redb::Database::open(dir.path().join("tables.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let names: Vec<_> =
        transaction.list_tables().unwrap().map(|t| redb::TableHandle::name(&t).to_owned()).collect();
    assert_eq!(names, ["meta"]);
}

#[test]
fn a_copy_that_was_deleted_and_set_again_has_to_be_loaded() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Disc);
    log.fill(id, 5);
    log.delete_copy("t");
    log.set_copy("t", CopyMode::Disc);
    log.feed(&store);
    assert!(table(&store, id).is_loading());
}

#[test]
fn a_renamed_node_keeps_the_tables_that_it_holds() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Disc);
    let other = log.create("other", TableKind::Set, CopyMode::Disc);
    log.delete_copy("other");
    log.set_copy("t", CopyMode::Ram);
    log.fill(id, 5);
    log.schema(SchemaChange::RenameNode { from: me(), to: node("you@here") });
    log.feed(&store);
    assert_eq!((table(&store, id).mode(), table(&store, id).len()), (CopyMode::Ram, 5));
    assert!(store.view().table(other).is_none());
}
