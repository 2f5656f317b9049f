//! Measures the table structures in memory and prints one `name value unit` line per figure.
//!
//! `cargo bench -p tabularaft-benches --bench memory_tables -- [records] [structure]`
//!
//! Records have keys of 16 bytes and values of 100. Writes overwrite random records in batches of 64, with a version
//! published after each batch and the version before it dropped by the writer. Times are processor times of the thread
//! at the quietest tenth of a run, but for `…_mean`, `…_p…`, `…_longest` and what runs beside another thread.

#![allow(clippy::indexing_slicing, reason = "a bench may stop at a wrong index")]

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tabularaft_store::memory::{MemoryTable, OrderedBuilder};
use tabularaft_store::row::RowRef;

const VALUE: [u8; 100] = [7; 100];
const BATCH: usize = 64;
const READS_PER_CHUNK: usize = 10_000;
const WRITES: usize = 256 * 1024;

type Key = [u8; 16];

/// What the measurements need of a table: a clone is a version.
trait Table: Clone + Send + Sync + 'static {
    fn empty() -> Self;
    fn put(&mut self, key: &Key, version: u64);
    fn read(&self, key: &Key) -> u64;
    fn scan(&self) -> u64;
}

#[derive(Clone)]
struct Hashed(MemoryTable);

#[derive(Clone)]
struct Ordered(MemoryTable);

impl Table for Hashed {
    fn empty() -> Self {
        Self(MemoryTable::hashed())
    }

    fn put(&mut self, key: &Key, version: u64) {
        self.0.insert(key, RowRef::new(version, None, &VALUE));
    }

    fn read(&self, key: &Key) -> u64 {
        self.0.get(key).map_or(0, touch)
    }

    fn scan(&self) -> u64 {
        self.0.iter().map(|(_, row)| touch(row)).sum()
    }
}

impl Table for Ordered {
    fn empty() -> Self {
        Self(MemoryTable::ordered())
    }

    fn put(&mut self, key: &Key, version: u64) {
        self.0.insert(key, RowRef::new(version, None, &VALUE));
    }

    fn read(&self, key: &Key) -> u64 {
        self.0.get(key).map_or(0, touch)
    }

    fn scan(&self) -> u64 {
        self.0.iter().map(|(_, row)| touch(row)).sum()
    }
}

/// Reads a little of the value, as decoding would.
fn touch(row: RowRef<'_>) -> u64 {
    row.version() + row.value().last().copied().map_or(0, u64::from)
}

fn touch_bytes(value: &Arc<[u8]>) -> u64 {
    value.last().copied().map_or(0, u64::from)
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let records = arguments.next().and_then(|records| records.parse().ok()).unwrap_or(1_000_000);
    match arguments.next().as_deref() {
        Some("std") => measure_floor(&scattered_keys(records)),
        Some("hashed") => measure::<Hashed>("hashed", &scattered_keys(records)),
        Some("ordered") => measure::<Ordered>("ordered", &scattered_keys(records)),
        Some("ordered_prefixed") => measure::<Ordered>("ordered_prefixed", &prefixed_keys(records)),
        Some("ordered_bulk") => bulk_load("ordered_bulk", scattered_keys(records)),
        Some(name) => panic!("no table structure is called {name}; it is one of {NAMES:?}"),
        None => NAMES.iter().for_each(|name| measure_in_own_process(records, name)),
    }
}

const NAMES: [&str; 5] = ["std", "hashed", "ordered", "ordered_prefixed", "ordered_bulk"];

/// Memory that one structure has given back would make the next one look smaller.
fn measure_in_own_process(records: usize, name: &str) {
    let program = std::env::current_exe().expect("the running program has a path");
    let status = std::process::Command::new(program).args([&records.to_string(), name]).status();
    assert!(status.expect("the program that runs can be run").success(), "measuring {name} failed");
}

