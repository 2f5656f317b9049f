//! Machines that crash: what was only in their page caches is gone, and the kernel's boot id is another one.
//!
//! Entries of ram tables are acknowledged before they are synced. A machine that crashed may have forgotten some, and
//! so may not vote as if nothing had happened.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use tabularaft_tests::tables::{DiscCount, DiscEvent, DiscWord, RamCount, RamEvent, RamWord};
use tabularaft_tests::workload::{Writers, check_all};
use tabularaft_tests::{PATIENCE, TestCluster, eventually};

/// Long enough for several elections with the timeouts of the test cluster.
const SEVERAL_ELECTIONS: Duration = Duration::from_millis(2_500);

/// What happens to whom: numbers of nodes.
struct Roles {
    /// Has the acknowledged entry, and is cut off.
    witness: usize,
    /// Has acknowledged the entry, and its machine crashes.
    forgetful: usize,
    /// Was cut off when the entry was written.
    absent: usize,
}

/// A ram record is acknowledged by the witness, which leads, and the forgetful node, whose machine then crashes; the
/// absent one comes back, and the witness is cut off. So the two that can talk lack the record.
async fn an_acknowledged_entry_is_forgotten() -> (TestCluster, Roles) {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<RamWord>().await;
    cluster.create::<DiscWord>().await;
    cluster.wait_equal_copies().await;
    let witness = cluster.wait_leader().await;
    let roles = Roles { witness, forgetful: (witness + 1) % 3, absent: (witness + 2) % 3 };
    cluster.isolate(roles.absent);
    let words = cluster[witness].node().table::<RamWord>().unwrap();
    words.insert(&RamWord::new("acknowledged", "yes")).await.unwrap();
    let forgetful = cluster[roles.forgetful].node().clone();
    eventually("the follower has applied the record", PATIENCE, || {
        forgetful.table::<RamWord>().is_ok_and(|words| words.contains("acknowledged").unwrap_or(false))
    })
    .await;
    drop(forgetful);
    // While it hears its leader the follower syncs nothing; the vote of an election would be synced, and the record
    // with it.
    cluster.crash_machine(roles.forgetful).await;
    cluster.isolate(witness);
    cluster.rejoin(roles.absent);
    (cluster, roles)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_rule_a_voter_that_forgot_an_entry_elects_a_leader_that_lacks_it_and_the_entry_is_lost() {
    // On a busy machine the follower may miss heartbeats and sync its vote, and the record with it: then it does not
    // forget, and this shows nothing.
    for _ in 0..5 {
        let (mut cluster, Roles { witness, forgetful, absent }) = an_acknowledged_entry_is_forgotten().await;
        cluster.start_with(forgetful, |builder| builder.forget_crashes()).await.unwrap();
        cluster.wait_leader_among(&[forgetful, absent]).await;
        let words = cluster[absent].node().table::<RamWord>().unwrap();
        words.insert(&RamWord::new("later", "yes")).await.unwrap();
        words.linearize().await.unwrap();
        let survived = words.contains("acknowledged").unwrap();
        // What becomes of the witness, whose applied entries were taken back, is no matter: this must never happen.
        cluster.kill(witness).await;
        if !survived {
            return;
        }
    }
    panic!(
        "an acknowledged record was never lost, although nothing prevented it: the simulated crash loses nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_rule_nobody_is_elected_until_the_witness_is_back_and_the_entry_survives() {
    let (mut cluster, Roles { witness, forgetful, absent }) = an_acknowledged_entry_is_forgotten().await;
    let former = cluster[absent].node().members().len();
    cluster.restart(forgetful).await;
    let words = cluster[absent].node().table::<RamWord>().unwrap().with_timeout(SEVERAL_ELECTIONS);
    let written = words.insert(&RamWord::new("later", "yes")).await;
    assert!(written.is_err(), "a leader without the acknowledged record was elected: {written:?}");
    let waits = cluster[forgetful]
        .node()
        .wait_for_tables(&["ram_word"], Duration::from_millis(10))
        .await
        .unwrap_err();
    assert!(waits.to_string().contains("crashed"), "{waits}");
    cluster.rejoin(witness);
    eventually("the forgetful node is back", PATIENCE, || {
        cluster[forgetful].node().incarnation().is_some_and(|life| life.node > 3)
    })
    .await;
    cluster.wait_ready().await;
    cluster.wait_leader().await;
    eventually("all vote again", PATIENCE, || cluster[absent].node().voters().len() == 3).await;
    for node in cluster.handles() {
        assert_eq!(node.members().len(), former, "{}", node.name());
    }
    let words = cluster[forgetful].node().table::<RamWord>().unwrap();
    words.linearize().await.unwrap();
    assert!(words.contains("acknowledged").unwrap(), "the record was acknowledged");
    words.insert(&RamWord::new("later", "yes")).await.unwrap();
    cluster.wait_equal_copies().await;
    // The new member counts: the cluster lives on without the witness.
    cluster.kill(witness).await;
    let words = cluster[forgetful].node().table::<RamWord>().unwrap();
    words.insert(&RamWord::new("last", "yes")).await.unwrap();
    assert!(words.contains("acknowledged").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_machines_of_all_nodes_crashed_they_start_together_once_all_are_there() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    cluster.create::<RamWord>().await;
    let words = cluster[0].node().table::<RamWord>().unwrap();
    words.insert(&RamWord::new("ram", "gone")).await.unwrap();
    let writers = Writers::start::<DiscEvent, DiscCount>(&cluster, &[0, 1, 2]);
    writers.wait_for_more(100).await;
    for at in 0..3 {
        cluster.crash_machine(at).await;
    }
    let tallies = writers.stop().await;
    cluster.restart(0).await;
    cluster.restart(1).await;
    let words = cluster[0].node().table::<DiscEvent>().unwrap().with_timeout(SEVERAL_ELECTIONS);
    let early = words.insert(&DiscEvent { writer: "early".to_owned(), number: 0 }).await;
    assert!(early.is_err(), "two of three crashed voters went on without the third: {early:?}");
    cluster.restart(2).await;
    cluster.wait_ready().await;
    let copies = cluster.wait_equal_copies().await;
    assert_eq!(copies.records("ram_word"), 0);
    check_all::<DiscEvent, DiscCount>(&cluster, &tallies).await;
    let words = cluster[2].node().table::<RamWord>().unwrap();
    words.insert(&RamWord::new("ram", "new")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_machine_crash_after_the_other_loses_nothing_that_was_acknowledged() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<RamEvent>().await;
    cluster.create::<RamCount>().await;
    let writers = Writers::start::<RamEvent, RamCount>(&cluster, &[0, 1, 2]);
    for at in [0, 1, 2] {
        writers.wait_for_more(100).await;
        cluster.crash_machine(at).await;
        writers.wait_for_more(0).await;
        cluster.restart(at).await;
        eventually("the node comes back as a new member", PATIENCE, || {
            let id = cluster[at].node().incarnation().map(|life| life.node);
            id.is_some_and(|id| id > 3 && cluster[at].node().voters().contains(&id))
        })
        .await;
        cluster.wait_ready().await;
    }
    check_all::<RamEvent, RamCount>(&cluster, &writers.stop().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_most_machines_crashed_and_one_node_lived_on_all_agree_with_the_one_that_lived() {
    for survivor_leads in [true, false] {
        let mut cluster = TestCluster::start(3).await;
        cluster.create::<RamWord>().await;
        cluster.create::<DiscWord>().await;
        let leader = cluster.wait_leader().await;
        let survivor = if survivor_leads { leader } else { (leader + 1) % 3 };
        let words = cluster[survivor].node().table::<RamWord>().unwrap();
        for n in 0..50 {
            words.insert(&RamWord::new(n, "x")).await.unwrap();
        }
        cluster.wait_equal_copies().await;
        let crashed: Vec<usize> = (0..3).filter(|at| *at != survivor).collect();
        for at in &crashed {
            cluster.crash_machine(*at).await;
        }
        for at in &crashed {
            cluster.restart(*at).await;
        }
        cluster.wait_ready().await;
        cluster.wait_leader().await;
        let words = cluster[crashed[0]].node().table::<RamWord>().unwrap();
        words.insert(&RamWord::new("after", "x")).await.unwrap();
        let copies = cluster.wait_equal_copies().await;
        assert_eq!(copies.records("ram_word"), 51, "survivor_leads: {survivor_leads}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_after_a_clean_stop_is_no_crash() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<RamWord>().await;
    cluster.stop(2).await;
    cluster.reboot_machine(2);
    cluster.restart(2).await;
    cluster.wait_ready().await;
    assert_eq!(cluster[2].node().incarnation().unwrap().node, 3);
}
