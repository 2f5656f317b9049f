//! Nodes that come together, and what stops them from it before anything is touched.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tabularaft::transport::Secret;
use tabularaft::{JoinError, Joined, LeaveError, LocalData, NodeName, Reason, StartError};
use tabularaft_tests::tables::{DiscWord, RamWord};
use tabularaft_tests::{PATIENCE, TestCluster, eventually};

fn word(key: &str) -> DiscWord {
    DiscWord { key: key.to_owned(), word: "w".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_start_in_a_moment() {
    let began = Instant::now();
    let cluster = TestCluster::start(3).await;
    println!("three nodes after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(cluster.handles()[2].members().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_join_at_once_all_become_members() {
    let mut cluster = TestCluster::start(1).await;
    let (second, third) = (cluster.add("second@test"), cluster.add("third@test"));
    cluster.found(second).await.unwrap();
    cluster.found(third).await.unwrap();
    let (a, b) = tokio::join!(cluster.join(second, 0), cluster.join(third, 0));
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
    eventually("all know all", PATIENCE, || cluster.handles().iter().all(|node| node.members().len() == 3))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_oneself_is_ignored_and_joining_twice_is_refused() {
    let cluster = TestCluster::start(2).await;
    assert_eq!(cluster.join(0, 0).await.unwrap(), Joined::Ignored);
    assert!(matches!(cluster.join(1, 0).await, Err(JoinError::AlreadyInCluster { members: 2, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_through_nobody_touches_nothing() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<DiscWord>().await;
    let node = &cluster.handles()[0];
    let words = node.table::<DiscWord>().unwrap();
    words.insert(&word("mine")).await.unwrap();
    let before = node.incarnation();
    assert!(matches!(node.join("127.0.0.1:1").await, Err(JoinError::NodeDown { .. })));
    assert_eq!(node.incarnation(), before);
    assert!(words.contains("mine").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_not_discarded_unasked_and_exported_ones_can_be_read_back() {
    let mut cluster = TestCluster::start(2).await;
    let own = cluster.add("own@test");
    cluster.found(own).await.unwrap();
    let node = cluster[own].node().clone();
    node.create_table::<DiscWord>().await.unwrap();
    node.create_table::<RamWord>().await.unwrap();
    node.table::<DiscWord>().unwrap().insert(&word("mine")).await.unwrap();
    match cluster.join(own, 0).await.unwrap_err() {
        JoinError::WouldDiscardData { tables } => {
            let tables: Vec<(String, u64)> =
                tables.into_iter().map(|(name, count)| (name.to_string(), count)).collect();
            assert_eq!(tables, [("disc_word".to_owned(), 1)], "an empty table is no data");
        }
        other => panic!("{other}"),
    }
    let peer = cluster[0].address();
    let joined =
        cluster[own].run(|node| async move { node.join_with(&peer, LocalData::Export).await }).await.unwrap();
    let Joined::Joined { exported } = joined else { panic!("{joined:?}") };
    let lines = std::fs::read_to_string(&exported[0]).unwrap();
    assert_eq!(lines, "{\"key\":\"mine\",\"word\":\"w\"}\n");
    assert!(cluster[own].node().table::<DiscWord>().is_err(), "its schema is the cluster's now");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_objects_stops_the_join_and_hooks_run_in_their_order() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let telling = Arc::clone(&told);
    let cluster = TestCluster::builder(1).adapt(move |builder| {
        let (first, second, rebooted) = (Arc::clone(&telling), Arc::clone(&telling), Arc::clone(&telling));
        builder
            .prepare("first", move |reason| {
                let told = Arc::clone(&first);
                async move {
                    told.lock().unwrap().push(format!("first {reason:?}"));
                    Ok(())
                }
                .boxed()
            })
            .prepare("second", move |reason| {
                let told = Arc::clone(&second);
                async move {
                    told.lock().unwrap().push(format!("second {reason:?}"));
                    if reason == Reason::Join { Err("not now".to_owned()) } else { Ok(()) }
                }
                .boxed()
            })
            .rebooted("third", move |reason| {
                let told = Arc::clone(&rebooted);
                async move { told.lock().unwrap().push(format!("third {reason:?}")) }.boxed()
            })
    });
    let mut cluster = cluster.start().await;
    let other = cluster.add("other@test");
    cluster.found(other).await.unwrap();
    let before = cluster[other].node().incarnation();
    match cluster.join(other, 0).await.unwrap_err() {
        JoinError::Hook { hook, why } => assert_eq!((hook.as_str(), why.as_str()), ("second", "not now")),
        error => panic!("{error}"),
    }
    assert_eq!(cluster[other].node().incarnation(), before, "nothing was touched");
    assert_eq!(*told.lock().unwrap(), ["first Join", "second Join"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_dies_while_it_is_copied_from_leaves_the_joiner_with_what_it_had() {
    let mut cluster = TestCluster::start(1).await;
    cluster.create::<DiscWord>().await;
    for i in 0..20 {
        cluster.handles()[0].table::<DiscWord>().unwrap().insert(&word(&format!("k{i}"))).await.unwrap();
    }
    let joiner = cluster.add("joiner@test");
    cluster.found(joiner).await.unwrap();
    let mut lifecycle = cluster[joiner].node().lifecycle();
    let peer = cluster[0].address();
    let joining = cluster[joiner].begin(|node| async move { node.join(&peer).await });
    loop {
        let event = lifecycle.recv().await.unwrap();
        if matches!(event, tabularaft::Lifecycle::Admitted { .. }) {
            break;
        }
    }
    cluster.kill(0).await;
    // Admitted in time to copy all, or not: either way the node serves, as a member or as what it was.
    let outcome = joining.await.unwrap();
    let node = cluster[joiner].node().clone();
    if outcome.is_err() {
        eventually("the joiner serves with what it had", PATIENCE, || {
            node.members() == [node.name().clone()]
        })
        .await;
        cluster[joiner].run(|node| async move { node.create_table::<RamWord>().await }).await.unwrap();
        cluster.stop(joiner).await;
        cluster.restart(joiner).await;
        let node = cluster[joiner].node().clone();
        eventually("it starts again alone", PATIENCE, || node.is_leader()).await;
        assert!(node.table::<RamWord>().is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_must_agree_are_named_with_both_values() {
    let one = TestCluster::start(1).await;
    let other = TestCluster::builder(1).config(|config| config.record_bytes_max = 4_321).start().await;
    let error = other.handles()[0].join(&one[0].address()).await.unwrap_err();
    let JoinError::Incompatible { differences } = &error else { panic!("{error}") };
    assert_eq!(differences.len(), 1);
    assert_eq!(
        (differences[0].key.as_str(), differences[0].ours.as_deref()),
        ("record_bytes_max", Some("4321"))
    );
    assert!(error.to_string().contains("4321 here, 1048576 there"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_name_or_another_secret_is_refused_at_once() {
    let one = TestCluster::start(1).await;
    let renamed =
        TestCluster::builder(1).config(|config| config.cluster_name = "other".to_owned()).start().await;
    let error = renamed.handles()[0].join(&one[0].address()).await.unwrap_err().to_string();
    assert!(error.contains("other"), "{error}");

    let with = |secret: Secret| TestCluster::builder(1).adapt(move |builder| builder.secret(secret.clone()));
    let first = with(Secret::generate().unwrap()).start().await;
    let second = with(Secret::generate().unwrap()).start().await;
    let began = Instant::now();
    let error = second.handles()[0].join(&first[0].address()).await.unwrap_err().to_string();
    assert!(error.contains("secrets of the two sides differ"), "{error}");
    let error = one.handles()[0].join(&first[0].address()).await.unwrap_err().to_string();
    assert!(error.contains("requires the cluster secret"), "{error}");
    assert!(began.elapsed() < PATIENCE, "no timeout was waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_there_once_and_a_dead_member_of_that_name_is_replaced() {
    let mut cluster = TestCluster::start(3).await;
    let name: NodeName = cluster[2].name().clone();
    let twin = cluster.add(name.as_str());
    let error = cluster.start_joining(twin, 0).await.unwrap_err();
    match &error {
        StartError::Join { source, .. } => {
            assert!(matches!(**source, JoinError::NameTaken { .. }), "{source}")
        }
        other => panic!("{other}"),
    }
    cluster.kill(2).await;
    cluster.start_joining(twin, 0).await.unwrap();
    eventually("three members again", PATIENCE, || cluster[twin].node().members().len() == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_leaves_serves_alone_and_joins_again() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscWord>().await;
    let leader = cluster.wait_leader().await;
    let rest = (leader + 1) % 3;
    cluster[leader].run(|node| async move { node.leave().await }).await.unwrap();
    let left = cluster[leader].node().clone();
    assert_eq!(left.members(), [left.name().clone()]);
    assert!(left.table::<DiscWord>().is_err(), "it left the data where it was");
    eventually("the others are two", PATIENCE, || cluster[rest].node().members().len() == 2).await;
    cluster[rest].node().table::<DiscWord>().unwrap().insert(&word("without it")).await.unwrap();
    cluster.join(leader, rest).await.unwrap();
    assert!(cluster[leader].node().table::<DiscWord>().unwrap().contains("without it").unwrap());
    let alone = TestCluster::start(1).await;
    assert!(matches!(alone.handles()[0].leave().await, Err(LeaveError::NotInCluster)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_would_cost_the_majority_needs_force() {
    let mut cluster = TestCluster::start(3).await;
    let leader = cluster.wait_leader().await;
    let (dead, alive) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.kill(dead).await;
    let (dead, alive) = (cluster[dead].name().clone(), cluster[alive].name().clone());
    let node = cluster[leader].node().clone();
    let unsafe_removal = node.remove(&alive, false).await.unwrap_err();
    assert!(unsafe_removal.to_string().contains("no majority"), "{unsafe_removal}");
    node.remove(&dead, false).await.unwrap();
    eventually("two members are left", PATIENCE, || node.members().len() == 2).await;
    assert!(matches!(node.remove(&dead, false).await, Err(LeaveError::NoSuchMember(_))));
    assert!(matches!(node.remove(node.name(), false).await, Err(LeaveError::IsSelf)));
}
