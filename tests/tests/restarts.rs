//! Nodes that stop and start again, one or all of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::{Duration, Instant};

use tabularaft_tests::tables::{DiscCount, DiscEvent, DiscOnlyWord, DiscWord, RamCount, RamEvent, RamWord};
use tabularaft_tests::workload::{Writers, check_all};
use tabularaft_tests::{PATIENCE, TestCluster, eventually};

const RECORDS: u64 = 200;

/// Three nodes with a table of each copy mode.
async fn filled() -> TestCluster {
    let cluster = TestCluster::start(3).await;
    cluster.create::<RamWord>().await;
    cluster.create::<DiscWord>().await;
    cluster.create::<DiscOnlyWord>().await;
    let node = cluster[1].node();
    let (ram, disc, only) = (
        node.table::<RamWord>().unwrap(),
        node.table::<DiscWord>().unwrap(),
        node.table::<DiscOnlyWord>().unwrap(),
    );
    for n in 0..RECORDS {
        let (ram_word, disc_word, only_word) =
            (RamWord::new(n, "before"), DiscWord::new(n, "before"), DiscOnlyWord::new(n, "before"));
        let writes = (ram.insert(&ram_word), disc.insert(&disc_word), only.insert(&only_word));
        let (a, b, c) = tokio::join!(writes.0, writes.1, writes.2);
        a.and(b).and(c).unwrap();
    }
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn after_all_nodes_were_killed_disc_tables_are_whole_and_ram_tables_writable_in_whatever_order_they_start()
 {
    let mut cluster = filled().await;
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for at in 0..3 {
            cluster.kill(at).await;
        }
        let began = Instant::now();
        for at in order {
            cluster.restart(at).await;
        }
        cluster.wait_ready().await;
        println!("all_restarted {order:?} {} ms", began.elapsed().as_millis());
        assert!(began.elapsed() < Duration::from_secs(10), "{order:?} took {:?}", began.elapsed());
        let copies = cluster.wait_equal_copies().await;
        assert_eq!(copies.records("disc_word"), RECORDS, "{order:?}");
        assert_eq!(copies.records("disc_only_word"), RECORDS, "{order:?}");
        assert_eq!(copies.records("ram_word"), 0, "{order:?}");
        let words = cluster[order[2]].node().table::<RamWord>().unwrap();
        words.insert(&RamWord::new("new", format!("{order:?}"))).await.unwrap();
        assert_eq!(words.get("new").unwrap().unwrap().word, format!("{order:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_writers_put_on_disc_survives_the_death_of_all_nodes() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    let mut tallies = Vec::new();
    for round in 0..3 {
        let writers = Writers::start::<DiscEvent, DiscCount>(&cluster, &[0, 1, 2]);
        writers.wait_for_more(100).await;
        for at in 0..3 {
            cluster.kill((at + round) % 3).await;
        }
        let told = writers.stop().await;
        for at in 0..3 {
            cluster.restart(at).await;
        }
        cluster.wait_ready().await;
        check_all::<DiscEvent, DiscCount>(&cluster, &told).await;
        // The next round's writers have the same names: what is there must be theirs alone.
        cluster[0].node().table::<DiscEvent>().unwrap().clear().await.unwrap();
        cluster[0].node().table::<DiscCount>().unwrap().clear().await.unwrap();
        tallies.extend(told);
    }
    assert!(tallies.iter().all(|tally| tally.acknowledged() > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_alone_serves_its_disc_tables_and_says_for_whom_it_waits() {
    let mut cluster = filled().await;
    cluster.wait_equal_copies().await;
    for at in 0..3 {
        cluster.kill(at).await;
    }
    cluster.restart(1).await;
    let node = cluster[1].node();
    let words = node.table::<DiscWord>().unwrap();
    eventually("the log's tail is applied as far as it is known to be committed", PATIENCE, || {
        words.count().is_ok_and(|count| count > 0)
    })
    .await;
    assert_eq!(words.get("0").unwrap().unwrap().word, "before");
    assert_eq!(node.table::<DiscOnlyWord>().unwrap().get("0").unwrap().unwrap().word, "before");
    let waits =
        node.wait_for_tables(&["disc_word", "ram_word"], Duration::from_millis(300)).await.unwrap_err();
    assert_eq!((waits.need, waits.have), (2, 1), "{waits}");
    let missing: Vec<String> = waits.missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["n1@localhost", "n3@localhost"], "{waits}");
    assert!(waits.tables.iter().any(|table| table.as_str() == "ram_word"), "{waits}");
    cluster.restart(2).await;
    cluster.wait_ready().await;
    assert_eq!(cluster[1].node().table::<DiscWord>().unwrap().count().unwrap(), RECORDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_loads_its_ram_tables_from_a_live_copy_while_writes_go_on() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<RamEvent>().await;
    cluster.create::<RamCount>().await;
    let writers = Writers::start::<RamEvent, RamCount>(&cluster, &[0, 1]);
    writers.wait_for_more(300).await;
    for stop_in_order in [false, true, false] {
        if stop_in_order {
            cluster.stop(2).await;
        } else {
            cluster.kill(2).await;
        }
        writers.wait_for_more(50).await;
        cluster.restart(2).await;
        cluster.wait_ready().await;
        writers.wait_for_more(50).await;
    }
    check_all::<RamEvent, RamCount>(&cluster, &writers.stop().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_away_for_longer_than_the_log_is_kept_gets_a_copy() {
    let small = |config: &mut tabularaft::NodeConfig| {
        config.checkpoint_bytes = 64 * 1024;
        config.log_keep_bytes = 64 * 1024;
    };
    let mut cluster = TestCluster::builder(3).config(small).start().await;
    cluster.create::<RamWord>().await;
    cluster.create::<DiscWord>().await;
    cluster.create::<DiscOnlyWord>().await;
    cluster.kill(2).await;
    let away_since = cluster[0].node().applied().0;
    let filler = "x".repeat(2_000);
    let (ram, disc) =
        (cluster[0].node().table::<RamWord>().unwrap(), cluster[1].node().table::<DiscWord>().unwrap());
    let only = cluster[1].node().table::<DiscOnlyWord>().unwrap();
    let mut written = 0_u64;
    let purged_everywhere = |cluster: &TestCluster| {
        [0, 1].iter().all(|at| cluster[*at].node().purged().is_some_and(|upto| upto > away_since))
    };
    let began = Instant::now();
    while !purged_everywhere(&cluster) {
        assert!(
            began.elapsed() < PATIENCE,
            "the log is never purged: {written} records of 6 kB were written"
        );
        let (ram_word, disc_word, only_word) = (
            RamWord::new(written, &filler),
            DiscWord::new(written, &filler),
            DiscOnlyWord::new(written, &filler),
        );
        let (a, b, c) = tokio::join!(ram.insert(&ram_word), disc.insert(&disc_word), only.insert(&only_word));
        a.and(b).and(c).unwrap();
        written += 1;
    }
    cluster.restart(2).await;
    cluster.wait_ready().await;
    let copies = cluster.wait_equal_copies().await;
    assert_eq!(copies.records("ram_word"), written);
    assert_eq!(copies.records("disc_word"), written);
    assert_eq!(copies.records("disc_only_word"), written);
    // What was installed is on disc, and the log goes on behind it.
    disc.insert(&DiscWord::new("after", "the copy")).await.unwrap();
    cluster.wait_equal_copies().await;
    cluster.kill(2).await;
    cluster.restart(2).await;
    cluster.wait_ready().await;
    assert_eq!(cluster.wait_equal_copies().await.records("disc_word"), written + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diskless_node_that_died_comes_back_as_a_new_member_of_its_name() {
    let mut cluster = TestCluster::builder(3).diskless().start().await;
    cluster.create::<RamWord>().await;
    let words = cluster[0].node().table::<RamWord>().unwrap();
    words.insert(&RamWord::new("a", "1")).await.unwrap();
    let former = cluster[2].node().incarnation().unwrap();
    cluster.kill(2).await;
    words.insert(&RamWord::new("b", "2")).await.unwrap();
    cluster.start_joining(2, 0).await.unwrap();
    cluster.wait_ready().await;
    assert_ne!(cluster[2].node().incarnation().unwrap().node, former.node);
    assert_eq!(cluster[0].node().members().len(), 3);
    assert_eq!(cluster.wait_equal_copies().await.records("ram_word"), 2);
    cluster.kill(0).await;
    let words = cluster[2].node().table::<RamWord>().unwrap();
    words.insert(&RamWord::new("c", "3")).await.unwrap();
    assert_eq!(words.count().unwrap(), 3);
}
