//! One suite for both structures: whatever is done, they hold what a standard map holds, and clones never change.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::mpsc;

use proptest::prelude::*;

use crate::incarnation::Incarnation;
use crate::memory::{HashedBuilder, HashedMap, MemoryTable, OrderedBuilder, OrderedMap};
use crate::row::{Row, RowRef};
use crate::threads::OsThreads;

type Model = BTreeMap<Vec<u8>, Row>;

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>, Row),
    Remove(Vec<u8>),
    /// Remove the n-th key that is there.
    RemoveNth(usize),
    Clone,
    /// Insert this many keys that only grow.
    Append(u8),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        // Few bytes, few values: empty keys, prefixes of each other, zeros at the end, and many overwrites.
        6 => proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(b'a'), Just(255)], 0..5),
        // Alike in more bytes than a head holds.
        6 => (any::<u8>(), any::<u8>()).prop_map(|(a, b)| [b"sensors/building-".as_slice(), &[a, b]].concat()),
        2 => any::<[u8; 2]>().prop_map(|key| key.to_vec()),
        // Larger than a page.
        1 => (any::<u8>(), 4000_usize..9000).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let owner = proptest::option::of((0..3_u64, 0..3_u64));
    let value_bytes =
        prop_oneof![8 => 90..110_usize, 2 => Just(0), 2 => 400..1500_usize, 1 => 4000..9000_usize];
    (any::<u64>(), owner, value_bytes, any::<u8>()).prop_map(|(version, owner, value_bytes, byte)| {
        let owner = owner.map(|(node, life)| Incarnation { node, life });
        Row::new(version, owner, &vec![byte; value_bytes])
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (key(), row()).prop_map(|(key, row)| Step::Insert(key, row)),
        3 => key().prop_map(Step::Remove),
        6 => any::<usize>().prop_map(Step::RemoveNth),
        1 => Just(Step::Clone),
        1 => any::<u8>().prop_map(Step::Append),
    ];
    // Runs of removals shrink the tree again.
    let shrink = proptest::collection::vec(any::<usize>().prop_map(Step::RemoveNth), 0..300);
    (proptest::collection::vec(step.clone(), 0..400), shrink, proptest::collection::vec(step, 0..50))
        .prop_map(|(first, shrink, last)| [first, shrink, last].concat())
}

/// Runs the steps on a table and a standard map, and compares the table and all clones taken on the way.
fn follows_the_model(mut table: MemoryTable, steps: Vec<Step>) {
    let mut model = Model::new();
    let mut versions = Vec::new();
    let mut appended = 0_u64;
    for step in steps {
        match step {
            Step::Insert(key, row) => {
                assert_eq!(table.insert(&key, row.as_row_ref()), model.insert(key, row));
            }
            Step::Remove(key) => assert_eq!(table.remove(&key), model.remove(&key)),
            Step::RemoveNth(nth) => {
                let Some(key) = model.keys().nth(nth % model.len().max(1)).cloned() else { continue };
                assert_eq!(table.remove(&key), model.remove(&key));
            }
            Step::Clone => versions.push((table.clone(), model.clone())),
            Step::Append(count) => {
                for _ in 0..count {
                    appended += 1;
                    let key = [&[255_u8; 9][..], &appended.to_be_bytes()].concat();
                    let row = Row::new(appended, None, &[7; 100]);
                    assert_eq!(table.insert(&key, row.as_row_ref()), model.insert(key, row));
                }
            }
        }
        assert_eq!(table.len(), model.len());
    }
    versions.push((table, model));
    for (table, model) in &versions {
        holds_exactly(table, model);
    }
}

fn holds_exactly(table: &MemoryTable, model: &Model) {
    assert_eq!(table.len(), model.len());
    for (key, row) in model {
        assert_eq!(table.get(key), Some(row.as_row_ref()));
    }
    let mut held: Vec<_> = table.iter().map(|(key, row)| (key.to_vec(), row.to_row())).collect();
    assert_eq!(table.heap_bytes(), recounted_heap_bytes(table));
    let payload: usize = model.iter().map(|(key, row)| key.len() + row.value().len()).sum();
    assert_eq!(table.payload_bytes(), payload);
    resumes_anywhere(table, &held);
    if matches!(table, MemoryTable::Hashed(_)) {
        held.sort_by(|left, right| left.0.cmp(&right.0));
    }
    let expected: Vec<_> = model.iter().map(|(key, row)| (key.clone(), row.clone())).collect();
    assert_eq!(held, expected);
}

