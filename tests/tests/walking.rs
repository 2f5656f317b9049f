//! Walking through tables in key order, whatever their kind and wherever their records are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::ops::Bound;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft::admin::AdminClient;
use tabularaft::admin::protocol::{FieldFilter, ReadMode, ScanRequest, TableRef};
use tabularaft::schema::KeyFor;
use tabularaft::{Cursor, ReadError, Record, Table};
use tabularaft_tests::tables::{DiscOnlyWord, DiscWord, RamEvent, RamWord};
use tabularaft_tests::{PATIENCE, TestCluster};

/// A table of words, of any kind.
trait Word: Record<Key = String> + Clone {
    fn of(key: &str) -> Self;
    fn into_key(self) -> String;
}

macro_rules! words {
    ($($word:ident),+) => {$(
        impl Word for $word {
            fn of(key: &str) -> Self {
                $word::new(key, "word")
            }

            fn into_key(self) -> String {
                self.key
            }
        }
    )+};
}

words!(RamWord, DiscWord, DiscOnlyWord);

fn keys<W: Word>(records: impl Iterator<Item = Result<W, ReadError>>) -> Vec<String> {
    records.map(|record| record.unwrap().into_key()).collect()
}

fn key<W: Word>(found: Result<Option<W>, ReadError>) -> Option<String> {
    found.unwrap().map(Word::into_key)
}

/// Keys that a walk has to put in order itself, with gaps between them.
fn some_keys() -> BTreeSet<String> {
    (0..700).map(|number| format!("{}{:04}", ["a", "b", "c"][number % 3], number * 7 % 1000)).collect()
}

async fn filled<W: Word>(cluster: &TestCluster) -> Table<W> {
    cluster.create::<W>().await;
    let words = cluster.handles()[0].table::<W>().unwrap();
    let inserted = some_keys();
    let inserting = inserted.iter().map(|key| {
        let words = words.clone();
        async move { words.insert(&W::of(key)).await.unwrap() }
    });
    futures::future::join_all(inserting).await;
    words
}

