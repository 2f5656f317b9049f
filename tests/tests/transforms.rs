//! The records of a table get another shape while it is read and written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tabularaft::schema::{FieldType, RecordShape, register_migration};
use tabularaft::{Node, Record, Rejection, Table, TableError, TableName, WriteError};
use tabularaft_tests::{PATIENCE, TestCluster, eventually};
use tokio::task::JoinHandle;

/// A part, of which the size is in metres.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "part", kind = "ordered-set", copy = "disc")]
struct PartV1 {
    #[key]
    id: String,
    metres: u64,
}

/// A part, of which the size is in millimetres.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "part", kind = "ordered-set", copy = "disc", version = 2)]
struct Part {
    #[key]
    id: String,
    millimetres: u64,
    note: Option<String>,
}

impl TryFrom<PartV1> for Part {
    type Error = String;

    fn try_from(old: PartV1) -> Result<Self, String> {
        match old.metres.checked_mul(1000) {
            Some(millimetres) => Ok(Self { id: old.id, millimetres, note: None }),
            None => Err(format!("{} metres are too many", old.metres)),
        }
    }
}

register_migration!(PartV1 => Part);

/// An entry of a log, in a bag.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "line", kind = "bag", copy = "ram")]
struct LineV1 {
    #[key]
    of: String,
    number: u64,
}

/// An entry of a log, with labels.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "line", kind = "bag", copy = "ram", version = 2)]
struct Line {
    #[key]
    of: String,
    number: u64,
    labels: Vec<String>,
}

fn table<R: Record>(node: &Node) -> Table<R> {
    node.table::<R>().unwrap()
}

fn part_v1(id: impl ToString, metres: u64) -> PartV1 {
    PartV1 { id: id.to_string(), metres }
}

fn rejection(error: TableError) -> Rejection {
    match error {
        TableError::Write(WriteError::Rejected(rejection)) => rejection,
        other => panic!("{other}"),
    }
}

/// How many records of former versions a node holds.
fn former(node: &Node, name: &str) -> usize {
    let view = node.store_view().unwrap();
    let copy = view.table_named(&TableName::new(name).unwrap()).unwrap();
    copy.rows().filter(|row| row.as_ref().unwrap().record_version() < copy.def().shape.version).count()
}

fn is_transformed(node: &Node, name: &str) -> bool {
    let view = node.store_view().unwrap();
    view.schema().table(name).is_some_and(|table| table.def.shape.version == 2 && table.former.is_empty())
}

/// Writers that go on with the new type as soon as the table has it; the old one is refused before anything is sent.
struct Writers {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<u64>>,
}

impl Writers {
    fn start(nodes: &[Node]) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let tasks = nodes.iter().enumerate().map(|(writer, node)| {
            let (node, stop, written) = (node.clone(), Arc::clone(&stop), Arc::clone(&written));
            tokio::spawn(async move {
                let old = table::<PartV1>(&node);
                let mut number = 0;
                while !stop.load(Ordering::SeqCst) {
                    let id = format!("writer {writer}: {number}");
                    let outcome = match old.insert(&part_v1(&id, number)).await {
                        Err(WriteError::Definition { .. }) => {
                            let new = table::<Part>(&node);
                            new.insert(&Part { id, millimetres: number * 1000, note: None }).await
                        }
                        outcome => outcome,
                    };
                    outcome.unwrap();
                    number += 1;
                    written.fetch_add(1, Ordering::SeqCst);
                }
                number
            })
        });
        let tasks = tasks.collect();
        Self { stop, written, tasks }
    }

    async fn wait_for_more(&self, writes: u64) {
        let wanted = self.written.load(Ordering::SeqCst) + writes;
        let enough = || self.written.load(Ordering::SeqCst) >= wanted;
        eventually("more writes are acknowledged", PATIENCE, enough).await;
    }

    /// Stops them, and checks that a node holds what they wrote.
    async fn stop(self, node: &Node) {
        self.stop.store(true, Ordering::SeqCst);
        let parts = table::<Part>(node);
        for (writer, task) in self.tasks.into_iter().enumerate() {
            let numbers = task.await.unwrap();
            parts.linearize().await.unwrap();
            for number in 0..numbers {
                let part = parts.get(format!("writer {writer}: {number}")).unwrap();
                assert_eq!(part.map(|part| part.millimetres), Some(number * 1000), "{number} of {writer}");
            }
        }
    }
}

