//! Changes of single records that the leader works out, writes under a condition, and writes that nobody waits for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tabularaft::{
    Function, Node, Record, Rejection, Sum, Table, TransactionOptions, TxError, Update, WriteError,
    register_function,
};
use tabularaft_tests::TestCluster;
use tabularaft_tests::tables::RamEvent;

#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[record(table = "sensor", kind = "set", copy = "disc")]
struct Sensor {
    #[key]
    name: String,
    count: u64,
    lowest: i64,
    highest: f64,
    seen: Vec<String>,
}

fn sensor(name: &str) -> Sensor {
    Sensor { name: name.to_owned(), count: 0, lowest: 100, highest: 0.5, seen: Vec::new() }
}

fn take(sensor: Option<Sensor>, count: u64) -> Result<Update<Sensor, u64>, String> {
    let mut sensor = sensor.ok_or("there is no such sensor")?;
    if count == 0 {
        return Ok(Update::keep(sensor.count));
    }
    sensor.count = sensor.count.checked_sub(count).ok_or(format!("it has only {}", sensor.count))?;
    match sensor.count {
        0 => Ok(Update::delete(0)),
        left => Ok(Update::put(sensor, left)),
    }
}

fn panics(_: Option<Sensor>, (): ()) -> Result<Update<Sensor, ()>, String> {
    panic!("as it should")
}

fn renames(sensor: Option<Sensor>, name: String) -> Result<Update<Sensor, ()>, String> {
    Ok(Update::put(Sensor { name, ..sensor.unwrap_or(self::sensor("x")) }, ()))
}

static TAKE: Function<Sensor, u64, u64> = Function::new("take", take);
static PANICS: Function<Sensor, (), ()> = Function::new("panics", panics);
static RENAMES: Function<Sensor, String, ()> = Function::new("renames", renames);
static NOT_REGISTERED: Function<Sensor, u64, u64> = Function::new("not registered", take);
register_function!(TAKE);
register_function!(PANICS);
register_function!(RENAMES);

async fn cluster() -> TestCluster {
    let cluster = TestCluster::start(3).await;
    cluster.create::<Sensor>().await;
    cluster
}

