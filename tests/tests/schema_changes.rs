//! Tables change while they are written to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use tabularaft::schema::TableOption;
use tabularaft::{
    CopyMode, Node, Record, Rejection, Table, TableDef, TableError, TableLimit, TableName, WriteError,
};
use tabularaft_tests::tables::{DiscCount, DiscEvent, DiscOnlyWord, DiscWord, RamEvent, RamWord};
use tabularaft_tests::workload::{Tally, Writers, check_all};
use tabularaft_tests::{PATIENCE, TestCluster, eventually};

/// What writers get done before and after each change.
const WRITES: u64 = 200;

fn name(table: &str) -> TableName {
    TableName::new(table).unwrap()
}

fn table<R: Record>(node: &Node) -> Table<R> {
    node.table::<R>().unwrap()
}

fn rejection<T: std::fmt::Debug>(outcome: Result<T, WriteError>) -> Rejection {
    match outcome.unwrap_err() {
        WriteError::Rejected(rejection) => rejection,
        other => panic!("{other}"),
    }
}

async fn set(node: &Node, table: &str, option: TableOption) {
    node.set_table_option(&name(table), option).await.unwrap();
}

fn nothing_was_refused(tallies: &[Tally]) {
    for tally in tallies {
        assert_eq!((tally.refused(), tally.unknown()), (0, 0), "{tally:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_go_with_their_table_when_it_is_renamed_while_four_writers_write() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    let writers = Writers::start::<DiscEvent, DiscCount>(&cluster, &[0, 1, 2, 0]);
    writers.wait_for_more(WRITES).await;
    let node = cluster[1].node();
    for (from, to) in [("disc_event", "elsewhere"), ("elsewhere", "disc_event")] {
        node.rename_table(&name(from), &name(to)).await.unwrap();
        writers.wait_for_more(WRITES).await;
    }
    let tallies = writers.stop().await;
    nothing_was_refused(&tallies);
    check_all::<DiscEvent, DiscCount>(&cluster, &tallies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_table_is_found_by_its_new_name_only_and_the_old_one_is_free() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<RamWord>().await;
    let node = cluster[0].node();
    let words = table::<RamWord>(node);
    words.insert(&RamWord::new("k", "before")).await.unwrap();
    node.rename_table(&name("ram_word"), &name("words")).await.unwrap();
    assert!(node.table::<RamWord>().is_err());
    assert_eq!(words.get("k").unwrap().unwrap().word, "before");
    cluster.create::<RamWord>().await;
    assert_eq!(table::<RamWord>(node).get("k").unwrap(), None);
    words.insert(&RamWord::new("l", "after")).await.unwrap();
    assert_eq!(words.count().unwrap(), 2, "the handle is still one on the renamed table");
    let taken = node.rename_table(&name("words"), &name("ram_word")).await.unwrap_err();
    assert!(taken.to_string().contains("taken"), "{taken}");
    node.drop_table(&name("words")).await.unwrap();
    assert_eq!(words.count().unwrap(), 0, "once its table is gone, its name counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_changes_its_mode_while_four_writers_write() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    let writers = Writers::start::<DiscEvent, DiscCount>(&cluster, &[0, 1, 2, 1]);
    writers.wait_for_more(WRITES).await;
    let node = cluster[2].node();
    for mode in [CopyMode::Ram, CopyMode::DiscOnly, CopyMode::Disc] {
        node.set_copy_mode(&name("disc_event"), mode).await.unwrap();
        for node in cluster.handles() {
            let view = node.store_view().unwrap();
            assert_eq!(view.table_named(&name("disc_event")).unwrap().mode(), mode, "{}", node.name());
        }
        writers.wait_for_more(WRITES).await;
    }
    let tallies = writers.stop().await;
    nothing_was_refused(&tallies);
    check_all::<DiscEvent, DiscCount>(&cluster, &tallies).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_table_refuses_writes_and_names_the_way_out_while_others_go_on() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<RamWord>().await;
    cluster.create::<DiscWord>().await;
    let node = cluster[1].node();
    let (words, others) = (table::<RamWord>(node), table::<DiscWord>(node));
    let version = words.insert(&RamWord::new("k", "before")).await.unwrap();
    set(node, "ram_word", TableOption::ReadOnly(true)).await;
    let read_only = Rejection::ReadOnly { table: "ram_word".to_owned() };
    assert!(read_only.to_string().contains("--read-only off"), "{read_only}");
    let record = RamWord::new("k", "after");
    assert_eq!(rejection(words.insert(&record).await), read_only);
    assert_eq!(rejection(words.insert_new(&RamWord::new("l", "new")).await), read_only);
    assert_eq!(rejection(words.compare_and_swap(version, &record).await), read_only);
    assert_eq!(rejection(words.delete("k").await), read_only);
    assert_eq!(rejection(words.clear().await), read_only);
    assert_eq!(words.get("k").unwrap().unwrap().word, "before");
    others.insert(&DiscWord::new("k", "w")).await.unwrap();
    set(node, "ram_word", TableOption::ReadOnly(false)).await;
    words.insert(&record).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_never_holds_more_records_than_its_limit_however_many_write_at_once() {
    const LIMIT: u64 = 100;
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscOnlyWord>().await;
    cluster.create::<RamEvent>().await;
    let node = cluster[0].node();
    for table in ["disc_only_word", "ram_event"] {
        set(node, table, TableOption::RecordsMax(Some(LIMIT))).await;
    }
    let write = |at: usize| {
        let node = cluster[at].node();
        let (words, events) = (table::<DiscOnlyWord>(node), table::<RamEvent>(node));
        async move {
            let mut taken = [0; 2];
            for number in 0..LIMIT {
                let key = format!("{number} of {at}");
                let full =
                    |error| assert!(matches!(rejection(Err::<u64, _>(error)), Rejection::TableFull { .. }));
                match words.insert(&DiscOnlyWord::new(&key, "w")).await {
                    Ok(_) => taken[0] += 1,
                    Err(error) => full(error),
                }
                match events.insert(&RamEvent { writer: at.to_string(), number }).await {
                    Ok(_) => taken[1] += 1,
                    Err(error) => full(error),
                }
            }
            taken
        }
    };
    let taken = tokio::join!(write(0), write(1), write(2));
    for of in 0..2 {
        assert_eq!(taken.0[of] + taken.1[of] + taken.2[of], LIMIT);
    }
    let words = table::<DiscOnlyWord>(node);
    words.linearize().await.unwrap();
    assert_eq!(words.count().unwrap(), LIMIT);
    let expected = Rejection::TableFull {
        table: "disc_only_word".to_owned(),
        of: TableLimit::Records,
        limit: LIMIT,
        now: LIMIT,
    };
    assert_eq!(rejection(words.insert(&DiscOnlyWord::new("one more", "w")).await), expected);
    assert!(expected.to_string().contains("holds 100 of at most 100 records"), "{expected}");
    let there = words.iter().unwrap().next().unwrap().unwrap().key;
    words.insert(&DiscOnlyWord::new(&there, "replaced")).await.unwrap();
    words.delete(&there).await.unwrap();
    words.insert(&DiscOnlyWord::new("one more", "w")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_in_bytes_counts_keys_and_records_and_a_table_beyond_it_may_shrink() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<RamWord>().await;
    let node = cluster[0].node();
    let words = table::<RamWord>(node);
    words.insert(&RamWord::new("k", "x".repeat(100))).await.unwrap();
    let now = node.store_view().unwrap().table_named(&name("ram_word")).unwrap().payload_bytes();
    set(node, "ram_word", TableOption::BytesMax(Some(now - 1))).await;
    let full = rejection(words.insert(&RamWord::new("l", "y")).await);
    assert_eq!(
        full,
        Rejection::TableFull { table: "ram_word".to_owned(), of: TableLimit::Bytes, limit: now - 1, now }
    );
    words.insert(&RamWord::new("k", "x".repeat(98))).await.unwrap();
    let full = rejection(words.insert(&RamWord::new("k", "x".repeat(100))).await);
    assert!(matches!(full, Rejection::TableFull { of: TableLimit::Bytes, .. }), "{full}");
    words.delete("k").await.unwrap();
    words.insert(&RamWord::new("l", "y")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_clearing_in_one_batch_sees_the_table_empty() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<RamWord>().await;
    let words = table::<RamWord>(cluster[0].node());
    for round in 0..20 {
        let record = RamWord::new("k", round);
        words.insert(&record).await.unwrap();
        let (cleared, inserted) = tokio::join!(words.clear(), words.insert_new(&record));
        assert_eq!(cleared.unwrap(), 1);
        inserted.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_starts_again_on_a_table_whose_options_and_mode_were_changed() {
    let mut cluster = TestCluster::start(1).await;
    cluster.create::<DiscWord>().await;
    let node = cluster[0].node();
    set(node, "disc_word", TableOption::RecordsMax(Some(7))).await;
    node.set_copy_mode(&name("disc_word"), CopyMode::DiscOnly).await.unwrap();
    table::<DiscWord>(node).insert(&DiscWord::new("k", "w")).await.unwrap();
    cluster.stop(0).await;
    cluster.restart(0).await;
    cluster.wait_ready().await;
    let node = cluster[0].node();
    node.create_table::<DiscWord>().await.unwrap();
    let words = table::<DiscWord>(node);
    eventually("the record is read again", PATIENCE, || words.contains("k") == Ok(true)).await;
    let def = node.store_view().unwrap().table_named(&name("disc_word")).unwrap().def().clone();
    assert_eq!((def.copy, def.options.records_max), (CopyMode::DiscOnly, Some(7)));
    let strict = node.create(DiscWord::table_def()).await.unwrap_err();
    assert!(matches!(strict, TableError::Write(_)) && strict.to_string().contains("records_max"), "{strict}");
    let other = TableDef { key: vec!["word".to_owned()], ..DiscWord::table_def() };
    assert!(node.create(other).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_moves_between_learners_and_never_from_a_voter() {
    let mut cluster = TestCluster::builder(1).start().await;
    for number in 2..=3 {
        let at = cluster.add(&format!("n{number}@localhost"));
        let peer = cluster[0].address();
        let learner = tabularaft::NodeConfig { voter: false, ..cluster.config().clone() };
        cluster.start_with(at, |builder| builder.config(learner).join(peer)).await.unwrap();
    }
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    let writers = Writers::start::<DiscEvent, DiscCount>(&cluster, &[0, 0, 0, 0]);
    writers.wait_for_more(WRITES).await;
    let node = cluster[0].node();
    let (n1, n2, n3) = (cluster[0].name(), cluster[1].name(), cluster[2].name());
    let events = name("disc_event");
    let holds = |at: usize| cluster[at].node().store_view().unwrap().table_named(&events).is_some();
    node.delete_copy(&events, n3).await.unwrap();
    eventually("the copy is given up", PATIENCE, || !holds(2)).await;
    node.move_copy(&events, n2, n3).await.unwrap();
    eventually("the copy has moved", PATIENCE, || !holds(1) && holds(2)).await;
    writers.wait_for_more(WRITES).await;
    let voter = node.move_copy(&events, n1, n2).await.unwrap_err();
    assert!(voter.to_string().contains("votes"), "{voter}");
    assert!(!holds(1), "it is refused before anything is copied");
    let none = node.move_copy(&events, n2, n3).await.unwrap_err();
    assert!(none.to_string().contains("holds no copy"), "{none}");
    let tallies = writers.stop().await;
    nothing_was_refused(&tallies);
    let at = node.applied().0;
    cluster.wait_applied(at, PATIENCE).await;
    for tally in &tallies {
        tally.check::<DiscEvent, DiscCount>(node);
        tally.check::<DiscEvent, DiscCount>(cluster[2].node());
    }
}
