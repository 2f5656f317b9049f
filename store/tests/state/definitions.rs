//! What a change of a table's definition means for a node that holds the table.

use tabularaft_schema::{CopyMode, SchemaChange, TableKind, TableOption};
use tabularaft_store::TableView;

use crate::harness::*;

fn set(table: &str, option: TableOption) -> SchemaChange {
    SchemaChange::SetOption { table: table_name(table), option }
}

fn payload(copy: &TableView) -> u64 {
    let bytes =
        copy.rows().map(|record| record.unwrap()).map(|record| record.key().len() + record.value().len());
    bytes.sum::<usize>() as u64
}

#[test]
fn a_table_keeps_its_records_under_another_name_and_with_other_options_also_after_a_restart() {
    for mode in CopyMode::ALL {
        let dir = tempfile::tempdir().unwrap();
        let store = on_disc(dir.path());
        let mut log = Log::new();
        let id = log.create("t", TableKind::OrderedSet, mode);
        log.fill(id, 20);
        log.feed(&store);
        let before = table(&store, id).digest().unwrap();
        log.schema(SchemaChange::RenameTable { from: table_name("t"), to: table_name("u") });
        log.schema(set("u", TableOption::RecordsMax(Some(30))));
        log.feed(&store);
        let renamed = table(&store, id);
        assert_eq!(renamed.def().name.as_str(), "u", "{mode}");
        assert_eq!(renamed.def().options.records_max, Some(30), "{mode}");
        assert_eq!(renamed.digest().unwrap(), before, "{mode}");
        assert!(store.view().table_named(&table_name("t")).is_none());
        store.close().unwrap();
        drop((renamed, store));
        let store = on_disc(dir.path());
        let again = table(&store, id);
        assert_eq!(again.def().name.as_str(), "u", "{mode}");
        assert!(mode == CopyMode::Ram || again.digest().unwrap() == before, "{mode}");
    }
}

#[test]
fn a_table_that_replaces_another_leaves_nothing_of_it() {
    let store = diskless();
    let mut log = Log::new();
    let old = log.create("t", TableKind::Set, CopyMode::Ram);
    let new = log.create("restored", TableKind::Set, CopyMode::Ram);
    log.put(old, "k", "old");
    log.put(new, "k", "new");
    log.schema(SchemaChange::ReplaceTable { table: table_name("restored"), replaces: table_name("t") });
    log.feed(&store);
    let view = store.view();
    assert!(view.table(old).is_none());
    assert_eq!(value_in(view.table_named(&table_name("t")).unwrap(), "k").unwrap(), "new");
    assert_eq!(view.tables().count(), 1);
}

#[test]
fn a_new_default_mode_moves_the_records_of_a_node_without_a_mode_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", TableKind::OrderedSet, CopyMode::Ram);
    log.fill(id, 50);
    log.feed(&store);
    let before = table(&store, id).digest().unwrap();
    log.schema(SchemaChange::SetDefaultCopy { table: table_name("t"), mode: CopyMode::DiscOnly });
    log.feed(&store);
    assert_eq!(table(&store, id).mode(), CopyMode::DiscOnly);
    store.close().unwrap();
    drop(store);
    assert_eq!(table(&on_disc(dir.path()), id).digest().unwrap(), before);
}

#[test]
fn keys_and_records_are_counted_exactly_in_every_mode_and_after_every_change_of_mode() {
    for mode in CopyMode::ALL {
        let dir = tempfile::tempdir().unwrap();
        let store = on_disc(dir.path());
        let mut log = Log::new();
        let id = log.create("t", TableKind::OrderedSet, mode);
        log.fill(id, 40);
        log.put(id, "k00003", "something longer than before");
        log.delete(id, "k00004");
        log.feed(&store);
        assert_eq!(table(&store, id).payload_bytes(), payload(&table(&store, id)), "{mode}");
        log.set_copy("t", CopyMode::DiscOnly);
        log.feed(&store);
        store.checkpoint_now(true).unwrap();
        log.put(id, "k00005", "x");
        log.feed(&store);
        assert_eq!(table(&store, id).payload_bytes(), payload(&table(&store, id)), "{mode} to disc-only");
        store.close().unwrap();
        drop(store);
        let store = on_disc(dir.path());
        assert_eq!(table(&store, id).payload_bytes(), payload(&table(&store, id)), "{mode}, after a restart");
    }
}
