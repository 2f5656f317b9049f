//! Members that come, go and are taken out while others write.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use tabularaft::{Lifecycle, LocalData};
use tabularaft_tests::tables::{DiscWord, RamCount, RamEvent, RamWord};
use tabularaft_tests::workload::{Writers, check_all};
use tabularaft_tests::{PATIENCE, TestCluster, eventually, retry};

#[tokio::test(flavor = "multi_thread")]
async fn members_join_and_leave_the_leader_among_them_while_others_write() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<RamEvent>().await;
    cluster.create::<RamCount>().await;
    let leader = cluster.wait_leader().await;
    let stays = (leader + 1) % 3;
    let writers = Writers::start::<RamEvent, RamCount>(&cluster, &[stays, stays]);
    writers.wait_for_more(200).await;
    let fourth = cluster.add("n4@localhost");
    cluster.start_joining(fourth, stays).await.unwrap();
    writers.wait_for_more(50).await;
    assert_eq!(cluster[stays].node().members().len(), 4);
    cluster[leader].run(|node| async move { node.leave().await }).await.unwrap();
    writers.wait_for_more(50).await;
    let left = cluster[leader].node();
    assert_eq!(left.members().len(), 1, "it is alone now");
    left.create_table::<RamWord>().await.unwrap();
    left.table::<RamWord>().unwrap().insert(&RamWord::new("alone", "yes")).await.unwrap();
    let again = cluster[stays].address();
    let joined =
        cluster[leader].run(|node| async move { node.join_with(&again, LocalData::Discard).await }).await;
    joined.unwrap();
    writers.wait_for_more(50).await;
    let tallies = writers.stop().await;
    cluster.wait_ready().await;
    eventually("all are members", PATIENCE, || {
        cluster.handles().iter().all(|node| node.members().len() == 4)
    })
    .await;
    check_all::<RamEvent, RamCount>(&cluster, &tallies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_that_starts_again_is_told_so_and_forms_no_cluster_of_its_own() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<DiscWord>().await;
    cluster[0].node().table::<DiscWord>().unwrap().insert(&DiscWord::new("a", "b")).await.unwrap();
    cluster.wait_equal_copies().await;
    cluster.stop(2).await;
    let removed = cluster[2].name().clone();
    cluster[0].run(|node| async move { node.remove(&removed, false).await }).await.unwrap();
    assert_eq!(cluster[0].node().members().len(), 2);
    for _ in 0..2 {
        cluster.restart(2).await;
        let node = cluster[2].node();
        retry("the node is told that it was removed", PATIENCE, || async {
            match node.wait_for_tables(&[], Duration::from_millis(100)).await {
                Err(error) if error.to_string().contains("removed") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        // It is told while it takes part, and then begins a life in which it does not.
        let (words, kept) = retry("it can be read", PATIENCE, || async {
            let words = node.table::<DiscWord>()?.with_timeout(Duration::from_millis(500));
            words.contains("a").map(|kept| (words, kept))
        })
        .await;
        assert!(kept, "it keeps what it has");
        assert!(words.insert(&DiscWord::new("own", "x")).await.is_err(), "it accepts nothing");
        assert!(!node.is_leader());
        cluster.kill(2).await;
    }
    cluster.restart(2).await;
    let peer = cluster[0].address();
    let joined = cluster[2].run(|node| async move { node.join_with(&peer, LocalData::Discard).await }).await;
    joined.unwrap();
    cluster.wait_ready().await;
    assert_eq!(cluster.wait_equal_copies().await.records("disc_word"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_that_dies_in_the_middle_has_what_it_had_when_it_starts_again() {
    for victim in ["joiner", "seed"] {
        let mut cluster = TestCluster::start(1).await;
        cluster.create::<DiscWord>().await;
        cluster[0].node().table::<DiscWord>().unwrap().insert(&DiscWord::new("theirs", "x")).await.unwrap();
        let joiner = cluster.add("joiner@localhost");
        cluster.found(joiner).await.unwrap();
        let own = cluster[joiner].node();
        own.create_table::<RamWord>().await.unwrap();
        own.create_table::<DiscWord>().await.unwrap();
        own.table::<DiscWord>().unwrap().insert(&DiscWord::new("mine", "x")).await.unwrap();
        let mut events = own.lifecycle();
        let peer = cluster[0].address();
        let joining =
            cluster[joiner].begin(|node| async move { node.join_with(&peer, LocalData::Discard).await });
        while !matches!(events.recv().await.unwrap(), Lifecycle::Admitted { .. }) {}
        cluster.links().block(cluster[0].name(), cluster[joiner].name());
        if victim == "joiner" {
            cluster.kill(joiner).await;
            cluster.heal();
            drop(joining);
            cluster.restart(joiner).await;
        } else {
            cluster.kill(0).await;
            cluster.heal();
            let outcome = joining.await.unwrap();
            assert!(outcome.is_err(), "{outcome:?}");
        }
        let words = cluster[joiner].node().table::<DiscWord>().unwrap();
        let node = cluster[joiner].node();
        node.wait_for_tables(&["disc_word"], PATIENCE).await.unwrap();
        assert!(words.contains("mine").unwrap(), "{victim} died");
        assert!(!words.contains("theirs").unwrap(), "{victim} died");
        words.insert(&DiscWord::new("next", "x")).await.unwrap();
        assert_eq!(node.members().len(), 1);
        if victim == "seed" {
            cluster.restart(0).await;
            cluster[0].node().wait_for_tables(&["disc_word"], PATIENCE).await.unwrap();
        }
        // The half of a member that the joiner left behind does not keep it from joining after all.
        let peer = cluster[0].address();
        let again =
            cluster[joiner].run(|node| async move { node.join_with(&peer, LocalData::Discard).await }).await;
        again.unwrap_or_else(|error| panic!("{victim} died, and the next join failed: {error}"));
        assert_eq!(cluster[0].node().members().len(), 2);
        cluster.wait_equal_copies().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_has_just_died_can_be_removed_at_once() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<DiscWord>().await;
    let leader = cluster.wait_leader().await;
    let (dead, survivor) = (cluster[leader].name().clone(), (leader + 1) % 3);
    cluster.kill(leader).await;
    // The survivor still takes the dead node for the leader, and must not insist on asking that one.
    let removed = cluster[survivor].run(move |node| async move { node.remove(&dead, true).await }).await;
    removed.unwrap();
    assert_eq!(cluster[survivor].node().members().len(), 2);
    let words = cluster[survivor].node().table::<DiscWord>().unwrap();
    words.insert(&DiscWord::new("next", "x")).await.unwrap();
}
