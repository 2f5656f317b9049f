//! Records that everybody wants to change at once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tabularaft::{Node, TransactionError, TransactionOptions, Tx, TxError};
use tabularaft_tests::tables::{RamCount, RamEvent};
use tabularaft_tests::{PATIENCE, TestCluster, eventually};

/// Callers on each of the three nodes.
const CALLERS: usize = 10;

fn add(tx: &Tx, writer: &str, for_update: bool) -> Result<(), TxError> {
    let counts = tx.table::<RamCount>()?;
    let count = if for_update { counts.get_for_update(writer)? } else { counts.get(writer)? };
    let value = count.map_or(0, |count| count.value) + 1;
    counts.insert(&RamCount { writer: writer.to_owned(), value })
}

fn value(node: &Node, writer: &str) -> u64 {
    node.table::<RamCount>().unwrap().get(writer).unwrap().map_or(0, |count| count.value)
}

/// Every caller runs `times` transactions; returns how many attempts they took together.
async fn run(
    cluster: &TestCluster,
    times: u64,
    body: impl Fn(&Tx, usize) -> Result<(), TxError> + Send + Sync + 'static,
) -> u64 {
    let body = Arc::new(body);
    let callers = cluster
        .handles()
        .into_iter()
        .enumerate()
        .flat_map(|(at, node)| (0..CALLERS).map(move |caller| (at * CALLERS + caller, node.clone())));
    let callers = callers.map(|(caller, node)| {
        let body = Arc::clone(&body);
        tokio::spawn(async move {
            let mut attempts = 0;
            for _ in 0..times {
                let done = node.transaction_with(TransactionOptions::default(), |tx| body(tx, caller)).await;
                attempts += u64::from(done.unwrap().attempts);
            }
            attempts
        })
    });
    let mut attempts = 0;
    for caller in callers.collect::<Vec<_>>() {
        attempts += caller.await.unwrap();
    }
    attempts
}

async fn cluster() -> TestCluster {
    let cluster = TestCluster::start(3).await;
    cluster.create::<RamCount>().await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_one_record_for_update_waits_in_a_queue_and_hardly_ever_fails() {
    let cluster = cluster().await;
    let began = Instant::now();
    let attempts = run(&cluster, 100, |tx, _| add(tx, "hot", true)).await;
    println!("increments per second {:.0}, attempts {attempts}", 3_000.0 / began.elapsed().as_secs_f64());
    let copies = cluster.wait_equal_copies().await;
    assert_eq!(copies.records("ram_count"), 1);
    cluster.handles().iter().for_each(|node| assert_eq!(value(node, "hot"), 3_000));
    assert!(attempts < 3_000 + 300, "{attempts} attempts for 3000 transactions");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_being_asked_for_it_the_queue_is_used_after_some_conflicts() {
    let cluster = cluster().await;
    let attempts = run(&cluster, 10, |tx, _| add(tx, "hot", false)).await;
    println!("attempts for 300 transactions: {attempts}");
    cluster.wait_equal_copies().await;
    assert_eq!(value(cluster[0].node(), "hot"), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_wanted_in_opposite_order_are_no_deadlock() {
    let cluster = cluster().await;
    run(&cluster, 20, |tx, caller| {
        let (one, other) = if caller % 2 == 0 { ("a", "b") } else { ("b", "a") };
        add(tx, one, true)?;
        add(tx, other, true)?;
        if caller % 3 == 0 { add(tx, "c", true) } else { Ok(()) }
    })
    .await;
    cluster.wait_equal_copies().await;
    let node = cluster[0].node();
    assert_eq!((value(node, "a"), value(node, "b"), value(node, "c")), (600, 600, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_goes_on_when_callers_give_up_and_nodes_and_leaders_die() {
    let mut cluster = cluster().await;
    let (stop, counted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers = |node: Node| {
        let (stop, counted) = (Arc::clone(&stop), Arc::clone(&counted));
        (0..4).map(move |caller: u64| {
            let (node, stop, counted) = (node.clone(), Arc::clone(&stop), Arc::clone(&counted));
            tokio::spawn(async move {
                let mut unknown = 0;
                while !stop.load(Ordering::SeqCst) {
                    let done = node.transaction(|tx| add(tx, "hot", true));
                    // Some callers have no patience, and their futures are dropped wherever they are.
                    let patience = if caller == 0 { Duration::from_millis(1) } else { PATIENCE };
                    match tokio::time::timeout(patience, done).await {
                        Ok(Ok(())) => drop(counted.fetch_add(1, Ordering::SeqCst)),
                        Ok(Err(TransactionError::Write(tabularaft::WriteError::Stopped))) => return unknown,
                        Err(_) | Ok(Err(TransactionError::Write(tabularaft::WriteError::Unknown))) => {
                            unknown += 1;
                        }
                        Ok(Err(error)) => panic!("{error}"),
                    }
                }
                unknown
            })
        })
    };
    let mut tasks: Vec<_> = cluster.handles().into_iter().flat_map(callers).collect();
    for _ in 0..3 {
        let more = counted.load(Ordering::SeqCst) + 100;
        eventually("the queue goes on", PATIENCE, || counted.load(Ordering::SeqCst) >= more).await;
        let leader = cluster.wait_leader().await;
        cluster.kill(leader).await;
        let more = counted.load(Ordering::SeqCst) + 100;
        eventually("the queue goes on without the leader", PATIENCE, || {
            counted.load(Ordering::SeqCst) >= more
        })
        .await;
        cluster.restart(leader).await;
        cluster.wait_ready().await;
        tasks.extend(callers(cluster[leader].node().clone()));
    }
    stop.store(true, Ordering::SeqCst);
    let mut unknown = 0;
    for task in tasks {
        unknown += task.await.unwrap();
    }
    cluster.wait_equal_copies().await;
    let counted = counted.load(Ordering::SeqCst);
    let found = value(cluster[0].node(), "hot");
    assert!(
        (counted..=counted + unknown).contains(&found),
        "{found} is not {counted} and up to {unknown} more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_a_bag_cannot_be_read_for_update() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<RamEvent>().await;
    let read = |tx: &Tx| Ok(tx.table::<RamEvent>()?.get_for_update("w")?.is_some());
    let error = cluster[0].node().transaction(read).await.unwrap_err();
    assert!(error.to_string().contains("bag cannot be read for update"), "{error}");
}