async fn a_walk_is_that_of_a_sorted_list<W: Word>(cluster: &TestCluster) {
    let words = filled::<W>(cluster).await;
    let all = some_keys();
    assert_eq!(key(words.first()), all.first().cloned());
    assert_eq!(key(words.last()), all.last().cloned());
    for at in ["", "a", "a0000", "b0007", "b00070", "c0999", "zz"] {
        let (above, below) =
            ((Bound::Excluded(at), Bound::Unbounded), (Bound::Unbounded, Bound::Excluded(at)));
        assert_eq!(key(words.next(at)), all.range::<str, _>(above).next().cloned(), "after {at:?}");
        assert_eq!(key(words.prev(at)), all.range::<str, _>(below).next_back().cloned(), "before {at:?}");
    }
    let within: Vec<String> = all.range("a01".to_owned().."c5".to_owned()).cloned().collect();
    let backwards: Vec<String> = within.iter().rev().cloned().collect();
    assert_eq!(keys(words.range("a01".."c5").unwrap()), within);
    assert_eq!(keys(words.range("a01".."c5").unwrap().rev()), backwards);
    assert_eq!(keys(words.range("a01".."c5").unwrap().reversed()), backwards);
    assert_eq!(keys(words.range("a01".."c5").unwrap().take(3)), within[..3]);
    assert_eq!(keys(words.range("a01".."c5").unwrap().rev().take(300)), backwards[..300]);
    let prefixed: Vec<String> = all.iter().filter(|key| key.starts_with("b0")).cloned().collect();
    assert_eq!(keys(words.prefix("b0").unwrap()), prefixed);
    let mut whole = keys(words.iter().unwrap());
    whole.sort();
    assert_eq!(whole, all.iter().cloned().collect::<Vec<_>>());
    assert_eq!(keys(words.iter().unwrap().rev()).len(), all.len(), "without order, or with");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_is_that_of_a_sorted_list_in_every_kind_of_table() {
    let cluster = TestCluster::start(1).await;
    a_walk_is_that_of_a_sorted_list::<RamWord>(&cluster).await;
    a_walk_is_that_of_a_sorted_list::<DiscWord>(&cluster).await;
    a_walk_is_that_of_a_sorted_list::<DiscOnlyWord>(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_of_a_range_meet_and_nothing_is_given_twice() {
    let cluster = TestCluster::start(1).await;
    let (sets, ordered) = (filled::<RamWord>(&cluster).await, filled::<DiscWord>(&cluster).await);
    let all: Vec<String> = some_keys().into_iter().collect();
    // So many from the front between two from the back.
    for step in [1, 2, 40, 1000] {
        let (mut front, mut back) = (Vec::new(), Vec::new());
        let mut of_set = sets.range::<&str>(.."zz").unwrap();
        let mut of_ordered = ordered.iter().unwrap();
        while let Some(record) = of_ordered.next_back() {
            back.push(record.unwrap().key);
            assert_eq!(of_set.next_back().unwrap().unwrap().key, *back.last().unwrap());
            for record in of_ordered.by_ref().take(step) {
                front.push(record.unwrap().key);
                assert_eq!(of_set.next().unwrap().unwrap().key, *front.last().unwrap());
            }
        }
        assert!(of_set.next().is_none() && of_set.next_back().is_none());
        front.extend(back.into_iter().rev());
        assert_eq!(front, all, "step {step}");
    }
}

async fn pages_of<W: Word>(words: &Table<W>, cursor: &mut Option<Cursor>, pages: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..pages {
        let page = words.page(cursor.as_ref(), 33).unwrap();
        found.extend(page.records.into_iter().map(Word::into_key));
        // A cursor is text on its way to somebody and back.
        *cursor = page.next.map(|next| next.to_string().parse().unwrap());
        if cursor.is_none() {
            break;
        }
    }
    found
}

async fn a_cursor_goes_on_elsewhere<W: Word>(cluster: &mut TestCluster) {
    filled::<W>(cluster).await;
    cluster.wait_equal_copies().await;
    let name = W::table_def().name;
    let mut cursor = None;
    let mut found = pages_of(&cluster[0].node().table::<W>().unwrap(), &mut cursor, 5).await;
    found.extend(pages_of(&cluster[1].node().table::<W>().unwrap(), &mut cursor, 5).await);
    cluster.kill(1).await;
    cluster.restart(1).await;
    cluster[1].node().wait_for_tables(&[name.as_str()], PATIENCE).await.unwrap();
    let words = cluster[1].node().table::<W>().unwrap();
    words.linearize().await.unwrap();
    found.extend(pages_of(&words, &mut cursor, usize::MAX).await);
    assert_eq!(found, some_keys().into_iter().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_at_another_node_and_after_a_restart() {
    let mut cluster = TestCluster::start(3).await;
    a_cursor_goes_on_elsewhere::<RamWord>(&mut cluster).await;
    a_cursor_goes_on_elsewhere::<DiscWord>(&mut cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_can_be_had_backwards_and_of_a_range_while_records_come_and_go() {
    let cluster = TestCluster::start(1).await;
    let words = filled::<DiscWord>(&cluster).await;
    let all: Vec<String> = some_keys().range("a".to_owned().."b".to_owned()).cloned().collect();
    let first = words.range("a".."b").unwrap().reversed().page(10).unwrap();
    let next = first.next.unwrap();
    let (given, last) = (first.records.len(), first.records.last().unwrap().key.clone());
    words.delete(&last).await.unwrap();
    words.insert(&DiscWord::of("a9999")).await.unwrap();
    let second = words.range("a".."b").unwrap().after(&next).unwrap().page(1000).unwrap();
    assert_eq!(given + second.records.len(), all.len(), "what stays is given once");
    assert!(second.next.is_none());
    assert_eq!(second.records.last().unwrap().key, all[0]);
    // A page of bounds that the walk is behind already is empty, one of bounds that it has yet to reach is whole.
    assert!(words.range("b".."c").unwrap().after(&next).unwrap().page(5).unwrap().records.is_empty());
    let ahead = words.range("a0".."a01").unwrap();
    let expected = keys(words.range("a0".."a01").unwrap().rev());
    assert_eq!(keys(ahead.after(&next).unwrap()), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_table_is_refused() {
    let cluster = TestCluster::start(1).await;
    let (disc, ram) = (filled::<DiscWord>(&cluster).await, filled::<RamWord>(&cluster).await);
    let next = disc.page(None, 1).unwrap().next.unwrap();
    assert_eq!(ram.page(Some(&next), 1).unwrap_err(), ReadError::Cursor);
    cluster[0].node().drop_table(disc.name()).await.unwrap();
    cluster.create::<DiscWord>().await;
    assert_eq!(disc.page(Some(&next), 1).unwrap_err(), ReadError::Cursor, "the table was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_a_bag_are_walked_one_by_one() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<RamEvent>().await;
    let events = cluster[0].node().table::<RamEvent>().unwrap();
    for (writer, number) in [("a", 1), ("b", 1), ("b", 2), ("b", 3), ("c", 1)] {
        events.insert(&RamEvent { writer: writer.to_owned(), number }).await.unwrap();
    }
    let named = |event: Option<RamEvent>| event.map(|event| format!("{}{}", event.writer, event.number));
    assert_eq!(named(events.next("a").unwrap()).unwrap(), "b1");
    assert_eq!(named(events.next("b").unwrap()).unwrap(), "c1", "the next key");
    assert_eq!(named(events.prev("c").unwrap()).unwrap(), "b3");
    let page = events.page(None, 3).unwrap();
    assert_eq!(named(page.records.last().cloned()).unwrap(), "b2");
    let rest = events.page(page.next.as_ref(), 3).unwrap();
    assert_eq!(rest.records.len(), 2, "a page may end within a key");
    assert_eq!(events.range("b"..="b").unwrap().count(), 3);
}

/// Keys that end where keys can end.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[record(table = "message", kind = "ordered-set", copy = "ram")]
struct Message {
    #[key]
    room: String,
    #[key]
    number: u64,
}

/// The highest key of all is all ones.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[record(table = "numbered", kind = "ordered-set", copy = "ram")]
struct Numbered {
    #[key]
    number: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_highest_key_there_is_nothing() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<Numbered>().await;
    let numbered = cluster[0].node().table::<Numbered>().unwrap();
    for number in [0, 7, u64::MAX] {
        numbered.insert(&Numbered { number }).await.unwrap();
    }
    assert_eq!(numbered.next(u64::MAX).unwrap(), None);
    assert_eq!(numbered.prev(u64::MAX).unwrap(), Some(Numbered { number: 7 }));
    assert_eq!(numbered.range((Bound::Excluded(u64::MAX), Bound::Unbounded)).unwrap().count(), 0);
    assert_eq!(numbered.range(7..=u64::MAX).unwrap().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_fields_of_a_compound_key_are_a_prefix() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<Message>().await;
    let messages = cluster[0].node().table::<Message>().unwrap();
    for (room, number) in [("hall", 1), ("kitchen", 1), ("kitchen", 2), ("kitchenette", 1)] {
        messages.insert(&Message { room: room.to_owned(), number }).await.unwrap();
    }
    assert_eq!(messages.prefix("kitchen").unwrap().count(), 3);
    assert_eq!(messages.prefix(r#"["kitchen"]"#).unwrap().count(), 2);
    let newest = messages.prefix(r#"["kitchen"]"#).unwrap().next_back().unwrap().unwrap();
    assert_eq!(newest.number, 2);
    assert_eq!(messages.next(("kitchen", 2)).unwrap().unwrap().room, "kitchenette");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_scan_of_a_set_in_memory_is_in_key_order_over_all_pages() {
    let cluster = TestCluster::start(1).await;
    let words = filled::<RamWord>(&cluster).await;
    words.insert(&RamWord::new("b5000", "other")).await.unwrap();
    let client = AdminClient::connect(&cluster[0].address(), None, PATIENCE).await.unwrap();
    let id = client.table(words.name()).await.unwrap().id;
    let scan = ScanRequest {
        table: TableRef { name: words.name().clone(), id },
        from: Some(key_bytes("a05")),
        to: Some(key_bytes("c05")),
        prefix: None,
        filters: Vec::new(),
        reverse: false,
        limit: 100,
        after: None,
        read: ReadMode::Local,
    };
    let expected = keys(words.range("a05".."c05").unwrap());
    assert_eq!(scanned(&client, &scan).await, expected);
    let backwards: Vec<String> = expected.iter().rev().cloned().collect();
    assert_eq!(scanned(&client, &ScanRequest { reverse: true, ..scan.clone() }).await, backwards);
    let filters = vec![FieldFilter { field: "word".to_owned(), equals: "\"other\"".to_owned() }];
    assert_eq!(scanned(&client, &ScanRequest { filters, ..scan.clone() }).await, ["b5000"]);
    let few = client.scan(&ScanRequest { limit: 2, ..scan }, None).await.unwrap();
    assert_eq!(few.records.len(), 2);
}

fn key_bytes(key: &str) -> Bytes {
    KeyFor::<String>::to_key(key).into_bytes().into()
}

async fn scanned(client: &AdminClient, scan: &ScanRequest) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = client.scan(scan, after).await.unwrap();
        found.extend(page.records.iter().map(|record| RamWord::decode(record).unwrap().key));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}
