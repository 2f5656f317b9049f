//! Records with a time to live.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tabularaft::schema::TableOption;
use tabularaft::{Node, Record, Table, TableName};
use tabularaft_tests::tables::DiscWord;
use tabularaft_tests::{PATIENCE, TestCluster, eventually};

const TTL: Duration = Duration::from_millis(1_500);

/// Something that is forgotten.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "presence", kind = "set", copy = "ram", ttl = "1500ms")]
struct Presence {
    #[key]
    client: String,
    beats: u64,
}

/// The same in a bag.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "sighting", kind = "bag", copy = "disc-only", ttl_ms = 1500)]
struct Sighting {
    #[key]
    client: String,
    number: u64,
}

fn table<R: Record>(node: &Node) -> Table<R> {
    node.table::<R>().unwrap()
}

fn presence(client: &str, beats: u64) -> Presence {
    Presence { client: client.to_owned(), beats }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_from_all_copies_when_their_time_has_passed_unless_they_are_written_again() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<Presence>().await;
    cluster.create::<Sighting>().await;
    let nodes = cluster.handles();
    let (seen, sightings) = (table::<Presence>(&nodes[1]), table::<Sighting>(&nodes[2]));
    let written = Instant::now();
    for number in 0..20 {
        seen.insert(&presence(&format!("silent {number}"), 0)).await.unwrap();
        sightings.insert(&Sighting { client: "a".to_owned(), number }).await.unwrap();
    }
    let last = Instant::now();
    let mut beats = 0;
    let silent_are_gone = |node: &Node| {
        let (seen, sightings) = (table::<Presence>(node), table::<Sighting>(node));
        seen.count().unwrap() == 1 && sightings.count().unwrap() == 0
    };
    while !nodes.iter().all(silent_are_gone) {
        beats += 1;
        seen.insert(&presence("alive", beats)).await.unwrap();
        let silent = table::<Presence>(&nodes[0]).count().unwrap();
        assert!(silent > 19 || written.elapsed() >= TTL, "no record goes before its time");
        assert!(last.elapsed() < PATIENCE, "the records go");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(seen.get("alive").unwrap().unwrap().beats, beats);
    eventually("what is no longer written goes, too", PATIENCE, || seen.count() == Ok(0)).await;
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_leader_deletes_what_was_written_under_an_earlier_one_and_not_before_its_time() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<Presence>().await;
    let leader = cluster.wait_leader().await;
    let survivor = (leader + 1) % 3;
    let node = cluster[survivor].node().clone();
    let seen = table::<Presence>(&node);
    let written = Instant::now();
    for number in 0..20 {
        seen.insert(&presence(&number.to_string(), 0)).await.unwrap();
    }
    cluster.kill(leader).await;
    eventually("the records go", PATIENCE, || {
        let left = seen.count().unwrap();
        assert!(left == 20 || written.elapsed() >= TTL, "no record goes before its time");
        left == 0
    })
    .await;
    cluster.restart(leader).await;
    cluster.wait_ready().await;
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_to_live_that_is_set_later_counts_from_then_and_holds_for_read_only_tables_and_after_a_restart()
 {
    let mut cluster = TestCluster::start(1).await;
    cluster.create::<DiscWord>().await;
    let node = cluster[0].node();
    let name = TableName::new("disc_word").unwrap();
    table::<DiscWord>(node).insert(&DiscWord::new("k", "w")).await.unwrap();
    node.set_table_option(&name, TableOption::ReadOnly(true)).await.unwrap();
    let set = Instant::now();
    node.set_table_option(&name, TableOption::TtlMs(Some(TTL.as_millis() as u64))).await.unwrap();
    assert_eq!(table::<DiscWord>(node).count().unwrap(), 1);
    let marked = || node.store_view().unwrap().last_clock_mark().is_some();
    eventually("the time is in the log", PATIENCE, marked).await;
    cluster.stop(0).await;
    cluster.restart(0).await;
    cluster.wait_ready().await;
    let words = table::<DiscWord>(cluster[0].node());
    eventually("the record goes", PATIENCE, || {
        let left = words.count().unwrap();
        assert!(left == 1 || set.elapsed() >= TTL, "not before its time");
        left == 0
    })
    .await;
}