/// What this machine needs at least: maps of the standard library, which know no versions.
fn measure_floor(keys: &[Key]) {
    let map: HashMap<Key, Arc<[u8]>> = keys.iter().map(|key| (*key, Arc::from(VALUE))).collect();
    let read_all = || get_all(|key| map.get(key).map_or(0, touch_bytes), keys);
    report("std_hash", "get_1_thread", median(5, read_all), "ns");
    let map: BTreeMap<Key, Arc<[u8]>> = map.into_iter().collect();
    let read_all = || get_all(|key| map.get(key).map_or(0, touch_bytes), keys);
    report("std_btree", "get_1_thread", median(5, read_all), "ns");
}

fn measure<T: Table>(name: &str, keys: &[Key]) {
    let memory_before = resident_bytes();
    let mut table = T::empty();
    let insert_all = || keys.iter().zip(0..).for_each(|(key, version)| table.put(key, version));
    report(name, "insert_unshared", per_item(time(insert_all), keys.len()), "ns");
    report(name, "memory", (resident_bytes() - memory_before) / keys.len() as f64, "bytes/record");

    report(name, "get_1_thread", median(5, || get_all(|key| table.read(key), keys)), "ns");
    report(name, "get_2_threads", median(3, || get_from_two_threads(&table, keys)), "ns");
    report(name, "scan", median(5, || per_item(time(|| black_box(table.scan())), keys.len())), "ns/record");
    report(
        name,
        "clone",
        per_item(time(|| (0..1000).for_each(|_| drop(black_box(table.clone())))), 1000),
        "ns",
    );

    write_batches(name, &mut table, keys);
    read_under_writes(name, &mut table, keys);
    held_view(name, &mut table, keys);

    report(name, "drop_all", time(|| drop(table)).as_secs_f64() * 1e3, "ms");
}

/// Nanoseconds per get. The order is another than that of the inserts, which would favour what was allocated in turn.
fn get_all(read: impl Fn(&Key) -> u64, keys: &[Key]) -> f64 {
    let mut random = Random(1);
    let order: Vec<Key> = (0..keys.len()).map(|_| *random.pick(keys)).collect();
    quiet(
        order
            .chunks(READS_PER_CHUNK)
            .map(|chunk| per_item(time(|| chunk.iter().map(&read).sum::<u64>()), chunk.len())),
    )
}

fn get_from_two_threads<T: Table>(table: &T, keys: &[Key]) -> f64 {
    thread::scope(|scope| {
        let other = scope.spawn(|| get_all(|key| table.read(key), keys));
        let own = get_all(|key| table.read(key), keys);
        f64::midpoint(own, other.join().expect("reading does not panic"))
    })
}

fn write_batches<T: Table>(name: &str, table: &mut T, keys: &[Key]) {
    let mut random = Random(2);
    let mut published = table.clone();
    let mut batches = Vec::new();
    for batch in 0..WRITES / BATCH {
        let batch_keys: Vec<Key> = (0..BATCH).map(|_| *random.pick(keys)).collect();
        batches.push(time(|| {
            batch_keys.iter().for_each(|key| table.put(key, batch as u64));
            published = black_box(table.clone());
        }));
    }
    drop(published);
    let total: Duration = batches.iter().sum();
    report(name, "write_batch_64", quiet(batches.iter().map(|batch| per_item(*batch, BATCH))), "ns/write");
    report(name, "write_batch_64_mean", per_item(total, WRITES), "ns/write");
    batches.sort();
    report(name, "write_batch_64_p999", micros(&batches, 0.999), "us/batch");
    report(name, "write_batch_64_longest", micros(&batches, 1.0), "us/batch");
}

/// One thread writes and publishes, one takes the newest version before each of its reads.
fn read_under_writes<T: Table>(name: &str, table: &mut T, keys: &[Key]) {
    let published = Mutex::new(table.clone());
    let newest = || published.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut random = Random(3);
            let mut reads = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let view = newest();
                let key = random.pick(keys);
                let started = Instant::now();
                black_box(view.read(key));
                reads.push(started.elapsed());
            }
            reads
        });
        let mut random = Random(4);
        let started = Instant::now();
        for batch in 0..WRITES / BATCH {
            for _ in 0..BATCH {
                table.put(random.pick(keys), batch as u64);
            }
            let old = std::mem::replace(
                &mut *published.lock().unwrap_or_else(PoisonError::into_inner),
                table.clone(),
            );
            drop(old);
        }
        report(name, "write_beside_reader", per_item(started.elapsed(), WRITES), "ns/write");
        done.store(true, Ordering::Relaxed);
        let mut reads = reader.join().expect("reading does not panic");
        reads.sort();
        report(name, "get_beside_writer_p50", micros(&reads, 0.5) * 1e3, "ns");
        report(name, "get_beside_writer_p999", micros(&reads, 0.999) * 1e3, "ns");
    });
}

