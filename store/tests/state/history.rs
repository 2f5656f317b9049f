use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tabularaft_schema::{CopyMode, TableId, TableKind};
use tabularaft_store::{
    Change, Effect, HistoryEntry, HistoryError, LogIndex, MemberChange, Store, StoreOptions, TableEvent, View,
};

use crate::harness::*;

/// All records of all tables, with their versions.
type Content = BTreeMap<(TableId, Vec<u8>), (u64, Vec<u8>)>;

fn content(view: &View) -> Content {
    let tables = view.tables().flat_map(|table| table.rows().map(|record| (table.id(), record.unwrap())));
    tables
        .map(|(id, record)| ((id, record.key().to_vec()), (record.version(), record.value().to_vec())))
        .collect()
}

fn after(view: &View) -> Option<LogIndex> {
    view.applied().map(|applied| applied.log_index())
}

/// Everything after `from` that is published now.
fn read(store: &Store, from: Option<LogIndex>) -> Vec<Arc<HistoryEntry>> {
    store.history().read(from, None, usize::MAX).unwrap().entries
}

/// Brings a content forward, and checks that each change says truly what was there before.
fn replay(content: &mut Content, entries: &[Arc<HistoryEntry>]) {
    for change in entries.iter().flat_map(|entry| &entry.changes) {
        let row = |row: &tabularaft_store::Row| (row.version(), row.value().to_vec());
        match change {
            Change::Put { table, key, old, new, .. } => {
                let before = content.insert((*table, key.to_vec()), (new.version, new.value.to_vec()));
                assert_eq!(before, old.as_ref().map(row));
            }
            Change::Delete { table, key, old, .. } => {
                assert_eq!(content.remove(&(*table, key.to_vec())), Some(row(old)));
            }
            Change::Clear { table, .. } => content.retain(|(of, _), _| of != table),
            Change::Table { table, event: TableEvent::Dropped, .. } => {
                content.retain(|(of, _), _| of != table)
            }
            Change::Table { .. } | Change::Member { .. } => {}
        }
    }
}

fn indexes(entries: &[Arc<HistoryEntry>]) -> Vec<u64> {
    entries.iter().map(|entry| entry.index.0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_history_after_a_view_turns_it_into_every_later_one(
        steps in proptest::collection::vec((0usize..3, 0u8..12, 0u8..20, 1usize..4), 1..80),
        runs in proptest::collection::vec(1usize..7, 1..20),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = on_disc(dir.path());
        let mut log = Log::new();
        let tables = [
            log.create("ram", TableKind::Set, CopyMode::Ram),
            log.create("disc", TableKind::OrderedSet, CopyMode::Disc),
            log.create("disc_only", TableKind::OrderedSet, CopyMode::DiscOnly),
        ];
        for (table, key, action, changes) in steps {
            let effects = (0..changes).map(|number| {
                let (table, key) = (tables[(table + number) % 3], format!("k{key}"));
                match action {
                    0 => log.clear_effect(table),
                    1..8 => log.delete_effect(table, &key),
                    _ => log.put_effect(table, &key, &format!("{action} {number}")),
                }
            });
            let effects = effects.collect();
            log.append(effects);
        }
        let mut views = vec![store.view()];
        let mut runs = runs.into_iter().cycle();
        let mut end = 0;
        while end < log.entries.len() {
            end = (end + runs.next().unwrap()).min(log.entries.len());
            log.feed_up_to(&store, end);
            store.checkpoint_now(end % 2 == 0).unwrap();
            views.push(store.view());
        }
        for pair in 0..views.len() - 1 {
            let mut replayed = content(&views[pair]);
            let mut from = after(&views[pair]);
            for view in &views[pair + 1..] {
                let entries: Vec<_> =
                    read(&store, from).into_iter().filter(|entry| entry.index <= view.applied_index()).collect();
                replay(&mut replayed, &entries);
                from = after(view);
                prop_assert_eq!(&replayed, &content(view));
            }
        }
    }
}

#[test]
fn a_reader_beside_the_writer_misses_nothing_and_sees_nothing_twice() {
    let store = diskless();
    let mut log = Log::new();
    let table = log.create("t", TableKind::Set, CopyMode::Ram);
    for number in 0..3000 {
        log.put(table, &format!("k{}", number % 50), &number.to_string());
    }
    log.feed_up_to(&store, 100);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let view = store.view();
            let (mut replayed, mut place) = (content(&view), after(&view));
            let mut seen = Vec::new();
            while place.unwrap() < log.last() {
                let page = store.history().read(place, Some(table), 16).unwrap();
                assert!(page.upto >= place);
                assert!(
                    page.upto.unwrap() <= store.view().applied_index(),
                    "a change shows in the view first"
                );
                replay(&mut replayed, &page.entries);
                seen.extend(indexes(&page.entries));
                place = page.upto;
            }
            let first = after(&view).unwrap().0 + 1;
            assert_eq!(seen, (first..=log.last().0).collect::<Vec<_>>());
            done.store(true, Ordering::Release);
            replayed
        });
        for end in (100..log.entries.len()).step_by(13) {
            log.feed_up_to(&store, end);
        }
        log.feed(&store);
        assert_eq!(reader.join().unwrap(), content(&store.view()));
    });
    assert!(done.into_inner());
}