async fn fill(node: &Node, records: u64) {
    let parts = table::<PartV1>(node);
    let numbers: Vec<u64> = (0..records).collect();
    for some in numbers.chunks(200) {
        let writes = some.iter().map(|number| {
            let parts = parts.clone();
            async move { parts.insert(&part_v1(number, *number)).await.unwrap() }
        });
        futures::future::join_all(writes).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_transformed_while_four_writers_write_and_no_write_fails() {
    const RECORDS: u64 = 2_000;
    let cluster = TestCluster::start(3).await;
    cluster.create::<PartV1>().await;
    let nodes = cluster.handles();
    fill(&nodes[0], RECORDS).await;
    let writers = Writers::start(&[nodes[0].clone(), nodes[1].clone(), nodes[2].clone(), nodes[0].clone()]);
    writers.wait_for_more(100).await;
    nodes[1].transform::<Part>().await.unwrap();
    let parts = table::<Part>(&nodes[1]);
    assert_eq!(
        parts.get("7").unwrap().unwrap().millimetres,
        7_000,
        "it is read through the migration at once"
    );
    writers.wait_for_more(100).await;
    nodes[1].transformed(parts.name()).await.unwrap();
    writers.wait_for_more(100).await;
    writers.stop(&nodes[2]).await;
    cluster.wait_equal_copies().await;
    for node in &nodes {
        assert_eq!(former(node, "part"), 0);
        let parts = table::<Part>(node);
        for number in 0..RECORDS {
            assert_eq!(parts.get(number.to_string()).unwrap().unwrap().millimetres, number * 1000);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_leader_goes_on_rewriting_where_the_last_one_was_killed() {
    const RECORDS: u64 = 12_000;
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<PartV1>().await;
    let leader = cluster.wait_leader().await;
    fill(cluster[leader].node(), RECORDS).await;
    cluster[leader].node().transform::<Part>().await.unwrap();
    let survivor = (leader + 1) % 3;
    let node = cluster[survivor].node().clone();
    eventually("some records are rewritten", PATIENCE, || former(&node, "part") < RECORDS as usize).await;
    cluster.kill(leader).await;
    eventually("another leader rewrites the rest", PATIENCE, || is_transformed(&node, "part")).await;
    assert_eq!(former(&node, "part"), 0);
    cluster.restart(leader).await;
    cluster.wait_ready().await;
    cluster.wait_equal_copies().await;
    let parts = table::<Part>(cluster[leader].node());
    for number in (0..RECORDS).step_by(7) {
        assert_eq!(parts.get(number.to_string()).unwrap().unwrap().millimetres, number * 1000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_at_a_record_names_it_and_leaves_the_table_unchanged() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<PartV1>().await;
    let node = cluster[1].node();
    fill(node, 50).await;
    let old = table::<PartV1>(node);
    old.insert(&part_v1("too long", u64::MAX)).await.unwrap();
    let before = cluster.wait_equal_copies().await;
    let refused = rejection(node.transform::<Part>().await.unwrap_err());
    let Rejection::Migration { table: name, key, why } = &refused else { panic!("{refused}") };
    assert_eq!((name.as_str(), key.as_str()), ("part", "too long"));
    assert!(why.contains("metres are too many") && refused.to_string().contains("unchanged"), "{refused}");
    assert_eq!(cluster.wait_equal_copies().await.tables, before.tables);
    assert_eq!(old.get("7").unwrap().unwrap().metres, 7, "the old type still reads it");
    old.delete("too long").await.unwrap();
    node.transform::<Part>().await.unwrap();
    assert!(old.get("7").unwrap_err().to_string().contains("record version"));
    let stale = old.insert(&part_v1("stale", 1)).await.unwrap_err();
    assert!(matches!(stale, WriteError::Definition { .. }), "{stale}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_takes_a_migration_is_refused_without_one_and_names_the_field() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<LineV1>().await;
    let node = cluster[0].node();
    let name = TableName::new("line").unwrap();
    let shape = RecordShape::new(2, [("of", FieldType::String), ("number", FieldType::String)]);
    let refused = node.transform_table(&name, shape).await.unwrap_err().to_string();
    assert!(refused.contains("`number` was u64") && refused.contains("register_migration!"), "{refused}");
    let shape = RecordShape::new(2, [("number", FieldType::U64)]);
    let refused = node.transform_table(&name, shape).await.unwrap_err().to_string();
    assert!(refused.contains("`of`"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_records_of_a_bag_are_transformed_and_found_in_either_form() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<LineV1>().await;
    let node = cluster[2].node();
    let old = table::<LineV1>(node);
    let line_v1 = |number| LineV1 { of: "a".to_owned(), number };
    let line = |number| Line { of: "a".to_owned(), number, labels: Vec::new() };
    for number in 0..20 {
        old.insert(&line_v1(number)).await.unwrap();
    }
    node.transform::<Line>().await.unwrap();
    let lines = table::<Line>(node);
    assert!(lines.delete_object(&line(3)).await.unwrap(), "rewritten or not");
    lines.insert(&line(4)).await.unwrap();
    lines.insert(&line(20)).await.unwrap();
    let expected: Vec<u64> = (0..=20).filter(|number| *number != 3).collect();
    let numbers = |lines: &Table<Line>| {
        let mut numbers: Vec<u64> = lines.get_all("a").unwrap().iter().map(|line| line.number).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers(&lines), expected);
    node.transformed(lines.name()).await.unwrap();
    cluster.wait_equal_copies().await;
    for node in cluster.handles() {
        assert_eq!(former(&node, "line"), 0);
        assert_eq!(numbers(&table::<Line>(&node)), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_conditions_and_transactions_work_on_records_that_are_not_rewritten_yet() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<PartV1>().await;
    let node = cluster[0].node();
    let old = table::<PartV1>(node);
    let version = old.insert(&part_v1("a", 1)).await.unwrap();
    for id in ["b", "c"] {
        old.insert(&part_v1(id, 1)).await.unwrap();
    }
    node.transform::<Part>().await.unwrap();
    let parts = table::<Part>(node);
    let found = parts.get_versioned("a").unwrap().unwrap();
    assert_eq!(found.version, version, "a record is the same record in another form");
    let changed = Part { millimetres: 5, ..found.record };
    parts.compare_and_swap(version, &changed).await.unwrap();
    parts.add("b", "millimetres", 1, None).await.unwrap();
    node.transaction(|tx| {
        let parts = tx.table::<Part>()?;
        let part = parts.get("c")?.expect("it is there");
        parts.insert(&Part { note: Some("seen".to_owned()), ..part })
    })
    .await
    .unwrap();
    assert_eq!(parts.get("a").unwrap().unwrap().millimetres, 5);
    assert_eq!(parts.get("b").unwrap().unwrap().millimetres, 1_001);
    let third = parts.get("c").unwrap().unwrap();
    assert_eq!((third.millimetres, third.note.as_deref()), (1_000, Some("seen")));
    node.transformed(parts.name()).await.unwrap();
    assert_eq!(parts.count().unwrap(), 3);
}

/// A badge, of which the number is unique.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "badge", kind = "set", copy = "ram")]
struct BadgeV1 {
    #[key]
    holder: String,
    #[index(unique)]
    number: u64,
}

/// A badge whose number has lost its last digit.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "badge", kind = "set", copy = "ram", version = 2)]
struct Badge {
    #[key]
    holder: String,
    #[index(unique)]
    number: u64,
}

impl From<BadgeV1> for Badge {
    fn from(old: BadgeV1) -> Self {
        Self { holder: old.holder, number: old.number / 10 }
    }
}

register_migration!(BadgeV1 => Badge);

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_gives_two_records_one_unique_value_is_refused_and_names_their_keys() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<BadgeV1>().await;
    let node = cluster[2].node();
    let old = table::<BadgeV1>(node);
    let badge_v1 = |holder: &str, number| BadgeV1 { holder: holder.to_owned(), number };
    for (holder, number) in [("ann", 10), ("bob", 20), ("eve", 21)] {
        old.insert(&badge_v1(holder, number)).await.unwrap();
    }
    let refused = rejection(node.transform::<Badge>().await.unwrap_err());
    let Rejection::Duplicates { index, values: 1, first, .. } = &refused else { panic!("{refused}") };
    assert_eq!((index.as_str(), first[0].value.as_str()), ("number", "2"));
    assert_eq!(first[0].keys, [r#""bob""#, r#""eve""#]);
    assert_eq!(old.get("eve").unwrap().unwrap().number, 21, "the table is unchanged");
    old.insert(&badge_v1("eve", 30)).await.unwrap();
    node.transform::<Badge>().await.unwrap();
    let badges = table::<Badge>(node);
    node.wait_for_index(badges.name(), "number", PATIENCE).await.unwrap();
    assert_eq!(badges.index("number").unwrap().get(3u64).unwrap()[0].holder, "eve");
    let taken = badges.insert(&Badge { holder: "joe".to_owned(), number: 1 }).await.unwrap_err();
    assert!(matches!(taken, WriteError::Rejected(Rejection::UniqueViolation { .. })), "{taken}");
}

/// A seat, whose number no migration changes.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "seat", kind = "set", copy = "ram")]
struct SeatV1 {
    #[key]
    id: u64,
    #[index(unique)]
    number: u64,
}

/// A seat with a note.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "seat", kind = "set", copy = "ram", version = 2)]
struct Seat {
    note: Option<String>,
    #[key]
    id: u64,
    #[index(unique)]
    number: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_whose_values_stay_serves_at_once_when_fields_come_and_go() {
    const SEATS: u64 = 5_000;
    let cluster = TestCluster::start(1).await;
    cluster.create::<SeatV1>().await;
    let node = cluster[0].node();
    let old = table::<SeatV1>(node);
    let ids: Vec<u64> = (0..SEATS).collect();
    for some in ids.chunks(200) {
        let inserts = some.iter().map(|id| {
            let old = old.clone();
            async move { old.insert(&SeatV1 { id: *id, number: id + 1 }).await.unwrap() }
        });
        futures::future::join_all(inserts).await;
    }
    node.transform::<Seat>().await.unwrap();
    // Nothing was built anew: no look at the index can come too early.
    let seats = table::<Seat>(node);
    let seat = |id, number| Seat { note: None, id, number };
    assert_eq!(seats.index("number").unwrap().get(5u64).unwrap(), [seat(4, 5)]);
    seats.insert(&seat(4, SEATS + 1)).await.unwrap();
    let taken = seats.insert(&seat(SEATS, 7)).await.unwrap_err();
    assert!(matches!(taken, WriteError::Rejected(Rejection::UniqueViolation { .. })), "{taken}");
    node.transformed(seats.name()).await.unwrap();
    let numbers = seats.index("number").unwrap();
    for id in (0..SEATS).filter(|id| *id != 4) {
        assert_eq!(numbers.get(id + 1).unwrap(), [seat(id, id + 1)]);
    }
    assert_eq!(numbers.get(SEATS + 1).unwrap(), [seat(4, SEATS + 1)]);
    assert!(numbers.get(5u64).unwrap().is_empty());
}