/// What a view costs while it is held and records are overwritten.
fn held_view<T: Table>(name: &str, table: &mut T, keys: &[Key]) {
    let writes = keys.len() / 20;
    let mut random = Random(5);
    let memory_before = resident_bytes();
    let held = table.clone();
    for _ in 0..writes {
        table.put(random.pick(keys), 1);
    }
    report(name, "held_view", (resident_bytes() - memory_before) / writes as f64, "bytes/write");
    report(name, "drop_held_view", per_item(time(|| drop(held)), writes), "ns/write");
}

fn bulk_load(name: &str, mut keys: Vec<Key>) {
    keys.sort_unstable();
    let memory_before = resident_bytes();
    let started = processor_time();
    let mut builder = OrderedBuilder::new();
    for key in &keys {
        builder.push(key, RowRef::new(1, None, &VALUE)).expect("the keys were sorted");
    }
    let map = builder.finish();
    report(name, "bulk_load", per_item(processor_time() - started, keys.len()), "ns/record");
    report(name, "bulk_memory", (resident_bytes() - memory_before) / keys.len() as f64, "bytes/record");
    report(name, "bulk_heap_estimate", map.heap_bytes() as f64 / keys.len() as f64, "bytes/record");
}

fn scattered_keys(records: usize) -> Vec<Key> {
    (0..records).map(|number| hex(Random(number as u64).next())).collect()
}

/// Keys that differ only in their last bytes, as most names do.
fn prefixed_keys(records: usize) -> Vec<Key> {
    let mut keys: Vec<Key> = (0..records).map(prefixed_key).collect();
    let mut random = Random(6);
    for position in (1..keys.len()).rev() {
        keys.swap(position, random.next() as usize % (position + 1));
    }
    keys
}

fn prefixed_key(number: usize) -> Key {
    let mut key = *b"session/00000000";
    for (digit, power) in key.iter_mut().rev().zip([1, 10, 100, 1000, 10_000, 100_000, 1_000_000]) {
        *digit = b'0' + (number / power % 10) as u8;
    }
    key
}

fn hex(number: u64) -> Key {
    let mut key = [0; 16];
    for (position, digit) in key.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (60 - 4 * position)) as usize % 16];
    }
    key
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn pick<'k>(&mut self, keys: &'k [Key]) -> &'k Key {
        &keys[self.next() as usize % keys.len()]
    }
}

/// Processor time of this thread: what other programs take meanwhile does not count.
fn time<R>(work: impl FnOnce() -> R) -> Duration {
    let started = processor_time();
    black_box(work());
    processor_time() - started
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn median(rounds: usize, mut measure: impl FnMut() -> f64) -> f64 {
    let mut figures: Vec<f64> = (0..rounds).map(|_| measure()).collect();
    figures.sort_by(f64::total_cmp);
    figures[rounds / 2]
}

/// The quantile at a tenth: what the work takes when nothing else on the machine slows it down.
fn quiet(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 10]
}

fn per_item(elapsed: Duration, items: usize) -> f64 {
    elapsed.as_nanos() as f64 / items as f64
}

/// The quantile of sorted durations, in microseconds.
fn micros(sorted: &[Duration], quantile: f64) -> f64 {
    let position = ((sorted.len() - 1) as f64 * quantile) as usize;
    sorted[position].as_nanos() as f64 / 1e3
}

/// Memory the process has from the system, from `/proc`; 0 where there is none.
fn resident_bytes() -> f64 {
    const PAGE_BYTES: f64 = 4096.0;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * PAGE_BYTES
}

fn report(table: &str, figure: &str, value: f64, unit: &str) {
    println!("{table}.{figure} {value:.1} {unit}");
}