#[test]
fn the_history_is_bounded_and_says_how_far_it_reaches_back() {
    let store = Store::open(StoreOptions { history_bytes: 20_000, ..options() }).unwrap();
    let mut log = Log::new();
    let table = log.create("t", TableKind::OrderedSet, CopyMode::Ram);
    log.feed(&store);
    let view = store.view();
    for round in 0..200 {
        log.put(table, &format!("k{round}"), &"x".repeat(300));
        log.feed(&store);
        assert!(store.history().bytes() <= 20_000);
    }
    let refused = store.history().read(after(&view), None, 10).unwrap_err();
    let oldest = store.history().oldest(None).unwrap();
    assert_eq!(refused, HistoryError::Compacted { oldest });
    assert!(oldest > view.applied_index() && oldest < log.last());
    let entries = read(&store, Some(oldest));
    assert_eq!(indexes(&entries), (oldest.0 + 1..=log.last().0).collect::<Vec<_>>());
    assert!(store.history().read(Some(LogIndex(oldest.0 - 1)), None, 10).is_err());
    // Nothing is kept for a single entry that is over the limit.
    log.put(table, "big", &"x".repeat(30_000));
    log.feed(&store);
    assert_eq!(store.history().oldest(None), Some(log.last()));
    assert_eq!(read(&store, Some(log.last())).len(), 0);
}

#[test]
fn a_page_ends_where_it_is_full_and_the_next_one_begins_there() {
    let store = diskless();
    let mut log = Log::new();
    let table = log.create("t", TableKind::OrderedSet, CopyMode::Ram);
    log.fill(table, 3);
    log.append(Vec::new());
    log.fill(table, 2);
    log.feed(&store);
    let page = store.history().read(Some(LogIndex(0)), None, 1).unwrap();
    assert_eq!((indexes(&page.entries), page.upto), (vec![1], Some(LogIndex(1))));
    assert_eq!(page.entries[0].changes.len(), 3, "what was decided together stays together");
    let page = store.history().read(page.upto, None, 5).unwrap();
    assert_eq!((indexes(&page.entries), page.upto), (vec![3], Some(LogIndex(3))));
    let ahead = store.history().read(Some(LogIndex(9)), None, 5).unwrap();
    assert_eq!((ahead.entries.len(), ahead.upto), (0, Some(LogIndex(9))), "it waits for what is to come");
}

#[test]
fn a_restart_begins_the_history_at_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    let disc = log.create("disc", TableKind::OrderedSet, CopyMode::Disc);
    log.put(disc, "a", "1");
    let checkpoint = log.put(disc, "a", "2");
    let store = on_disc(dir.path());
    log.feed(&store);
    store.checkpoint_now(true).unwrap();
    log.put(disc, "a", "3");
    log.feed(&store);
    drop(store);
    let store = on_disc(dir.path());
    let view = store.view();
    assert_eq!(store.history().oldest(None), Some(checkpoint.log_index()));
    log.feed(&store);
    let mut replayed = content(&view);
    replay(&mut replayed, &read(&store, after(&view)));
    assert_eq!(replayed, content(&store.view()));
    let earlier = Some(LogIndex(checkpoint.index - 1));
    assert!(matches!(store.history().read(earlier, None, 9), Err(HistoryError::Compacted { .. })));
}

