//! Secondary indexes: added, read, enforced and dropped while a cluster works.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use tabularaft::admin::AdminClient;
use tabularaft::admin::protocol::{FieldFilter, ReadMode, ScanRequest, TableRef};
use tabularaft::schema::{IndexDef, IndexOn, Value, register_index_function};
use tabularaft::{
    Cursor, IndexReadError, Node, ReadError, Record, Rejection, TableError, TableName, WriteError,
};
use tabularaft_tests::{PATIENCE, TestCluster, retry};

#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[record(table = "user", copy = "ram")]
struct User {
    #[key]
    id: u64,
    mail: String,
    city: Option<String>,
    #[index(each, name = "by_tag")]
    tags: Vec<String>,
}

impl User {
    fn new(id: u64, mail: &str) -> Self {
        Self { id, mail: mail.to_owned(), city: None, tags: Vec::new() }
    }
}

fn domain(user: &User) -> Option<String> {
    user.mail.split_once('@').map(|(_, domain)| domain.to_owned())
}

register_index_function!("mail_domain", domain: fn(&User) -> Option<String>);

/// The same on disc, with indexes that are declared.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[record(table = "account", kind = "ordered-set", copy = "disc", index(name = "by_half", function = "half"))]
struct Account {
    #[key]
    id: u64,
    #[index(unique)]
    name: String,
    #[index]
    branch: u64,
}

fn half(account: &Account) -> [u64; 1] {
    [account.id / 2]
}

register_index_function!("half", half: fn(&Account) -> [u64; 1]);

fn account(id: u64, name: &str, branch: u64) -> Account {
    Account { id, name: name.to_owned(), branch }
}

fn name(table: &str) -> TableName {
    TableName::new(table).unwrap()
}

fn ids(users: Vec<User>) -> Vec<u64> {
    users.into_iter().map(|user| user.id).collect()
}

fn rejection(error: impl Into<tabularaft::Error>) -> Rejection {
    match error.into() {
        tabularaft::Error::Write(WriteError::Rejected(rejection))
        | tabularaft::Error::Table(TableError::Write(WriteError::Rejected(rejection))) => rejection,
        other => panic!("not rejected: {other}"),
    }
}

