//! Leaders that die or are cut off while others write.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::{Duration, Instant};

use tabularaft::{ReadError, WriteError};
use tabularaft_tests::tables::{DiscCount, DiscEvent, RamCount, RamEvent};
use tabularaft_tests::workload::{Tally, Writers, check_all};
use tabularaft_tests::{PATIENCE, TestCluster, eventually};

async fn cluster_with_tables() -> TestCluster {
    let cluster = TestCluster::start(3).await;
    cluster.create::<RamEvent>().await;
    cluster.create::<RamCount>().await;
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    cluster
}

fn others(leader: usize) -> [usize; 2] {
    [(leader + 1) % 3, (leader + 2) % 3]
}

fn longest_gap(tallies: &[Tally]) -> Duration {
    tallies.iter().map(|tally| tally.longest_gap).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_on_after_the_leader_is_killed_and_nothing_acknowledged_is_lost_or_doubled() {
    let mut cluster = cluster_with_tables().await;
    let leader = cluster.wait_leader().await;
    let [a, b] = others(leader);
    let ram = Writers::start::<RamEvent, RamCount>(&cluster, &[a, b]);
    let disc = Writers::start::<DiscEvent, DiscCount>(&cluster, &[a, b]);
    ram.wait_for_more(200).await;
    disc.wait_for_more(50).await;
    cluster.kill(leader).await;
    ram.wait_for_more(200).await;
    disc.wait_for_more(50).await;
    cluster.restart(leader).await;
    ram.wait_for_more(100).await;
    cluster.wait_ready().await;
    let (ram, disc) = (ram.stop().await, disc.stop().await);
    let gap = longest_gap(&ram).max(longest_gap(&disc));
    println!("longest_write_gap {} ms", gap.as_millis());
    // A second is promised on a machine that has the time; an election timeout and more would show here too.
    assert!(gap < Duration::from_secs(5), "nothing was written for {gap:?}");
    check_all::<RamEvent, RamCount>(&cluster, &ram).await;
    check_all::<DiscEvent, DiscCount>(&cluster, &disc).await;
    assert_eq!(
        ram.iter().chain(&disc).map(Tally::unknown).sum::<usize>(),
        0,
        "nobody's node died, so all is known"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_leader_in_turn_may_die_while_others_write() {
    let mut cluster = cluster_with_tables().await;
    let writers = Writers::start::<DiscEvent, DiscCount>(&cluster, &[0, 1, 2]);
    for _ in 0..4 {
        writers.wait_for_more(60).await;
        let leader = cluster.wait_leader().await;
        cluster.kill(leader).await;
        cluster.restart(leader).await;
        cluster.wait_ready().await;
    }
    check_all::<DiscEvent, DiscCount>(&cluster, &writers.stop().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_is_replaced_and_its_waiting_writes_are_neither_lost_nor_doubled() {
    let cluster = cluster_with_tables().await;
    let old = cluster.wait_leader().await;
    let rest = others(old);
    let at_old = Writers::start::<DiscEvent, DiscCount>(&cluster, &[old, old]);
    let at_rest = Writers::start::<DiscEvent, DiscCount>(&cluster, &rest);
    at_old.wait_for_more(20).await;
    at_rest.wait_for_more(20).await;
    cluster.isolate(old);
    let new = cluster.wait_leader_among(&rest).await;
    assert_ne!(new, old);
    let began = Instant::now();
    at_rest.wait_for_more(100).await;
    println!("writes_after_partition {} ms", began.elapsed().as_millis());
    eventually("the leader that is cut off knows it", PATIENCE, || !cluster[old].node().is_leader()).await;
    cluster.heal();
    at_old.wait_for_more(20).await;
    let (at_old, at_rest) = (at_old.stop().await, at_rest.stop().await);
    println!("longest_write_gap {} ms", longest_gap(&at_rest).as_millis());
    assert!(
        longest_gap(&at_rest) < Duration::from_secs(8),
        "a majority did not write for {:?}",
        longest_gap(&at_rest)
    );
    check_all::<DiscEvent, DiscCount>(&cluster, &at_old).await;
    check_all::<DiscEvent, DiscCount>(&cluster, &at_rest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_accepts_no_write_and_answers_no_linearizable_read() {
    let cluster = cluster_with_tables().await;
    let leader = cluster.wait_leader().await;
    let [follower, _] = others(leader);
    for cut_off in [leader, follower] {
        let before = cluster.wait_equal_copies().await;
        cluster.isolate(cut_off);
        let events =
            cluster[cut_off].node().table::<RamEvent>().unwrap().with_timeout(Duration::from_millis(900));
        let written =
            events.insert(&RamEvent { writer: "minority".to_owned(), number: cut_off as u64 }).await;
        assert!(matches!(written, Err(WriteError::Unknown | WriteError::NoLeader)), "{written:?}");
        let read = events.linearize().await;
        assert!(matches!(read, Err(ReadError::NoLeader)), "{read:?}");
        assert_eq!(events.get_all("minority").unwrap().len() as u64, before.records("ram_event"));
        cluster.heal();
        cluster.wait_leader().await;
        // The write that was on its way may happen now, once: wait for it, so that the next round counts right.
        let all = cluster[cut_off].node().table::<RamEvent>().unwrap();
        all.insert(&RamEvent { writer: "minority".to_owned(), number: 100 + cut_off as u64 }).await.unwrap();
        cluster.wait_equal_copies().await;
    }
    let events = cluster[leader].node().table::<RamEvent>().unwrap();
    assert!(events.get_all("minority").unwrap().len() <= 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_lost_make_no_write_happen_twice() {
    let cluster = cluster_with_tables().await;
    let leader = cluster.wait_leader().await;
    let [a, b] = others(leader);
    let writers = Writers::start::<RamEvent, RamCount>(&cluster, &[a, a, b, b]);
    writers.wait_for_more(50).await;
    for writer in [a, b, a, b] {
        // What the leader says to this node is lost, what the node says to the leader arrives.
        let (from, to) = (cluster[leader].name().clone(), cluster[writer].name().clone());
        cluster.links().block(&from, &to);
        writers.wait_for_more(20).await;
        cluster.heal();
        cluster.wait_leader().await;
        writers.wait_for_more(50).await;
    }
    check_all::<RamEvent, RamCount>(&cluster, &writers.stop().await).await;
}

fn term(cluster: &TestCluster, at: usize) -> u64 {
    cluster[at].node().standing().unwrap().term
}

/// Lets so much time pass that a node that hears no leader has wished for an election several times.
async fn several_election_timeouts(cluster: &TestCluster) {
    let long = Duration::from_millis(cluster.config().election_ms * 4);
    let began = Instant::now();
    eventually("several election timeouts have passed", PATIENCE, || began.elapsed() > long).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_does_not_depose_a_leader_that_works() {
    let cluster = cluster_with_tables().await;
    let leader = cluster.wait_leader().await;
    let [away, other] = others(leader);
    let before = term(&cluster, leader);
    let writers = Writers::start::<RamEvent, RamCount>(&cluster, &[leader, other]);
    writers.wait_for_more(20).await;
    cluster.isolate(away);
    several_election_timeouts(&cluster).await;
    cluster.heal();
    let written = cluster[leader].node().applied();
    cluster.wait_applied(written.0, PATIENCE).await;
    writers.wait_for_more(20).await;
    assert!(cluster[leader].node().is_leader(), "it leads as before");
    assert_eq!(term(&cluster, leader), before, "nobody was elected");
    assert_eq!(term(&cluster, away), before);
    let tallies = writers.stop().await;
    check_all::<RamEvent, RamCount>(&cluster, &tallies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_the_leader_refuses_does_not_depose_it_while_others_reach_it() {
    let cluster = cluster_with_tables().await;
    let leader = cluster.wait_leader().await;
    let [refused, other] = others(leader);
    let before = term(&cluster, leader);
    let writers = Writers::start::<RamEvent, RamCount>(&cluster, &[leader, other]);
    writers.wait_for_more(20).await;
    // To this node it looks as if the leader's process were gone.
    cluster.links().refuse(cluster[refused].name(), cluster[leader].name());
    several_election_timeouts(&cluster).await;
    assert!(cluster[leader].node().is_leader(), "it leads as before");
    assert_eq!(term(&cluster, leader), before, "nobody was elected");
    cluster.heal();
    writers.wait_for_more(20).await;
    let tallies = writers.stop().await;
    check_all::<RamEvent, RamCount>(&cluster, &tallies).await;
}
