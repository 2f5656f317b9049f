//! Queries find the same records whichever way they go, and say which way that is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use serde::{Deserialize, Serialize};
use tabularaft::query::{Access, Filter, Plan, by_index, field};
use tabularaft::schema::register_index_function;
use tabularaft::{ReadError, Record, Table};
use tabularaft_tests::TestCluster;

macro_rules! person {
    ($name:ident, $table:literal, $kind:literal, $copy:literal, $function:literal, $module:ident) => {
        #[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq)]
        #[record(table = $table, kind = $kind, copy = $copy, index(name = "by_letters", function = $function))]
        struct $name {
            #[key]
            room: String,
            #[key]
            number: u64,
            #[index]
            age: Option<u64>,
            #[index]
            city: String,
            #[index(each, name = "by_tag")]
            tags: Vec<String>,
            score: f64,
        }

        mod $module {
            use super::*;

            fn letters(person: &$name) -> [u64; 1] {
                [person.city.len() as u64]
            }

            register_index_function!($function, letters: fn(&$name) -> [u64; 1]);

            pub(super) fn all() -> Vec<$name> {
                let cities = ["Bern", "Berlin", "Bonn", "Athens", ""];
                (0..400u64)
                    .map(|number| $name {
                        room: format!("room {}", number % 4),
                        number: number / 4,
                        age: (number % 9 > 0).then_some(number % 40),
                        city: cities[number as usize % 5].to_owned(),
                        tags: (0..number % 4).map(|tag| format!("tag {}", (tag * number) % 6)).collect(),
                        score: number as f64 / 8.0,
                    })
                    .collect()
            }

            pub(super) async fn filled(cluster: &TestCluster) -> Table<$name> {
                cluster.create::<$name>().await;
                let table = cluster.handles()[0].table::<$name>().unwrap();
                for person in all() {
                    table.insert(&person).await.unwrap();
                }
                table
            }

            /// The filter in Rust, to compare with.
            pub(super) fn meets(person: &$name, number: usize) -> bool {
                let age = person.age;
                let tagged = |tag: &str| person.tags.iter().any(|own| own == tag);
                match number {
                    0 => true,
                    1 => person.room == "room 2" && person.number == 17,
                    2 => person.room == "room 2" && (10..20).contains(&person.number),
                    3 => person.room == "room 1",
                    4 => person.city == "Bern" && age.is_some_and(|age| age > 20),
                    5 => age.is_none(),
                    6 => age.is_some_and(|age| (5..=9).contains(&age)),
                    7 => ["Bonn", "Athens"].contains(&person.city.as_str()),
                    8 => person.city.starts_with("Ber") && person.score < 20.5,
                    9 => tagged("tag 2"),
                    10 => person.city == "Bern" || age == Some(7),
                    11 => !(person.city == "Bern") && age != Some(7),
                    12 => person.city.contains("er"),
                    13 => person.city.len() == 6,
                    14 => age.is_some_and(|age| age < 4),
                    15 => person.room == "room 0" && [3, 5, 99, 1_000].contains(&person.number),
                    16 => tagged("tag 0") && tagged("tag 3"),
                    17 => age.is_some_and(|age| (30..33).contains(&age)),
                    _ => panic!("no filter {number}"),
                }
            }

            pub(super) fn check(table: &Table<$name>) {
                let key = |person: &$name| (person.room.clone(), person.number);
                for (number, filter) in filters().into_iter().enumerate() {
                    let query = table.query().filter(filter.clone());
                    let mut expected: Vec<_> = all().into_iter().filter(|person| meets(person, number)).collect();
                    expected.sort_by_key(key);
                    let mut found = query.records().unwrap();
                    let way = query.explain().unwrap();
                    found.sort_by_key(key);
                    assert!(found == expected, "filter {number}, {filter}: {way}");
                    assert_eq!(query.count().unwrap(), expected.len() as u64, "{way}");
                    let threads = query.par_fold(3, Vec::new, |mut all, person| { all.push(key(&person)); all }, |a, b| {
                        [a, b].concat()
                    });
                    let mut threads = threads.unwrap();
                    threads.sort();
                    assert_eq!(threads, expected.iter().map(key).collect::<Vec<_>>(), "{way}");

                    for reverse in [false, true] {
                        let ordered = table.query().filter(filter.clone()).order_by("age").limit(7);
                        let ordered = if reverse { ordered.reverse() } else { ordered };
                        let ages: Vec<_> = ordered.records().unwrap().iter().map(|person| person.age).collect();
                        let mut wanted: Vec<_> = expected.iter().map(|person| person.age).collect();
                        wanted.sort_unstable();
                        if reverse {
                            wanted.reverse();
                        }
                        wanted.truncate(7);
                        assert_eq!(ages, wanted, "{}", ordered.explain().unwrap());
                    }
                }
                let odd = table.query().filter(field("room").eq("room 1")).filter_fn(|person| person.number % 2 == 1);
                assert_eq!(odd.count().unwrap(), 50);
                assert_eq!(odd.first().unwrap().map(|person| person.number % 2), Some(1));
            }
        }
    };
}

