use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use tabularaft_schema::{CopyMode, TableId, TableKind};
use tabularaft_store::View;

use crate::harness::*;

fn number(view: &View, table: TableId) -> u64 {
    value_in(view.table(table).unwrap(), "n").unwrap().parse().unwrap()
}

#[test]
fn a_view_shows_all_tables_at_one_index_while_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let ram = log.create("ram", TableKind::Set, CopyMode::Ram);
    let disc = log.create("disc", TableKind::OrderedSet, CopyMode::Disc);
    let disc_only = log.create("disc_only", TableKind::Set, CopyMode::DiscOnly);
    for number in 0..1500 {
        let text = number.to_string();
        let effects = [ram, disc, disc_only].map(|table| log.put_effect(table, "n", &text));
        log.append(effects.to_vec());
    }
    log.feed_up_to(&store, 4);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut views = 0;
            while !done.load(Ordering::Acquire) {
                let view = store.view();
                let expected = view.applied_index().0 - 3;
                assert_eq!([ram, disc, disc_only].map(|table| number(&view, table)), [expected; 3]);
                views += 1;
            }
            views
        });
        for end in (4..=log.entries.len()).step_by(7) {
            log.feed_up_to(&store, end);
            if end % 3 == 0 {
                store.checkpoint_now(false).unwrap();
            }
        }
        log.feed(&store);
        done.store(true, Ordering::Release);
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!(number(&store.view(), disc_only), 1499);
}

#[test]
fn ordered_tables_give_ranges_in_order_in_reverse_and_limited() {
    for mode in [CopyMode::Ram, CopyMode::DiscOnly] {
        let dir = tempfile::tempdir().unwrap();
        let store = on_disc(dir.path());
        let mut log = Log::new();
        let id = log.create("t", TableKind::OrderedSet, mode);
        log.fill(id, 50);
        log.feed(&store);
        store.checkpoint_now(true).unwrap();
        log.put(id, "k00010x", "between");
        log.delete(id, "k00012");
        log.feed(&store);

        let table = table(&store, id);
        let range = |low: Bound<&str>, high: Bound<&str>, reverse, limit| -> Vec<String> {
            let bounds = (low.map(str::as_bytes), high.map(str::as_bytes));
            let records = table.range(bounds, reverse, limit);
            records.map(|record| String::from_utf8(record.unwrap().key().to_vec()).unwrap()).collect()
        };
        let (low, high) = (Bound::Included("k00010"), Bound::Excluded("k00014"));
        assert_eq!(range(low, high, false, None), ["k00010", "k00010x", "k00011", "k00013"], "{mode}");
        assert_eq!(range(low, high, true, Some(2)), ["k00013", "k00011"], "{mode}");
        assert_eq!(range(Bound::Excluded("k00048"), Bound::Unbounded, false, None), ["k00049"], "{mode}");
        assert_eq!(range(high, low, false, None), [""; 0], "bounds that exclude each other, {mode}");
        assert_eq!(range(Bound::Excluded("a"), Bound::Excluded("a"), true, None), [""; 0], "{mode}");
        let prefix: Vec<_> = table.prefix(b"k00010").map(|record| record.unwrap().key().to_vec()).collect();
        assert_eq!(prefix, [&b"k00010"[..], b"k00010x"], "{mode}");
    }
}

#[test]
fn a_set_in_memory_takes_bounds_as_a_filter() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.fill(id, 50);
    log.feed(&store);
    let mut found: Vec<_> =
        table(&store, id).prefix(b"k0001").map(|record| record.unwrap().key().to_vec()).collect();
    found.sort();
    assert_eq!(found.len(), 10);
    assert_eq!(found[3], b"k00013");
}
