//! Records that belong to the node that wrote them: they go with it, on all copies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tabularaft::{ChangeKind, Node, Record, Table};
use tabularaft_tests::{PATIENCE, TestCluster, eventually};

/// Where a client is connected.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[record(table = "connection", kind = "set", copy = "ram", owned)]
struct Connection {
    #[key]
    client: String,
}

/// Who serves a topic.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[record(table = "served", kind = "bag", copy = "disc", owned)]
struct Served {
    #[key]
    topic: String,
    client: String,
}

const CLIENTS: usize = 1_200;

fn connections(node: &Node) -> Table<Connection> {
    node.table::<Connection>().unwrap()
}

/// Each node writes records of its own; node 2 many.
async fn cluster_with_owned_records(grace_ms: u64) -> TestCluster {
    let cluster = TestCluster::builder(3).config(|config| config.owner_grace_ms = grace_ms).start().await;
    cluster.create::<Connection>().await;
    cluster.create::<Served>().await;
    for (at, node) in cluster.handles().iter().enumerate() {
        connect(node, at, if at == 2 { CLIENTS } else { 2 }).await;
    }
    cluster.wait_equal_copies().await;
    cluster
}

async fn connect(node: &Node, at: usize, clients: usize) {
    let (connections, served) = (connections(node), node.table::<Served>().unwrap());
    let writes = (0..clients).map(|client| {
        let (connections, client) = (connections.clone(), format!("{at} {client}"));
        async move { connections.insert(&Connection { client }).await.unwrap() }
    });
    futures::future::join_all(writes).await;
    served.insert(&Served { topic: "t".to_owned(), client: at.to_string() }).await.unwrap();
}

/// Waits until the nodes hold the records of these owners alone.
async fn only_those_of(cluster: &TestCluster, owners: &[usize], nodes: &[usize]) {
    let owners: BTreeSet<String> = owners.iter().map(ToString::to_string).collect();
    for node in nodes {
        let node = cluster[*node].node();
        let held = || {
            let clients = connections(node).iter().unwrap().map(|found| found.unwrap().client);
            let of =
                clients.map(|client| client.split(' ').next().unwrap().to_owned()).collect::<BTreeSet<_>>();
            let served = node.table::<Served>().unwrap().get_all("t").unwrap();
            of == owners && served.into_iter().map(|served| served.client).collect::<BTreeSet<_>>() == owners
        };
        eventually("the records of those who are gone are deleted, and no others", PATIENCE, held).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stays_down_past_the_grace_period_loses_its_records_on_all_copies_in_few_entries() {
    let mut cluster = cluster_with_owned_records(1_500).await;
    let (_, mut changes) = connections(cluster[0].node()).subscribe().unwrap();
    cluster.kill(2).await;
    only_those_of(&cluster, &[0, 1], &[0, 1]).await;
    cluster.wait_equal_copies().await;
    let (mut deleted, mut entries) = (0, BTreeSet::new());
    while let Some(change) = changes.try_next().unwrap() {
        assert_eq!(change.kind, ChangeKind::Delete);
        deleted += 1;
        entries.insert(change.index);
    }
    assert_eq!(deleted, CLIENTS);
    assert!(entries.len() <= 6, "{} entries for {CLIENTS} records", entries.len());
    cluster.restart(2).await;
    cluster.wait_ready().await;
    connect(cluster[2].node(), 2, 1).await;
    only_those_of(&cluster, &[0, 1, 2], &[0, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_back_in_a_new_life_loses_the_records_of_the_one_before() {
    let mut cluster = cluster_with_owned_records(600_000).await;
    cluster.kill(2).await;
    for node in [0, 1] {
        assert_eq!(
            connections(cluster[node].node()).count().unwrap(),
            CLIENTS as u64 + 4,
            "within the grace period"
        );
    }
    cluster.restart(2).await;
    cluster.wait_ready().await;
    only_those_of(&cluster, &[0, 1], &[0, 1, 2]).await;
    connect(cluster[2].node(), 2, 1).await;
    only_those_of(&cluster, &[0, 1, 2], &[0, 1, 2]).await;
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_removed_loses_its_records_at_once() {
    let mut cluster = cluster_with_owned_records(600_000).await;
    cluster.kill(2).await;
    let removed = cluster[2].name().clone();
    cluster[0].run(|node| async move { node.remove(&removed, true).await }).await.unwrap();
    only_those_of(&cluster, &[0, 1], &[0, 1]).await;
    cluster.wait_equal_copies().await;
}