fn sensors(node: &Node) -> Table<Sensor> {
    node.table::<Sensor>().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_from_all_nodes_at_once_all_happen() {
    let cluster = cluster().await;
    let callers = cluster.handles().into_iter().enumerate().map(|(at, node)| {
        tokio::spawn(async move {
            let (sensors, zero) = (sensors(&node), sensor("s"));
            for turn in 0..20 {
                let number = (at * 20 + turn) as i64;
                sensors.add("s", "count", 2, Some(&zero)).await.unwrap();
                sensors.min("s", "lowest", 50 - number, Some(&zero)).await.unwrap();
                sensors.max("s", "highest", number as f64, Some(&zero)).await.unwrap();
                sensors.append("s", "seen", &format!("{at}.{turn}"), Some(&zero)).await.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    cluster.wait_equal_copies().await;
    let found = sensors(cluster[1].node()).get("s").unwrap().unwrap();
    assert_eq!((found.count, found.lowest, found.highest, found.seen.len()), (120, -9, 59.0, 60));
    for at in 0..3 {
        let order: Vec<_> = found.seen.iter().filter(|seen| seen.starts_with(&format!("{at}."))).collect();
        let expected: Vec<String> = (0..20).map(|turn| format!("{at}.{turn}")).collect();
        assert_eq!(order, expected.iter().collect::<Vec<_>>(), "the appends of one caller keep their order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_function_runs_at_the_leader_and_its_caller_gets_what_it_returns() {
    let cluster = cluster().await;
    for node in cluster.handles() {
        let sensors = sensors(&node);
        sensors.insert(&Sensor { count: 10, ..sensor("s") }).await.unwrap();
        assert_eq!(sensors.call(&TAKE, "s", &3).await.unwrap(), 7);
        assert_eq!(sensors.call(&TAKE, "s", &0).await.unwrap(), 7);
        let refused = sensors.call(&TAKE, "s", &8).await.unwrap_err();
        assert_eq!(refused.to_string(), "function take: it has only 7");
        assert_eq!(sensors.call(&TAKE, "s", &7).await.unwrap(), 0);
        assert_eq!(sensors.get("s").unwrap(), None);
        let unknown = sensors.call(&NOT_REGISTERED, "s", &1).await.unwrap_err();
        let expected = Rejection::NoSuchFunction { function: "not registered".to_owned() };
        assert_eq!(unknown, WriteError::Rejected(expected));
        let panicked = sensors.call(&PANICS, "s", &()).await.unwrap_err();
        assert_eq!(panicked.to_string(), "function panics: it panicked");
        let renamed = sensors.call(&RENAMES, "s", &"other".to_owned()).await.unwrap_err();
        assert!(renamed.to_string().contains("another key"), "{renamed}");
        sensors.insert(&sensor("s")).await.unwrap();
        let renamed = sensors.call(&RENAMES, "s", &"other".to_owned()).await.unwrap_err();
        assert!(renamed.to_string().contains("changed the record's key"), "{renamed}");
    }
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_presence_or_content_is_checked_at_the_leader() {
    let cluster = cluster().await;
    let sensors = sensors(cluster[2].node());
    let absent = sensors.insert_existing(&sensor("s")).await.unwrap_err();
    assert_eq!(absent, WriteError::Rejected(Rejection::NoSuchRecord { table: "sensor".to_owned() }));
    let version = sensors.insert(&sensor("s")).await.unwrap();
    let one = Sensor { count: 1, ..sensor("s") };
    assert!(sensors.insert_existing(&one).await.unwrap() > version);
    let differs = sensors.replace(&sensor("s"), &one).await.unwrap_err();
    assert!(matches!(differs, WriteError::Rejected(Rejection::ValueDiffers { .. })), "{differs}");
    sensors.replace(&one, &Sensor { count: 2, ..one.clone() }).await.unwrap();
    assert_eq!(sensors.get("s").unwrap().unwrap().count, 2);
    assert!(sensors.replace(&one, &sensor("other")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_in_a_transaction_are_seen_by_it_and_conflict_with_nothing() {
    let cluster = cluster().await;
    let node = cluster[0].node();
    let other = sensors(cluster[1].node());
    other.insert(&Sensor { count: 5, ..sensor("s") }).await.unwrap();
    sensors(node).linearize().await.unwrap();
    let transacted = node.transaction_with(TransactionOptions::default(), |tx| {
        let sensors = tx.table::<Sensor>()?;
        sensors.add("s", "count", 1, None)?;
        sensors.append("s", "seen", &"tx", None)?;
        tokio::task::block_in_place(|| {
            let interfere = other.add("s", "count", 100, None);
            tokio::runtime::Handle::current().block_on(interfere).map(drop)
        })
        .map_err(TxError::abort)
    });
    assert_eq!(transacted.await.unwrap().attempts, 1, "nothing was read, so nothing conflicts");
    assert_eq!(sensors(node).get("s").unwrap().unwrap().count, 106);
    let seen = node.transaction(|tx| {
        let sensors = tx.table::<Sensor>()?;
        sensors.add("s", "count", 1, None)?;
        assert_eq!(sensors.get("s")?.unwrap().count, 107);
        sensors.insert(&Sensor { count: 3, ..sensor("s") })?;
        sensors.call(&TAKE, "s", &2)?;
        sensors.max("s", "highest", 9.0, None)?;
        let changed = sensors.get("s")?.unwrap();
        assert_eq!((changed.count, changed.highest), (1, 9.0));
        sensors.call(&TAKE, "s", &1)?;
        assert_eq!(sensors.get("s")?, None);
        sensors.add("s", "count", 4, Some(&sensor("s")))?;
        Ok(sensors.all()?)
    });
    assert_eq!(seen.await.unwrap(), [Sensor { count: 4, ..sensor("s") }]);
    let refused = node.transaction(|tx| {
        let sensors = tx.table::<Sensor>()?;
        sensors.insert(&sensor("not inserted"))?;
        sensors.add("s", "count", -5, None)
    });
    assert!(refused.await.unwrap_err().to_string().contains("overflow"));
    assert!(!sensors(node).contains("not inserted").unwrap());
    assert_eq!(sensors(node).add("s", "count", 0, None).await.unwrap(), Sum::Unsigned(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_nobody_waits_for_happen_in_order_and_a_flush_tells_what_failed() {
    let cluster = TestCluster::builder(3).config(|config| config.record_bytes_max = 1_000).start().await;
    cluster.create::<Sensor>().await;
    cluster.create::<RamEvent>().await;
    let sensors = sensors(cluster[1].node());
    let writes = sensors.no_wait();
    for count in 0..5_000 {
        let name = format!("s{}", count % 10);
        writes.insert_when_free(&Sensor { count, ..sensor(&name) }).await.unwrap();
    }
    writes.delete("s3").unwrap();
    writes.flush().await.unwrap();
    assert_eq!(sensors.count().unwrap(), 9);
    for left in [0, 1, 2, 4, 5, 6, 7, 8, 9] {
        assert_eq!(sensors.get(format!("s{left}")).unwrap().unwrap().count, 4_990 + left);
    }
    writes.insert(&sensor("before")).unwrap();
    writes.insert(&Sensor { seen: vec!["x".repeat(1_000)], ..sensor("large") }).unwrap();
    writes.insert(&sensor("after")).unwrap();
    let failed = writes.flush().await.unwrap_err();
    assert_eq!((failed.failed, failed.first[0].key.as_str()), (1, "\"large\""));
    assert!(matches!(failed.first[0].error, WriteError::Rejected(Rejection::RecordTooLarge { .. })));
    assert!(sensors.contains("before").unwrap() && sensors.contains("after").unwrap());
    writes.flush().await.unwrap();
    let events = cluster[1].node().table::<RamEvent>().unwrap().no_wait();
    let event = |number| RamEvent { writer: "w".to_owned(), number };
    events.insert(&event(1)).unwrap();
    events.insert(&event(2)).unwrap();
    events.delete_object(&event(1)).unwrap();
    events.flush().await.unwrap();
    assert_eq!(cluster[1].node().table::<RamEvent>().unwrap().get_all("w").unwrap(), [event(2)]);
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_writes_than_may_wait_are_refused_while_no_leader_takes_them() {
    let cluster = cluster().await;
    cluster.isolate(2);
    let writes = sensors(cluster[2].node()).with_timeout(Duration::from_millis(500)).no_wait();
    let refused = (0..20_000).find_map(|_| writes.insert(&sensor("s")).err());
    assert!(matches!(refused, Some(WriteError::Overloaded { waiting: 8_192 })), "{refused:?}");
    cluster.heal();
    cluster.wait_leader().await;
    if let Err(failed) = writes.flush().await {
        assert!(failed.first.iter().all(|write| write.key == "\"s\""), "{failed}");
    }
    let patient = sensors(cluster[2].node()).no_wait();
    patient.insert(&sensor("later")).unwrap();
    patient.flush().await.unwrap();
    assert!(sensors(cluster[2].node()).contains("later").unwrap());
}