fn recounted_heap_bytes(table: &MemoryTable) -> usize {
    match table {
        MemoryTable::Hashed(map) => map.recount_heap_bytes(),
        MemoryTable::Ordered(map) => map.check_and_recount_heap_bytes(),
    }
}

fn resumes_anywhere(table: &MemoryTable, held: &[(Vec<u8>, Row)]) {
    for (position, (key, _)) in held.iter().enumerate().step_by(7) {
        let rest = table.iter_after(Some(key)).take(3).map(|(key, _)| key.to_vec());
        let expected = held.iter().skip(position + 1).take(3).map(|(key, _)| key.clone());
        assert!(rest.eq(expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_ordered_map_and_its_clones_follow_the_model(steps in steps()) {
        follows_the_model(MemoryTable::ordered(), steps);
    }

    #[test]
    fn a_hashed_map_and_its_clones_follow_the_model(seed: u64, steps in steps()) {
        follows_the_model(MemoryTable::Hashed(HashedMap::with_seed(seed)), steps);
    }

    #[test]
    fn a_hashed_map_follows_the_model_when_many_keys_collide(
        mask in prop_oneof![Just(0), Just(1), Just(1 << 31), Just(0xff), Just(u32::MAX << 28), Just(0x8000_0001)],
        steps in steps(),
    ) {
        follows_the_model(MemoryTable::Hashed(HashedMap::with_hash_mask(mask)), steps);
    }

    #[test]
    fn ranges_give_what_a_standard_map_gives(
        keys in proptest::collection::btree_set(key(), 0..400),
        bounds in proptest::collection::vec((bound(), bound()), 1..20),
        turns in proptest::collection::vec(any::<bool>(), 0..100),
    ) {
        let mut map = OrderedMap::new();
        let mut model = Model::new();
        for key in keys {
            map.insert(&key, RowRef::new(1, None, &[1; 60]));
            model.insert(key, Row::new(1, None, &[1; 60]));
        }
        for (low, high) in bounds {
            let bounds = (low.as_ref().map(Vec::as_slice), high.as_ref().map(Vec::as_slice));
            let expected: Vec<_> = model.keys().filter(|key| lies_between(key, bounds)).cloned().collect();
            let forwards: Vec<_> = map.range(bounds).map(|(key, _)| key.to_vec()).collect();
            prop_assert_eq!(&forwards, &expected);
            let mut backwards: Vec<_> = map.range(bounds).rev().map(|(key, _)| key.to_vec()).collect();
            backwards.reverse();
            prop_assert_eq!(&backwards, &expected);

            let mut from_both_ends = map.range(bounds);
            let mut expected = expected.into_iter();
            for forwards in turns.iter().cycle().take(if turns.is_empty() { 0 } else { 1000 }) {
                let (got, wanted) = if *forwards {
                    (from_both_ends.next(), expected.next())
                } else {
                    (from_both_ends.next_back(), expected.next_back())
                };
                prop_assert_eq!(got.map(|(key, _)| key.to_vec()), wanted);
            }
        }
    }

    #[test]
    fn a_bulk_load_holds_what_inserts_would(
        records in proptest::collection::btree_map(key(), row(), 0..600),
        steps in steps(),
    ) {
        let mut builder = OrderedBuilder::new();
        for (key, row) in &records {
            builder.push(key, row.as_row_ref()).unwrap();
        }
        let loaded = MemoryTable::Ordered(builder.finish());
        holds_exactly(&loaded, &records);
        goes_on_like_any_other(loaded, records, steps);
    }

    #[test]
    fn a_bulk_load_of_a_set_holds_what_inserts_would(
        mask in prop_oneof![Just(u32::MAX), Just(0), Just(0x8000_0001), Just(0xF0F0_0000)],
        first in proptest::collection::btree_map(key(), row(), 0..600),
        again in proptest::collection::btree_map(key(), row(), 0..60),
        by_two: bool,
        steps in steps(),
    ) {
        let (mut builder, mut other) =
            (HashedBuilder::with_hash_mask(mask), HashedBuilder::with_hash_mask(mask));
        first.iter().for_each(|(key, row)| builder.push(key, row.as_row_ref()));
        again.iter().for_each(|(key, row)| other.push(key, row.as_row_ref()));
        builder.append(other);
        let records: Model = first.into_iter().chain(again).collect();
        let map = if by_two { builder.finish_on(&OsThreads).unwrap() } else { builder.finish() };
        let loaded = MemoryTable::Hashed(map);
        prop_assert_eq!(loaded.heap_bytes(), recounted_heap_bytes(&loaded));
        holds_exactly(&loaded, &records);
        goes_on_like_any_other(loaded, records, steps);
    }
}

/// Changes a table that was loaded in bulk, beside a clone that must stay as it is.
fn goes_on_like_any_other(loaded: MemoryTable, records: Model, steps: Vec<Step>) {
    let mut changed = loaded.clone();
    let mut model = records.clone();
    for step in steps {
        match step {
            Step::Insert(key, row) => {
                assert_eq!(changed.insert(&key, row.as_row_ref()), model.insert(key, row));
            }
            Step::RemoveNth(nth) => {
                let Some(key) = model.keys().nth(nth % model.len().max(1)).cloned() else { continue };
                assert_eq!(changed.remove(&key), model.remove(&key));
            }
            _ => {}
        }
    }
    holds_exactly(&changed, &model);
    holds_exactly(&loaded, &records);
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        1 => Just(Bound::Unbounded),
        3 => key().prop_map(Bound::Included),
        3 => key().prop_map(Bound::Excluded),
    ]
}

fn lies_between(key: &[u8], bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    let above = match bounds.0 {
        Bound::Unbounded => true,
        Bound::Included(low) => low <= key,
        Bound::Excluded(low) => low < key,
    };
    let below = match bounds.1 {
        Bound::Unbounded => true,
        Bound::Included(high) => key <= high,
        Bound::Excluded(high) => key < high,
    };
    above && below
}

/// Deterministic keys in scattered order.
fn scattered(number: u64) -> Vec<u8> {
    format!("user:{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes()
}

#[test]
fn many_records_come_and_go_in_both_structures() {
    const RECORDS: u64 = 20_000;
    for mut table in [MemoryTable::ordered(), MemoryTable::hashed()] {
        let empty_bytes = table.heap_bytes();
        for number in 0..RECORDS {
            table.insert(&scattered(number), RowRef::new(number, None, &[1; 100]));
        }
        recounted_heap_bytes(&table);
        let full = table.clone();
        for number in 0..RECORDS {
            assert!(table.remove(&scattered(number)).is_some_and(|row| row.version() == number));
            assert_eq!(table.len() as u64, RECORDS - number - 1);
        }
        assert_eq!(table.heap_bytes(), empty_bytes);
        assert_eq!(table.iter().count(), 0);
        assert_eq!(full.iter().count() as u64, RECORDS);
        assert!((0..RECORDS).all(|number| full.get(&scattered(number)).is_some()));
    }
}

#[test]
fn a_set_loaded_in_bulk_is_as_large_as_one_that_was_inserted() {
    // So few that the root does not fill, and so many that both threads build half of the table.
    for records in [0, 10, 300, 20_000] {
        let mut inserted = MemoryTable::hashed();
        let (mut builder, mut first, mut second) =
            (HashedBuilder::new(), HashedBuilder::new(), HashedBuilder::new());
        for number in 0..records {
            let row = RowRef::new(number, None, &[1; 100]);
            inserted.insert(&scattered(number), row);
            builder.push(&scattered(number), row);
            let half = if number % 2 == 0 { &mut first } else { &mut second };
            half.push(&scattered(number), row);
        }
        first.append(second);
        for map in [builder.finish(), first.finish_on(&OsThreads).unwrap()] {
            let loaded = MemoryTable::Hashed(map);
            assert_eq!(loaded.heap_bytes(), recounted_heap_bytes(&loaded));
            assert_eq!(loaded.heap_bytes(), inserted.heap_bytes(), "both have the same pages");
            assert_eq!(loaded.payload_bytes(), inserted.payload_bytes());
            assert!(loaded.iter().eq(inserted.iter()), "{records} records");
        }
    }
}

#[test]
fn keys_of_a_mebibyte_with_empty_values_are_stored_once() {
    const KEY_BYTES: usize = 1 << 20;
    for mut table in [MemoryTable::ordered(), MemoryTable::hashed()] {
        for number in 0..16_u8 {
            let mut key = vec![number; KEY_BYTES];
            assert_eq!(table.insert(&key, RowRef::new(1, None, b"")), None);
            key.truncate(3);
            assert_eq!(table.insert(&key, RowRef::new(2, None, b"")), None);
        }
        assert!(table.heap_bytes() < 17 * KEY_BYTES);
        assert_eq!(table.get(&vec![3; KEY_BYTES]).map(|row| row.version()), Some(1));
        assert_eq!(table.get(&[3; 3]).map(|row| row.version()), Some(2));
    }
}

#[test]
fn a_write_beside_a_large_record_does_not_copy_it() {
    let mut map = OrderedMap::new();
    for number in 0..100 {
        map.insert(&scattered(number), RowRef::new(1, None, &[1; 100]));
    }
    let large = scattered(50);
    map.insert(&large, RowRef::new(2, None, &vec![2; 1 << 20]));
    let before = map.get(&large).unwrap().value().as_ptr();
    let held = map.clone();
    for number in (0..100).filter(|number| *number != 50) {
        map.insert(&scattered(number), RowRef::new(3, None, &[3; 120]));
    }
    assert_eq!(map.get(&large).unwrap().value().as_ptr(), before);
    assert_eq!(held.get(&large).unwrap().value().as_ptr(), before);
}

#[test]
fn keys_that_only_grow_fill_their_pages() {
    let mut grown = OrderedMap::new();
    let mut builder = OrderedBuilder::new();
    for number in 0..20_000_u64 {
        grown.insert(&number.to_be_bytes(), RowRef::new(1, None, &[1; 100]));
        builder.push(&number.to_be_bytes(), RowRef::new(1, None, &[1; 100])).unwrap();
    }
    let loaded = builder.finish();
    assert!(grown.heap_bytes() < loaded.heap_bytes() * 11 / 10);
}

#[test]
fn a_builder_refuses_a_key_that_is_not_above_the_last() {
    let mut builder = OrderedBuilder::new();
    let row = RowRef::new(1, None, b"v");
    builder.push(b"", row).unwrap();
    assert_eq!(builder.push(b"", row).unwrap_err().position, 1);
    builder.push(b"b", row).unwrap();
    assert!(builder.push(b"a", row).is_err());
    builder.push(b"c", row).unwrap();
    let keys: Vec<_> = builder.finish().iter().map(|(key, _)| key.to_vec()).collect();
    assert_eq!(keys, [b"".to_vec(), b"b".to_vec(), b"c".to_vec()]);
}

#[test]
fn ends_of_an_empty_map_are_none() {
    let map = OrderedMap::new();
    assert_eq!(map.first(), None);
    assert_eq!(map.last(), None);
    assert_eq!(map.get(b""), None);
    assert_eq!(map.range((Bound::Excluded(b"a"), Bound::Excluded(b"a"))).next(), None);
}

#[test]
fn readers_see_whole_versions_while_the_writer_goes_on() {
    const RECORDS: u64 = 2000;
    const VERSIONS: u64 = 40;
    for mut table in [MemoryTable::ordered(), MemoryTable::hashed()] {
        let checks = |version: u64, table: &MemoryTable| {
            // Every record of version v was written in round v, and records grow by one per round.
            assert_eq!(table.len() as u64, RECORDS + version);
            assert!(table.iter().all(|(key, row)| {
                row.version() == version && table.get(key).is_some_and(|found| found == row)
            }));
        };
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..3)
                .map(|_| {
                    let (sender, receiver) = mpsc::sync_channel::<(u64, MemoryTable)>(4);
                    scope.spawn(move || {
                        for (version, table) in receiver {
                            checks(version, &table);
                        }
                    });
                    sender
                })
                .collect();
            for version in 0..VERSIONS {
                for number in 0..RECORDS + version {
                    table.insert(&scattered(number), RowRef::new(version, None, &[version as u8; 30]));
                }
                let sender = &senders[version as usize % senders.len()];
                sender.send((version, table.clone())).unwrap();
            }
        });
    }
}