person!(Set, "set", "set", "ram", "set_letters", set);
person!(Ordered, "ordered", "ordered-set", "disc", "ordered_letters", ordered);
person!(OnDisc, "on_disc", "set", "disc-only", "on_disc_letters", on_disc);
person!(Bag, "bag", "bag", "ram", "bag_letters", bag);

fn filters() -> Vec<Filter> {
    vec![
        Filter::All(Vec::new()),
        field("room").eq("room 2").and(field("number").eq(17)),
        field("room").eq("room 2").and(field("number").ge(10)).and(field("number").lt(20)),
        field("room").eq("room 1"),
        field("city").eq("Bern").and(field("age").gt(20)),
        field("age").is_none(),
        field("age").between(5, 9),
        field("city").is_in(["Bonn", "Athens"]),
        field("city").prefix("Ber").and(field("score").lt(20.5)),
        field("tags").contains("tag 2"),
        field("city").eq("Bern").or(field("age").eq(7)),
        field("city").ne("Bern").and(field("age").ne(7)),
        field("city").contains("er"),
        by_index("by_letters").eq(6),
        field("age").lt(4),
        field("room").eq("room 0").and(field("number").is_in([3, 5, 99, 1_000])),
        field("tags").contains("tag 0").and(field("tags").contains("tag 3")),
        field("age").ge(30).and(field("age").lt(33)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_what_looking_at_all_records_finds() {
    let cluster = TestCluster::start(1).await;
    set::check(&set::filled(&cluster).await);
    ordered::check(&ordered::filled(&cluster).await);
    on_disc::check(&on_disc::filled(&cluster).await);
    bag::check(&bag::filled(&cluster).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_takes_the_way_on_which_it_looks_at_the_fewest_records() {
    let cluster = TestCluster::start(1).await;
    let (set, ordered) = (set::filled(&cluster).await, ordered::filled(&cluster).await);
    let on_set = |filter: Filter| set.query().filter(filter).explain().unwrap();
    let on_ordered = |filter: Filter| ordered.query().filter(filter).explain().unwrap();

    let key = on_set(field("room").eq("room 2").and(field("number").eq(17)).and(field("city").eq("Bonn")));
    assert!(matches!(key.access, Access::Key { .. }) && key.rows == 1, "{key}");
    assert_eq!(key.rest.as_deref(), Some(r#"city = "Bonn""#));
    let range = on_ordered(field("room").eq("room 2").and(field("number").lt(5)));
    assert!(matches!(range.access, Access::KeyRange { .. }) && range.rows == 5, "{range}");
    let no_range = on_set(field("room").eq("room 2").and(field("number").lt(5)));
    assert_eq!((no_range.access, no_range.rows), (Access::Scan, 400), "a set in memory has no order");
    let narrow = on_set(field("city").eq("Bern").and(field("age").eq(8)));
    assert_eq!(
        narrow.to_string(),
        r#"table set: index age, age = 8, 9 records looked at; of these where city = "Bern""#
    );
    let tag = on_set(field("tags").contains("tag 5"));
    assert!(matches!(tag.access, Access::Index { ref index, .. } if index == "by_tag"), "{tag}");
    let unordered = on_set(field("score").gt(3.0));
    assert_eq!(
        unordered.to_string(),
        "table set: scan of all records, 400 records looked at; of these where score > 3.0"
    );
    let youngest = set.query().order_by("age").limit(3).explain().unwrap();
    assert!(matches!(youngest, Plan { access: Access::Index { condition: None, .. }, sort: None, .. }));
    let sorted = set.query().order_by("score").limit(3).explain().unwrap();
    assert_eq!(sorted.sort.as_deref(), Some("score"));
    let json = serde_json::to_value(&narrow).unwrap();
    assert_eq!(json["access"]["index"]["index"], "age");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_makes_no_sense_is_refused_with_the_reason() {
    let cluster = TestCluster::start(1).await;
    let set = set::filled(&cluster).await;
    let refused = |filter: Filter| match set.query().filter(filter).records().unwrap_err() {
        ReadError::Query(why) => why,
        other => other.to_string(),
    };
    assert!(refused(field("shoe").eq(1)).contains("no field `shoe`; fields are room, number, age"));
    assert_eq!(
        refused(field("age").eq("x")),
        "table set: `age` is of type u64? and cannot be compared with string"
    );
    assert!(refused(field("number").is_none()).contains("cannot be compared with null"));
    assert!(refused(by_index("by_shoe").eq(1)).contains("no secondary index by_shoe"));
    let order = set.query().order_by("shoe").records().unwrap_err().to_string();
    assert!(order.contains("no field \"shoe\" to order by"), "{order}");
}
