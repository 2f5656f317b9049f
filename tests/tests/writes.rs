//! What writes and reads do, from every node.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use tabularaft::{Node, ReadError, Record, Rejection, Sum, Table, WriteError};
use tabularaft_tests::tables::{DiscCount, DiscWord, RamCount, RamEvent, RamWord};
use tabularaft_tests::workload::{Writers, check_all};
use tabularaft_tests::{PATIENCE, TestCluster, eventually};

fn word(key: &str, word: &str) -> DiscWord {
    DiscWord { key: key.to_owned(), word: word.to_owned() }
}

fn table<R: Record>(node: &Node) -> Table<R> {
    node.table::<R>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_reads_its_own_writes_at_once_and_those_of_others_after_linearizing() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscWord>().await;
    let nodes = cluster.handles();
    for (i, node) in nodes.iter().enumerate() {
        let words = table::<DiscWord>(node);
        words.insert(&word(&format!("key {i}"), "first")).await.unwrap();
        assert_eq!(words.get(format!("key {i}")).unwrap().unwrap().word, "first");
    }
    for node in &nodes {
        let words = table::<DiscWord>(node);
        words.linearize().await.unwrap();
        assert_eq!(words.count().unwrap(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_set_is_read_in_key_order_by_range_and_by_prefix() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<DiscWord>().await;
    let words = table::<DiscWord>(&cluster.handles()[0]);
    for key in ["b2", "a", "b1", "c", "b"] {
        words.insert(&word(key, "w")).await.unwrap();
    }
    let keys = |found: tabularaft::Records<DiscWord>| found.map(|w| w.unwrap().key).collect::<Vec<_>>();
    assert_eq!(keys(words.iter().unwrap()), ["a", "b", "b1", "b2", "c"]);
    assert_eq!(keys(words.prefix("b").unwrap()), ["b", "b1", "b2"]);
    assert_eq!(keys(words.range("b".."b2").unwrap()), ["b", "b1"]);
    assert_eq!(keys(words.range("b1"..="c").unwrap()), ["b1", "b2", "c"]);
    assert_eq!(keys(words.range::<&str>(..).unwrap()).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_refused_when_its_condition_does_not_hold_and_says_what_was_found() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscWord>().await;
    let words = table::<DiscWord>(&cluster.handles()[1]);
    let version = words.insert_new(&word("k", "one")).await.unwrap();
    let taken = words.insert_new(&word("k", "two")).await.unwrap_err();
    assert_eq!(taken, WriteError::Rejected(Rejection::KeyExists { table: "disc_word".to_owned(), version }));
    let next = words.compare_and_swap(version, &word("k", "three")).await.unwrap();
    assert!(next > version);
    let differs = words.compare_and_swap(version, &word("k", "four")).await.unwrap_err();
    let expected =
        Rejection::VersionDiffers { table: "disc_word".to_owned(), expected: version, found: next };
    assert_eq!(differs, WriteError::Rejected(expected));
    assert_eq!(words.get("k").unwrap().unwrap().word, "three");
    assert_eq!(words.get_versioned("k").unwrap().unwrap().version, next);
    assert_eq!(words.delete("k").await.unwrap(), 1);
    assert_eq!(words.delete("k").await.unwrap(), 0);
    assert!(!words.contains("k").unwrap());
    let again = words.compare_and_swap(0, &word("k", "five")).await.unwrap();
    assert!(again > next, "a version is never used twice, whatever was deleted between");
    assert!(words.compare_and_delete(next, "k").await.is_err());
    assert_eq!(words.compare_and_delete(again, "k").await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bag_keeps_each_distinct_record_of_a_key_once() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<RamEvent>().await;
    let nodes = cluster.handles();
    let event = |number| RamEvent { writer: "w".to_owned(), number };
    for node in &nodes {
        let events = table::<RamEvent>(node);
        events.insert(&event(1)).await.unwrap();
        events.insert(&event(2)).await.unwrap();
    }
    table::<RamEvent>(&nodes[0]).insert(&RamEvent { writer: "other".to_owned(), number: 1 }).await.unwrap();
    let events = table::<RamEvent>(&nodes[1]);
    events.linearize().await.unwrap();
    assert_eq!(events.get_all("w").unwrap(), [event(1), event(2)]);
    assert_eq!(events.count().unwrap(), 3);
    assert!(events.delete_object(&event(1)).await.unwrap());
    assert!(!events.delete_object(&event(1)).await.unwrap());
    assert_eq!(events.get_all("w").unwrap(), [event(2)]);
    assert_eq!(events.delete("w").await.unwrap(), 1);
    assert_eq!(events.get_all("other").unwrap().len(), 1);
    assert_eq!(events.clear().await.unwrap(), 1);
    assert_eq!(events.count().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn additions_from_all_nodes_at_once_sum_up() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscCount>().await;
    let count = DiscCount { writer: "all".to_owned(), value: 100 };
    let adding =
        cluster.handles().into_iter().flat_map(|node| (0..4).map(move |_| node.clone())).map(|node| {
            let count = count.clone();
            tokio::spawn(async move {
                let counts = table::<DiscCount>(&node);
                for _ in 0..25 {
                    counts.add("all", "value", 1, Some(&count)).await.unwrap();
                }
            })
        });
    for added in adding.collect::<Vec<_>>() {
        added.await.unwrap();
    }
    let counts = table::<DiscCount>(&cluster.handles()[0]);
    assert_eq!(counts.add("all", "value", 0, None).await.unwrap(), Sum::Unsigned(400));
    let below_zero = counts.add("all", "value", -401, None).await.unwrap_err();
    assert!(below_zero.to_string().contains("overflow"), "{below_zero}");
    let absent = counts.add("nobody", "value", 1, None).await.unwrap_err();
    assert_eq!(absent, WriteError::Rejected(Rejection::NoSuchRecord { table: "disc_count".to_owned() }));
    assert!(counts.add("all", "writer", 1, None).await.is_err(), "a key field is no counter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_over_the_limit_is_refused_with_both_sizes_and_the_node_goes_on() {
    let cluster = TestCluster::builder(3).config(|config| config.record_bytes_max = 1_000).start().await;
    cluster.create::<RamWord>().await;
    let words = table::<RamWord>(&cluster.handles()[2]);
    let large = RamWord { key: "k".to_owned(), word: "x".repeat(1_001) };
    match words.insert(&large).await.unwrap_err() {
        WriteError::Rejected(Rejection::RecordTooLarge { limit: 1_000, bytes, .. }) => assert!(bytes > 1_000),
        other => panic!("{other}"),
    }
    words.insert(&RamWord { key: "k".to_owned(), word: "small".to_owned() }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_does_not_exist_or_differs_is_named() {
    let cluster = TestCluster::start(1).await;
    let node = &cluster.handles()[0];
    assert!(
        matches!(node.table::<RamWord>(), Err(ReadError::NoSuchTable(name)) if name.as_str() == "ram_word")
    );
    cluster.create::<RamWord>().await;
    let words = table::<RamWord>(node);
    node.drop_table(words.name()).await.unwrap();
    let record = RamWord { key: "k".to_owned(), word: "w".to_owned() };
    assert!(matches!(words.insert(&record).await, Err(WriteError::NoSuchTable(_))));
    assert!(matches!(words.get("k"), Err(ReadError::NoSuchTable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_break_while_others_write_make_no_write_happen_twice() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<RamEvent>().await;
    cluster.create::<RamCount>().await;
    let leader = cluster.wait_leader().await;
    let follower = (leader + 1) % 3;
    let writers = Writers::start::<RamEvent, RamCount>(&cluster, &[follower, follower]);
    writers.wait_for_more(50).await;
    for _ in 0..3 {
        // Replies are lost, requests arrive: the proposer sends again what has been decided already.
        let (from, to) = (cluster[leader].name().clone(), cluster[follower].name().clone());
        cluster.links().block(&from, &to);
        let heard = cluster[leader].node().applied();
        eventually("the leader goes on without the follower hearing of it", PATIENCE, || {
            cluster[leader].node().applied() > heard || !cluster[leader].node().is_leader()
        })
        .await;
        cluster.heal();
        writers.wait_for_more(20).await;
    }
    check_all::<RamEvent, RamCount>(&cluster, &writers.stop().await).await;
}
