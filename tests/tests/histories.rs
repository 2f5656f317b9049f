//! Histories of concurrent transactions are strictly serializable, whatever goes wrong meanwhile; and the checker would
//! say so if they were not. With `HISTORY_DIR` in the environment the histories are kept there, as JSON lines.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use tabularaft_tests::TestCluster;
use tabularaft_tests::append::Appenders;
use tabularaft_tests::checker::{Outcome, Txn, check};
use tabularaft_tests::history::History;

/// A history in which hardly anything happened proves nothing.
fn accept(txns: &[Txn], committed_min: usize) {
    let count = |outcome| txns.iter().filter(|txn| txn.outcome == outcome).count();
    println!(
        "committed {}, failed {}, unknown {}",
        count(Outcome::Ok),
        count(Outcome::Fail),
        count(Outcome::Info)
    );
    assert!(count(Outcome::Ok) >= committed_min);
    if let Err(anomaly) = check(txns) {
        panic!("{anomaly}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_without_faults_is_strictly_serializable() {
    let cluster = TestCluster::start(3).await;
    let appenders = Appenders::start(&cluster, History::begin("quiet"), 4).await;
    appenders.wait_for_more(1_500).await;
    accept(&appenders.finish().await, 1_500);
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_in_which_leaders_are_killed_is_strictly_serializable() {
    let mut cluster = TestCluster::start(3).await;
    let appenders = Appenders::start(&cluster, History::begin("kills"), 4).await;
    for _ in 0..4 {
        appenders.wait_for_more(200).await;
        let leader = cluster.wait_leader().await;
        appenders.history().fault(&format!("kill {leader}"));
        cluster.kill(leader).await;
        appenders.see(&cluster);
        appenders.wait_for_more(100).await;
        cluster.restart(leader).await;
        appenders.see(&cluster);
        cluster.wait_ready().await;
    }
    appenders.wait_for_more(200).await;
    accept(&appenders.finish().await, 1_000);
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_in_which_links_break_is_strictly_serializable() {
    let cluster = TestCluster::start(3).await;
    let appenders = Appenders::start(&cluster, History::begin("partitions"), 4).await;
    for round in 0..4 {
        appenders.wait_for_more(200).await;
        let leader = cluster.wait_leader().await;
        let others = [(leader + 1) % 3, (leader + 2) % 3];
        appenders.history().fault(&format!("cut off the leader {leader}"));
        if round % 2 == 0 {
            cluster.isolate(leader);
            cluster.wait_leader_among(&others).await;
        } else {
            // Requests arrive, answers are lost: the retry must not happen twice.
            cluster.links().block(cluster[leader].name(), cluster[others[0]].name());
        }
        appenders.wait_for_more(50).await;
        appenders.history().fault("heal");
        cluster.heal();
        cluster.wait_leader().await;
    }
    appenders.wait_for_more(200).await;
    accept(&appenders.finish().await, 1_000);
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_check_of_reads_the_checker_finds_an_anomaly() {
    for attempt in 1..=10 {
        let cluster = TestCluster::builder(3).adapt(|builder| builder.skip_read_checks()).start().await;
        let appenders = Appenders::start(&cluster, History::begin("unchecked"), 4).await;
        appenders.wait_for_more(400).await;
        if let Err(anomaly) = check(&appenders.finish().await) {
            println!("attempt {attempt}: {anomaly}");
            return;
        }
    }
    panic!("no history without the check of reads showed an anomaly");
}