/// A table that is copied to a store while it is written to.
#[test]
fn the_history_of_a_copied_table_begins_when_the_copy_is_complete() {
    let (store, peer) = (diskless(), Store::open(StoreOptions::new(node("peer@there"))).unwrap());
    let mut log = Log::new();
    let (copied, other) =
        (log.create("t", TableKind::Set, CopyMode::Ram), log.create("u", TableKind::Set, CopyMode::Ram));
    log.delete_copy("t");
    log.fill(copied, 10);
    log.set_copy("t", CopyMode::Ram);
    log.feed(&store);
    log.feed(&peer);
    let began = after(&store.view());
    let (source, at) = (table(&peer, copied), peer.view().applied_index());
    let mut builder = store.table_builder(copied).unwrap();
    copy_into(&mut builder, &source, 500);
    log.put(copied, "k00001", "while it is copied");
    log.put(other, "k", "v");
    log.feed(&store);
    let mut writer = store.writer();
    writer.install_table(builder.finish(source.digest().unwrap()).unwrap(), at).unwrap();
    writer.publish();
    drop(writer);
    let complete = after(&store.view());
    log.put(copied, "k00001", "after it was copied");
    log.feed(&store);

    let refused = store.history().read(began, Some(copied), 9).unwrap_err();
    assert_eq!(refused, HistoryError::Compacted { oldest: complete.unwrap() });
    assert!(store.history().read(began, Some(other), 9).is_ok(), "another table has no hole");
    let page = store.history().read(complete, Some(copied), 9).unwrap();
    let changes = &page.entries[0].changes;
    assert!(
        matches!(changes[0], Change::Table { table, event: TableEvent::CopyLoaded, .. } if table == copied)
    );
    assert_eq!(changes[1].old_record().unwrap().0, b"while it is copied");
    assert_eq!(changes[1].new_record().unwrap().0, b"after it was copied");
    let whole = read(&store, began);
    assert_eq!(whole.len(), 2, "the whole store's followers are told where the copy appeared");
}

#[test]
fn an_install_leaves_no_history_that_seems_to_reach_back_over_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut own = Log::new();
    let id = own.create("t", TableKind::Set, CopyMode::Ram);
    own.fill(id, 3);
    own.feed(&store);
    let before = after(&store.view());
    let peer = Store::open(StoreOptions::new(node("peer@there"))).unwrap();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    for _ in 0..9 {
        log.fill(id, 3);
    }
    log.feed(&peer);
    let source = peer.view();
    let mut staging = store.begin_install(&source.image()).unwrap();
    let mut builder = staging.builder(id).unwrap();
    copy_into(&mut builder, source.table(id).unwrap(), 700);
    staging.add(builder.finish(source.table(id).unwrap().digest().unwrap()).unwrap()).unwrap();
    store.install(staging).unwrap();
    let oldest = source.applied_index();
    assert_eq!(store.history().read(before, None, 9).unwrap_err(), HistoryError::Compacted { oldest });
    log.put(id, "k00001", "next");
    log.feed(&store);
    let entries = read(&store, Some(oldest));
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].changes[0].old_record().unwrap().0, b"value 1");
}

#[test]
fn tables_and_members_that_come_change_and_go_are_in_the_history() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.delete_copy("t");
    let dropped = log.create("u", TableKind::Set, CopyMode::Ram);
    log.schema(tabularaft_schema::SchemaChange::DropTable(table_name("u")));
    log.schema(tabularaft_schema::SchemaChange::RenameTable { from: table_name("t"), to: table_name("v") });
    let admit = MemberChange::Admit { node: 1, name: node("n@h"), address: "h:1".into() };
    log.append(vec![Effect::Member(admit.clone())]);
    log.append(vec![Effect::Member(MemberChange::Remove { node: 9 })]);
    log.feed(&store);
    let entries = read(&store, None);
    let told = entries.iter().flat_map(|entry| &entry.changes).map(|change| match change {
        Change::Table { table, event, def } => (*table, Some(*event), def.name.to_string()),
        other => (TableId(0), None, format!("{other:?}")),
    });
    let told: Vec<_> = told.collect();
    let expected = [
        (id, Some(TableEvent::Created), "t".to_owned()),
        (id, Some(TableEvent::CopyGivenUp), "t".to_owned()),
        (dropped, Some(TableEvent::Created), "u".to_owned()),
        (dropped, Some(TableEvent::Dropped), "u".to_owned()),
        (id, Some(TableEvent::Altered), "v".to_owned()),
        (TableId(0), None, format!("{:?}", Change::Member { change: admit, name: Some(node("n@h")) })),
    ];
    assert_eq!(told, expected, "what did not apply is no change");
}

#[test]
fn without_room_for_it_nothing_is_recorded() {
    let store = Store::open(StoreOptions { history_bytes: 0, ..options() }).unwrap();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.fill(id, 10);
    log.feed(&store);
    assert_eq!(store.history().bytes(), 0);
    assert_eq!(store.history().read(None, None, 9).unwrap_err(), HistoryError::Off);
}