/// On every node the index finds just the records that have its values.
async fn check_cities(cluster: &TestCluster) {
    for node in cluster.handles() {
        node.wait_for_index(&name("user"), "city", PATIENCE).await.unwrap();
        let users = node.table::<User>().unwrap();
        users.linearize().await.unwrap();
        let mut expected: Vec<_> = users.iter().unwrap().map(|user| user.unwrap()).collect();
        expected.sort_by(|a, b| (&a.city, a.id).cmp(&(&b.city, b.id)));
        let found = users.index("city").unwrap().scan().records().unwrap();
        assert_eq!(found.len(), expected.len(), "{}", node.name());
        assert!(found == expected, "{} finds other records", node.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_added_while_four_writers_write_and_no_write_fails() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<User>().await;
    let nodes = cluster.handles();
    let (stop, mut writers) = (Arc::new(AtomicBool::new(false)), Vec::new());
    for writer in 0..4u64 {
        let (users, stop) = (nodes[writer as usize % 3].table::<User>().unwrap(), Arc::clone(&stop));
        writers.push(tokio::spawn(async move {
            let mut number = 0;
            while number < 800 || !stop.load(Ordering::Relaxed) {
                let id = writer + 4 * (number % 600);
                let city = (!number.is_multiple_of(3)).then(|| format!("city {}", number % 7));
                users.insert(&User { city, ..User::new(id, "m@x") }).await.unwrap();
                if number.is_multiple_of(5) {
                    users.delete(id).await.unwrap();
                }
                number += 1;
            }
        }));
    }
    let users = nodes[0].table::<User>().unwrap();
    retry("there is something to index", PATIENCE, || async {
        if users.count().unwrap() >= 1_200 { Ok(()) } else { Err("few records") }
    })
    .await;
    nodes[1].add_index(&name("user"), IndexDef::on_field("city")).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    check_cities(&cluster).await;
    assert!(nodes[2].indexes(&name("user")).unwrap().iter().all(|index| index.active));
    cluster.wait_equal_copies().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_nodes_that_want_one_value_exactly_one_gets_it() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<Account>().await;
    let nodes = cluster.handles();
    for round in 0..20u64 {
        let wanted = format!("name {round}");
        let attempts = nodes.iter().zip(0..).map(|(node, at)| {
            let (accounts, wanted) = (node.table::<Account>().unwrap(), wanted.clone());
            tokio::spawn(async move { accounts.insert(&account(round * 3 + at, &wanted, 0)).await })
        });
        let mut won = 0;
        for attempt in attempts.collect::<Vec<_>>() {
            match attempt.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => {
                    let rejected = rejection(error);
                    assert!(matches!(rejected, Rejection::UniqueViolation { .. }), "{rejected}");
                }
            }
        }
        assert_eq!(won, 1, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_free_again_when_its_record_is_deleted_or_changed() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<Account>().await;
    let node = &cluster.handles()[0];
    let accounts = node.table::<Account>().unwrap();
    accounts.insert(&account(1, "a", 0)).await.unwrap();
    accounts.insert(&account(1, "a", 1)).await.unwrap();
    let taken = rejection(accounts.insert(&account(2, "a", 0)).await.unwrap_err());
    let message =
        r#"table account: the value "a" of the unique index name is taken by the record with key 1"#;
    assert_eq!(taken.to_string(), message);
    accounts.insert(&account(1, "b", 0)).await.unwrap();
    accounts.insert(&account(2, "a", 0)).await.unwrap();
    accounts.delete(1).await.unwrap();
    accounts.insert(&account(3, "b", 0)).await.unwrap();

    // Within one transaction two records may exchange their values.
    node.transaction(|tx| {
        let accounts = tx.table::<Account>()?;
        accounts.insert(&account(2, "b", 0))?;
        accounts.insert(&account(3, "a", 0))?;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(accounts.index("name").unwrap().first_of("a").unwrap().unwrap().id, 3);
    let twice = node.transaction(|tx| {
        let accounts = tx.table::<Account>()?;
        accounts.insert(&account(4, "c", 0))?;
        accounts.insert(&account(5, "c", 0))?;
        Ok(())
    });
    assert!(twice.await.unwrap_err().to_string().contains("unique index name"));
    assert_eq!(accounts.count().unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_are_listed_with_their_keys_and_the_index_is_dropped_again() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<User>().await;
    let node = &cluster.handles()[1];
    let users = node.table::<User>().unwrap();
    for id in 0..30 {
        users.insert(&User::new(id, &format!("m{}@x", id % 15))).await.unwrap();
    }
    let unique = IndexDef::on_field("mail").unique();
    let refused = rejection(node.add_index(&name("user"), unique.clone()).await.unwrap_err());
    let Rejection::Duplicates { values, first, .. } = &refused else { panic!("{refused}") };
    assert_eq!((*values, first.len()), (15, 10));
    assert_eq!((first[0].value.as_str(), &first[0].keys[..]), (r#""m0@x""#, &["0".into(), "15".into()][..]));
    assert!(refused.to_string().contains(r#""m0@x" (keys 0, 15); "#), "{refused}");
    assert!(node.indexes(&name("user")).unwrap().iter().all(|index| index.def.name != "mail"));

    for id in 15..30 {
        users.delete(id).await.unwrap();
    }
    node.add_index(&name("user"), unique).await.unwrap();
    let taken = rejection(users.insert(&User::new(99, "m3@x")).await.unwrap_err());
    assert!(matches!(taken, Rejection::UniqueViolation { .. }), "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_cannot_be_is_refused_with_the_reason() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<User>().await;
    let node = &cluster.handles()[0];
    let refused = async |index: IndexDef| {
        let error = node.add_index(&name("user"), index).await.unwrap_err();
        error.to_string()
    };
    let missing = refused(IndexDef::on_field("shoe")).await;
    assert!(missing.contains("the field `shoe`, which does not exist; fields are id, mail, city, tags"));
    let list = refused(IndexDef::on_field("tags")).await;
    assert!(list.contains("lists and maps cannot be keys"), "{list}");
    let function = refused(IndexDef::new("i", IndexOn::Function("nowhere".into()))).await;
    assert!(function.contains("`nowhere`, which is not linked into this program"), "{function}");
    let other = refused(IndexDef::new("by_tag", IndexOn::Field("mail".into()))).await;
    assert!(other.contains("drop it"), "{other}");
    let no_table = node.add_index(&name("nothing"), IndexDef::on_field("id")).await.unwrap_err();
    assert_eq!(no_table.to_string(), "there is no table nothing");
    let users = node.table::<User>().unwrap();
    let absent = users.index("city").err().unwrap();
    assert_eq!(absent.to_string(), "table user has no secondary index city; it has: by_tag");
    let mistyped = users.index("by_tag").unwrap().get(7).unwrap_err();
    assert!(matches!(mistyped, ReadError::Index(IndexReadError::Value { .. })), "{mistyped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_index_is_gone_on_every_node_and_a_program_that_does_not_know_an_index_still_works() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<User>().await;
    let nodes = cluster.handles();
    nodes[0].table::<User>().unwrap().insert(&User::new(1, "a@b")).await.unwrap();
    nodes[0].add_index(&name("user"), IndexDef::on_field("city")).await.unwrap();
    nodes[0].create_table::<User>().await.unwrap();
    assert_eq!(nodes[2].table::<User>().unwrap().count().unwrap(), 1);
    let at = nodes[1].drop_index(&name("user"), "city").await.unwrap();
    cluster.wait_applied(at.0, PATIENCE).await;
    for node in &nodes {
        let absent = node.table::<User>().unwrap().index("city").err().unwrap();
        assert!(matches!(absent, ReadError::Index(IndexReadError::NoSuchIndex { .. })));
    }
    assert!(nodes[0].drop_index(&name("user"), "city").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_restarts_or_joins_builds_its_indexes_before_it_reads_through_them() {
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<User>().await;
    cluster.create::<Account>().await;
    let node = cluster.handles()[0].clone();
    for id in 0..1_500 {
        let city = Some(format!("city {}", id % 9));
        node.table::<User>().unwrap().insert(&User { city, ..User::new(id, "m@x") }).await.unwrap();
        node.table::<Account>().unwrap().insert(&account(id, &id.to_string(), id % 10)).await.unwrap();
    }
    node.add_index(&name("user"), IndexDef::on_field("city")).await.unwrap();
    cluster.kill(2).await;
    node.table::<Account>().unwrap().insert(&account(9_000, "late", 3)).await.unwrap();
    cluster.restart(2).await;
    let late = cluster.add("n4@localhost");
    cluster.start_joining(late, 0).await.unwrap();
    cluster.wait_ready().await;
    check_cities(&cluster).await;
    for node in cluster.handles() {
        for index in ["name", "branch", "by_half"] {
            node.wait_for_index(&name("account"), index, PATIENCE).await.unwrap();
        }
        let accounts = node.table::<Account>().unwrap();
        accounts.linearize().await.unwrap();
        assert_eq!(accounts.index("branch").unwrap().count(3).unwrap(), 151, "{}", node.name());
        assert_eq!(accounts.index("name").unwrap().first_of("late").unwrap().unwrap().id, 9_000);
        let halved = accounts.index("by_half").unwrap().get(600).unwrap();
        assert_eq!(halved.iter().map(|account| account.id).collect::<Vec<_>>(), [1_200, 1_201]);
    }
}

async fn with_cities(node: &Node) {
    let users = node.table::<User>().unwrap();
    for (id, city, tags) in [
        (1, Some("Bern"), &["a", "b"][..]),
        (2, Some("Berlin"), &["b"]),
        (3, None, &[]),
        (4, Some("Athens"), &["c", "a"]),
        (5, Some("Bern"), &["b", "b"]),
    ] {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let user =
            User { city: city.map(str::to_owned), tags, ..User::new(id, &format!("{id}@x{}", id % 2)) };
        users.insert(&user).await.unwrap();
    }
    node.add_index(&name("user"), IndexDef::on_field("city")).await.unwrap();
    let by_domain = IndexDef::new("by_domain", IndexOn::Function("mail_domain".into()));
    node.add_index(&name("user"), by_domain).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_found_by_value_range_prefix_and_page_in_either_direction() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<User>().await;
    let node = &cluster.handles()[0];
    with_cities(node).await;
    let users = node.table::<User>().unwrap();
    let city = users.index("city").unwrap();
    assert_eq!(ids(city.get("Bern").unwrap()), [1, 5]);
    assert_eq!(ids(city.get(None::<String>).unwrap()), [3]);
    assert_eq!(city.count("Bern").unwrap(), 2);
    assert_eq!(ids(city.scan().records().unwrap()), [3, 4, 2, 1, 5]);
    assert_eq!(ids(city.scan().prefix("Ber").records().unwrap()), [2, 1, 5]);
    assert_eq!(ids(city.scan().range("Athens".."Bern").records().unwrap()), [4, 2]);
    assert_eq!(ids(city.scan().range("B"..).reverse().limit(2).records().unwrap()), [5, 1]);
    assert_eq!((city.first().unwrap().unwrap().id, city.last().unwrap().unwrap().id), (3, 5));
    assert_eq!(city.scan().keys().unwrap()[0].as_bytes(), 3u64.to_be_bytes());
    let values = city.scan().values().unwrap();
    assert_eq!(values, [Value::Null, "Athens".into(), "Berlin".into(), "Bern".into()]);
    assert_eq!(ids(users.index("by_tag").unwrap().get("a").unwrap()), [1, 4]);
    assert_eq!(ids(users.index("by_domain").unwrap().get("x1").unwrap()), [1, 3, 5]);

    for (reverse, expected) in [(false, [3, 4, 2, 1, 5]), (true, [5, 1, 2, 4, 3])] {
        let (mut cursor, mut found) = (None::<Cursor>, Vec::new());
        loop {
            let scan = city.scan().limit(2);
            let scan = if reverse { scan.reverse() } else { scan };
            let page = scan.page(cursor.as_ref()).unwrap();
            found.extend(ids(page.records));
            // A cursor outlives the connection: as text it comes back the same.
            let Some(next) = page.next else { break };
            cursor = Some(next.to_string().parse().unwrap());
        }
        assert_eq!(found, expected);
        let foreign = users.index("by_tag").unwrap().scan().page(cursor.as_ref()).unwrap_err();
        assert!(matches!(foreign, ReadError::Cursor));
        assert!(matches!(users.page(cursor.as_ref(), 2).unwrap_err(), ReadError::Cursor));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_sees_its_own_writes_through_an_index() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<User>().await;
    let node = &cluster.handles()[0];
    with_cities(node).await;
    let seen = node.transaction(|tx| {
        let users = tx.table::<User>()?;
        users.delete(1)?;
        users.insert(&User { city: Some("Bern".into()), ..User::new(0, "0@x") })?;
        users.insert(&User { city: Some("Bonn".into()), ..User::new(5, "5@x") })?;
        let bern = ids(users.index("city").value("Bern").records()?);
        let backward = ids(users.index("city").prefix("B").reverse().records()?);
        Ok((bern, backward, users.index("city").first()?.map(|user| user.id)))
    });
    assert_eq!(seen.await.unwrap(), (vec![0], vec![5, 0, 2], Some(3)));
    let view = node.view().unwrap();
    assert_eq!(ids(view.table::<User>().unwrap().index("city").value("Bern").records().unwrap()), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_found_nothing_through_an_index_do_not_both_insert() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<User>().await;
    let nodes = cluster.handles();
    nodes[0].add_index(&name("user"), IndexDef::on_field("city")).await.unwrap();
    let mut attempts = Vec::new();
    for (node, at) in nodes.iter().cycle().take(24).cloned().zip(0u64..) {
        attempts.push(tokio::spawn(async move {
            let city = format!("city {}", at % 6);
            node.transaction(move |tx| {
                let users = tx.table::<User>()?;
                if users.index("city").value(city.as_str()).count()? > 0 {
                    return Ok(false);
                }
                users.insert(&User { city: Some(city.clone()), ..User::new(at, "m@x") })?;
                Ok(true)
            })
            .await
            .unwrap()
        }));
    }
    let mut inserted = 0;
    for attempt in attempts {
        inserted += u64::from(attempt.await.unwrap());
    }
    assert_eq!(inserted, 6);
    let users = nodes[0].table::<User>().unwrap();
    users.linearize().await.unwrap();
    let cities: BTreeSet<_> = users.iter().unwrap().map(|user| user.unwrap().city).collect();
    assert_eq!((cities.len(), users.count().unwrap()), (6, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_scan_reads_through_an_index_in_key_order_and_page_by_page() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<User>().await;
    let node = &cluster.handles()[0];
    for id in 0..40 {
        let city = Some(format!("city {}", id % 4));
        node.table::<User>().unwrap().insert(&User { city, ..User::new(id, "m@x") }).await.unwrap();
    }
    let client = AdminClient::connect(&cluster[0].address(), None, PATIENCE).await.unwrap();
    client.add_index(&name("user"), IndexDef::on_field("city"), |_| {}).await.unwrap();
    let listed = client.indexes(&name("user")).await.unwrap();
    let city = listed.iter().find(|index| index.def.name == "city").unwrap();
    assert_eq!((city.state.as_str(), city.active, city.entries), ("ready", true, 40));

    let table = client.table(&name("user")).await.unwrap();
    let filter = FieldFilter { field: "city".into(), equals: r#""city 3""#.into() };
    let mut scan = ScanRequest {
        table: TableRef { name: name("user"), id: table.id },
        from: Some(10u64.to_be_bytes().to_vec().into()),
        to: None,
        prefix: None,
        filters: vec![filter],
        reverse: true,
        limit: 3,
        after: None,
        read: ReadMode::Local,
    };
    assert_eq!(client.explain(&scan).await.unwrap().index.as_deref(), Some("city"));
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = client.scan(&scan, after).await.unwrap();
        found.extend(page.records.iter().map(|record| User::decode(record).unwrap().id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, [39, 35, 31, 27, 23, 19, 15, 11]);
    scan.filters.clear();
    assert_eq!(client.explain(&scan).await.unwrap().index, None);
    client.drop_index(&name("user"), "city").await.unwrap();
    let missing = client.add_index(&name("user"), IndexDef::on_field("shoe"), |_| {}).await.unwrap_err();
    assert!(missing.to_string().contains("fields are id, mail, city, tags"), "{missing}");
}
