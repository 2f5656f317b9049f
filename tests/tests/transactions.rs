//! What a transaction sees, what becomes of it, and what two at once come to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use tabularaft::{
    Node, ReadError, Record, TransactionError, TransactionOptions, Tx, TxError, TxTable, WriteError,
};
use tabularaft_tests::TestCluster;
use tabularaft_tests::tables::{DiscCount, DiscOnlyWord, DiscWord, RamCount, RamEvent, RamWord};

fn event(writer: &str, number: u64) -> RamEvent {
    RamEvent { writer: writer.to_owned(), number }
}

fn count(writer: &str, value: u64) -> DiscCount {
    DiscCount { writer: writer.to_owned(), value }
}

fn keys(words: &[DiscWord]) -> Vec<&str> {
    words.iter().map(|word| word.key.as_str()).collect()
}

async fn one_node() -> (TestCluster, Node) {
    let cluster = TestCluster::builder(1).diskless().start().await;
    let node = cluster[0].node().clone();
    (cluster, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_sees_its_own_writes_in_an_ordered_set_and_others_see_them_after_the_commit() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<DiscWord>().await;
    let node = cluster[0].node();
    let words = node.table::<DiscWord>().unwrap();
    for key in ["a", "c", "e", "g"] {
        words.insert(&DiscWord::new(key, "old")).await.unwrap();
    }
    let seen = node
        .transaction(|tx| {
            let words = tx.table::<DiscWord>()?;
            words.insert(&DiscWord::new("d", "own"))?;
            words.insert(&DiscWord::new("c", "own"))?;
            words.delete("e")?;
            assert_eq!(words.get("c")?.unwrap().word, "own");
            assert_eq!(words.get("e")?, None);
            assert!(!words.contains("e")? && words.contains("d")?);
            assert_eq!(keys(&words.all()?), ["a", "c", "d", "g"]);
            assert_eq!(keys(&words.range("b".."g")?), ["c", "d"]);
            assert_eq!(keys(&words.range("d"..="g")?), ["d", "g"]);
            assert_eq!(keys(&words.prefix("d")?), ["d"]);
            assert_eq!(keys(&words.scan().reverse().limit(3).records()?), ["g", "d", "c"]);
            assert_eq!(keys(&words.scan().limit(3).records()?), ["a", "c", "d"]);
            assert_eq!(words.first()?.unwrap().key, "a");
            assert_eq!(words.last()?.unwrap().key, "g");
            assert_eq!(words.next("c")?.unwrap().key, "d");
            assert_eq!(words.next("d")?.unwrap().key, "g");
            assert_eq!(words.prev("g")?.unwrap().key, "d");
            assert_eq!(words.next("g")?, None);
            assert!(words.insert_new(&DiscWord::new("e", "again"))?);
            assert!(!words.insert_new(&DiscWord::new("a", "taken"))?);
            words.delete_object(&DiscWord::new("a", "other"))?;
            words.delete_object(&DiscWord::new("g", "old"))?;
            assert_eq!(keys(&words.all()?), ["a", "c", "d", "e"]);
            Ok(words.count()?)
        })
        .await
        .unwrap();
    assert_eq!(seen, 4);
    let after: Vec<DiscWord> = words.iter().unwrap().map(Result::unwrap).collect();
    assert_eq!(keys(&after), ["a", "c", "d", "e"]);
    assert_eq!(after[0].word, "old");
    assert_eq!(after[3].word, "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_sees_its_own_writes_in_a_set_and_in_a_table_on_disc_only() {
    async fn check<R: Record<Key = String>>(cluster: &TestCluster, new: fn(&str) -> R) {
        cluster.create::<R>().await;
        let node = cluster[0].node();
        node.table::<R>().unwrap().insert(&new("b")).await.unwrap();
        node.table::<R>().unwrap().insert(&new("d")).await.unwrap();
        let keys = |words: Vec<R>| words.iter().map(|word| word.key().into_bytes()).collect::<Vec<_>>();
        let expected = |all: &[&str]| all.iter().map(|key| new(key).key().into_bytes()).collect::<Vec<_>>();
        node.transaction(|tx| {
            let words = tx.table::<R>()?;
            words.insert(&new("a"))?;
            words.insert(&new("c"))?;
            words.delete("b")?;
            assert_eq!(keys(words.all()?), expected(&["a", "c", "d"]), "a set is read in key order");
            assert_eq!(keys(words.scan().reverse().limit(2).records()?), expected(&["d", "c"]));
            assert_eq!(words.count()?, 3);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(node.table::<R>().unwrap().count().unwrap(), 3);
    }
    let cluster = TestCluster::start(1).await;
    check::<RamWord>(&cluster, |key| RamWord::new(key, "w")).await;
    check::<DiscOnlyWord>(&cluster, |key| DiscOnlyWord::new(key, "w")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_sees_its_own_writes_in_a_bag() {
    let (cluster, node) = one_node().await;
    cluster.create::<RamEvent>().await;
    let events = node.table::<RamEvent>().unwrap();
    for number in [1, 2, 3] {
        events.insert(&event("a", number)).await.unwrap();
        events.insert(&event("b", number)).await.unwrap();
    }
    node.transaction(|tx| {
        let events = tx.table::<RamEvent>()?;
        events.insert(&event("a", 2))?;
        events.insert(&event("a", 9))?;
        events.delete_object(&event("a", 1))?;
        assert_eq!(events.get_all("a")?, [event("a", 2), event("a", 3), event("a", 9)]);
        assert_eq!(events.get("a")?, Some(event("a", 2)));
        events.delete("b")?;
        assert!(!events.contains("b")?);
        assert!(events.insert_new(&event("b", 7))?);
        assert!(!events.insert_new(&event("b", 8))?);
        assert_eq!(events.get_all("b")?, [event("b", 7)]);
        assert_eq!(events.next("a")?, Some(event("b", 7)));
        assert_eq!(events.count()?, 4);
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(events.get_all("a").unwrap(), [event("a", 2), event("a", 3), event("a", 9)]);
    assert_eq!(events.get_all("b").unwrap(), [event("b", 7)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_savepoint_that_fails_takes_its_own_writes_back_and_no_others() {
    let (cluster, node) = one_node().await;
    cluster.create::<DiscCount>().await;
    let puts = |tx: &Tx, writer: &str| tx.table::<DiscCount>()?.insert(&count(writer, 1));
    node.transaction(|tx| {
        puts(tx, "outer")?;
        tx.savepoint(|tx| {
            puts(tx, "inner")?;
            let innermost = tx.savepoint(|tx| {
                puts(tx, "innermost")?;
                tx.table::<DiscCount>()?.delete("outer")?;
                tx.abort::<()>("no")
            });
            assert!(matches!(innermost, Err(TxError::Aborted(_))));
            Ok::<_, TxError>(())
        })?;
        let failed =
            tx.savepoint(|tx| puts(tx, "failed").map_err(|_| "unexpected").and(Err::<(), _>("own error")));
        assert_eq!(failed, Err("own error"));
        assert_eq!(tx.table::<DiscCount>()?.count()?, 2);
        Ok(())
    })
    .await
    .unwrap();
    let counts = node.table::<DiscCount>().unwrap();
    let there = counts.iter().unwrap().map(|count| count.unwrap().writer).collect::<Vec<_>>();
    assert_eq!(there, ["inner", "outer"]);
}

#[derive(Debug, thiserror::Error)]
#[error("{0} has too little")]
struct TooLittle(String);

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_transaction_writes_nothing_and_its_caller_finds_the_reason_again() {
    let (cluster, node) = one_node().await;
    cluster.create::<DiscCount>().await;
    let outcome = node
        .transaction(|tx| {
            let counts = tx.table::<DiscCount>()?;
            counts.insert(&count("ann", 1))?;
            assert_eq!(counts.get("bob")?, None);
            tx.abort::<()>(TooLittle("ann".to_owned()))
        })
        .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), "aborted: ann has too little");
    assert_eq!(error.aborted_with::<TooLittle>().unwrap().0, "ann");
    assert_eq!(node.table::<DiscCount>().unwrap().count().unwrap(), 0);
}

/// Runs `interfere` between the closure's reads and its end, at each of its first `times` runs.
async fn with_interference<T>(
    node: &Node,
    options: TransactionOptions,
    times: u32,
    body: impl Fn(&TxTable<'_, DiscCount>) -> Result<T, TxError>,
    interfere: impl AsyncFn(u32),
) -> (Result<T, TransactionError>, u32) {
    let runs = AtomicU32::new(0);
    let outcome = node
        .transaction_with(options, |tx| {
            let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
            let value = body(&tx.table::<DiscCount>()?)?;
            if run <= times {
                tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(interfere(run)));
            }
            Ok(value)
        })
        .await;
    (outcome.map(|transacted| transacted.value), runs.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_runs_again_when_a_record_it_read_has_changed_or_come_or_gone() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscCount>().await;
    let other = cluster[1].node().table::<DiscCount>().unwrap();
    let node = cluster[2].node();
    node.table::<DiscCount>().unwrap().insert(&count("a", 1)).await.unwrap();
    let (outcome, runs) = with_interference(
        node,
        TransactionOptions::default(),
        3,
        |counts| {
            let (a, b) = (counts.get("a")?, counts.get("b")?);
            let sum = a.map_or(0, |a| a.value) + b.map_or(0, |b| b.value);
            counts.insert(&count("sum", sum))?;
            Ok(sum)
        },
        async |run| match run {
            1 => drop(other.insert(&count("a", 5)).await.unwrap()),
            2 => drop(other.insert(&count("b", 7)).await.unwrap()),
            _ => drop(other.delete("a").await.unwrap()),
        },
    )
    .await;
    assert_eq!((outcome.unwrap(), runs), (7, 4));
    let counts = node.table::<DiscCount>().unwrap();
    assert_eq!(counts.get("sum").unwrap().unwrap().value, 7);
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_comes_into_a_range_that_was_read_is_a_conflict_and_one_outside_is_none() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscCount>().await;
    let other = cluster[1].node().table::<DiscCount>().unwrap();
    for writer in ["b", "d", "f", "h"] {
        other.insert(&count(writer, 1)).await.unwrap();
    }
    let node = cluster[0].node();
    node.table::<DiscCount>().unwrap().linearize().await.unwrap();
    let runs_when = async |writer: &str, read: fn(&TxTable<'_, DiscCount>) -> Result<usize, ReadError>| {
        let body = |counts: &TxTable<'_, DiscCount>| {
            let read = read(counts)?;
            counts.insert(&count("z", read as u64))?;
            Ok(read)
        };
        let interfere = async |_| match other.contains(writer).unwrap() {
            true => drop(other.delete(writer).await.unwrap()),
            false => drop(other.insert(&count(writer, 1)).await.unwrap()),
        };
        let (outcome, runs) =
            with_interference(node, TransactionOptions::default(), 1, body, interfere).await;
        outcome.unwrap();
        runs
    };
    assert_eq!(runs_when("c", |counts| Ok(counts.range("b".."f")?.len())).await, 2, "a phantom");
    assert_eq!(runs_when("d", |counts| Ok(counts.range("b".."f")?.len())).await, 2, "a record that is gone");
    assert_eq!(runs_when("f", |counts| Ok(counts.range("b".."f")?.len())).await, 1, "outside");
    assert_eq!(
        runs_when("g", |counts| Ok(counts.scan().limit(2).records()?.len())).await,
        1,
        "not looked at"
    );
    assert_eq!(runs_when("a", |counts| Ok(counts.scan().limit(2).records()?.len())).await, 2);
    assert_eq!(
        runs_when("a", |counts| Ok(counts.scan().range("b".."y").reverse().limit(1).records()?.len())).await,
        1
    );
    assert_eq!(runs_when("bb", |counts| Ok(counts.prefix("b")?.len())).await, 2);
    assert_eq!(runs_when("e", |counts| Ok(usize::from(counts.next("d")?.is_some()))).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cleared_table_is_a_conflict_for_whoever_has_read_a_range_of_it() {
    let (cluster, node) = one_node().await;
    cluster.create::<DiscCount>().await;
    let counts = node.table::<DiscCount>().unwrap();
    counts.insert(&count("a", 1)).await.unwrap();
    let body = |counts: &TxTable<'_, DiscCount>| Ok(counts.count()?);
    let (outcome, runs) = with_interference(&node, TransactionOptions::default(), 1, body, async |_| {
        counts.clear().await.unwrap();
    })
    .await;
    assert_eq!((outcome.unwrap(), runs), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_only_reads_or_gives_up_has_read_what_the_cluster_holds() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscCount>().await;
    let other = cluster[1].node().table::<DiscCount>().unwrap();
    let node = cluster[0].node();
    let applied = node.applied();
    let read = |counts: &TxTable<'_, DiscCount>| Ok(counts.get("a")?);
    let (outcome, runs) = with_interference(node, TransactionOptions::default(), 1, read, async |_| {
        other.insert(&count("a", 1)).await.unwrap();
    })
    .await;
    assert_eq!((outcome.unwrap(), runs), (Some(count("a", 1)), 2));
    assert_eq!(node.applied().0, applied.0 + 1, "what only reads leaves nothing in the log");
    let gives_up = |counts: &TxTable<'_, DiscCount>| match counts.get("a")? {
        Some(found) => Err::<(), _>(TxError::abort(found.value.to_string())),
        None => Ok(()),
    };
    let (outcome, _) =
        with_interference(node, TransactionOptions::default(), 0, gives_up, async |_| ()).await;
    assert_eq!(outcome.unwrap_err().to_string(), "aborted: 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_loops_on_conflicts_ends_and_names_table_and_key() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscCount>().await;
    let other = cluster[1].node().table::<DiscCount>().unwrap();
    let options = TransactionOptions { attempts_max: Some(4), timeout: None };
    let body = |counts: &TxTable<'_, DiscCount>| {
        counts.get("hot")?;
        counts.insert(&count("sum", 1))
    };
    let (outcome, runs) = with_interference(cluster[2].node(), options, 100, body, async |run| {
        other.insert(&count("hot", u64::from(run))).await.unwrap();
    })
    .await;
    match outcome.unwrap_err() {
        TransactionError::Conflict { table, key, attempts: 4 } => {
            assert_eq!((table.as_str(), key.as_str(), runs), ("disc_count", "\"hot\"", 4));
        }
        error => panic!("{error}"),
    }
    assert!(!other.contains("sum").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_over_a_limit_is_refused_and_says_which() {
    let limits = |config: &mut tabularaft::NodeConfig| {
        config.transaction_records_max = 10;
        config.transaction_bytes_max = 2_000;
    };
    let cluster = TestCluster::builder(1).diskless().config(limits).start().await;
    cluster.create::<RamWord>().await;
    let node = cluster[0].node();
    let refused = async |words: u32, bytes: usize| {
        let outcome = node.transaction(|tx| {
            let table = tx.table::<RamWord>()?;
            (0..words).try_for_each(|n| table.insert(&RamWord::new(n, "x".repeat(bytes))))
        });
        outcome.await.unwrap_err().to_string()
    };
    assert!(refused(11, 1).await.contains("11 reads and writes, the limit transaction_records_max is 10"));
    assert!(refused(1, 2_000).await.contains("the limit transaction_bytes_max is 2000"));
    let reads = node.transaction(|tx| {
        let table = tx.table::<RamWord>()?;
        (0..11).try_for_each(|n: u32| table.get(n.to_string()).map(drop))?;
        Ok(())
    });
    let error = reads.await.unwrap_err();
    assert!(
        matches!(error, TransactionError::Closure(TxError::TooLarge(limit)) if limit.found == 11),
        "{error}"
    );
    assert_eq!(node.table::<RamWord>().unwrap().count().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_from_all_nodes_at_once_keep_the_sum() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<RamCount>().await;
    let accounts = cluster[0].node().table::<RamCount>().unwrap();
    for account in 0..10 {
        accounts.insert(&RamCount { writer: account.to_string(), value: 100 }).await.unwrap();
    }
    let transfers = cluster
        .handles()
        .into_iter()
        .enumerate()
        .flat_map(|(seed, node)| (0..3).map(move |task| (seed * 3 + task, node.clone())));
    let transfers = transfers.map(|(seed, node)| {
        tokio::spawn(async move {
            for turn in 0..40 {
                let (from, to) = ((seed + turn) % 10, (seed + 3 * turn + 1) % 10);
                if from == to {
                    continue;
                }
                let transfer = node.transaction(|tx| {
                    let accounts = tx.table::<RamCount>()?;
                    let absent = || TxError::abort("no account");
                    let mut a = accounts.get(from.to_string())?.ok_or_else(absent)?;
                    let mut b = accounts.get(to.to_string())?.ok_or_else(absent)?;
                    let amount = a.value.min(7);
                    (a.value, b.value) = (a.value - amount, b.value + amount);
                    accounts.insert(&a)?;
                    accounts.insert(&b)
                });
                transfer.await.unwrap();
            }
        })
    });
    for transfer in transfers.collect::<Vec<_>>() {
        transfer.await.unwrap();
    }
    cluster.wait_equal_copies().await;
    for node in cluster.handles() {
        let view = node.view().unwrap();
        let sum = view.table::<RamCount>().unwrap().scan().fold(0, |sum, account| sum + account.value);
        assert_eq!(sum.unwrap(), 1_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_leader_a_transaction_that_only_reads_is_refused_and_a_view_is_not() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscCount>().await;
    cluster.isolate(2);
    let options =
        TransactionOptions { attempts_max: None, timeout: Some(std::time::Duration::from_millis(700)) };
    let node = cluster[2].node();
    let reads = node.transaction_with(options, |tx| Ok(tx.table::<DiscCount>()?.get("a")?)).await;
    assert!(matches!(reads, Err(TransactionError::Write(WriteError::NoLeader))), "{reads:?}");
    assert_eq!(node.view().unwrap().table::<DiscCount>().unwrap().get("a").unwrap(), None);
    cluster.heal();
    cluster.wait_leader().await;
}

#[derive(Record, Serialize, Deserialize, Debug)]
#[record(table = "own_note", kind = "set", copy = "ram", local_content)]
struct OwnNote {
    #[key]
    id: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_table_cannot_do_in_a_transaction_is_said_with_its_name_and_the_way_out() {
    let (cluster, node) = one_node().await;
    cluster.create::<RamEvent>().await;
    cluster.create::<OwnNote>().await;
    let refused = node.transaction(|tx| tx.table::<RamEvent>()?.get_for_update("w")).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.contains("ram_event") && told.contains("bag") && told.contains("get_all"), "{told}");
    let refused = node.transaction(|tx| tx.table::<OwnNote>()?.insert(&OwnNote { id: 1 })).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.contains("own_note") && told.contains("through its own handle"), "{told}");
    node.table::<OwnNote>().unwrap().insert(&OwnNote { id: 1 }).await.unwrap();
}
