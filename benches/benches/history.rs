//! Measures what recording changes costs the writer, and prints one `name value unit` line per figure.
//!
//! `cargo bench -p tabularaft-benches --bench history -- [records]`
//!
//! A set in memory with keys of 16 bytes and values of 100 is overwritten at random in entries of 64 records, each
//! applied and published, once without a history and once with one of the default size, in turns. Times are processor
//! times of the writing thread.

#![allow(clippy::indexing_slicing, reason = "a bench may stop at a wrong index")]

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tabularaft_store::{Batch, Effect, Position, Store, StoreOptions};

const ENTRY_RECORDS: usize = 64;
const ENTRIES: usize = 4_000;
const ROUNDS: usize = 7;

fn main() {
    let records = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(200_000);
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let (mut plain, mut recorded) = (Writer::new(0, records), Writer::new(16 * 1024 * 1024, records));
    for round in 0..ROUNDS {
        without.push(plain.write(round));
        with.push(recorded.write(round));
    }
    let (without, with) = (median(without), median(with));
    println!("apply_without_history {without:.1} ns/record");
    println!("apply_with_history {with:.1} ns/record");
    println!("history_cost {:.1} ns/record", with - without);
    println!("history_kept {} bytes", recorded.store.history().bytes());
    let oldest = recorded.store.history().oldest(None).map_or(0, |oldest| oldest.0);
    let kept = (recorded.next - 1 - oldest) * ENTRY_RECORDS as u64;
    println!("history_bytes_per_change {} bytes", recorded.store.history().bytes() as u64 / kept.max(1));
}

struct Writer {
    store: Arc<Store>,
    next: u64,
    version: u64,
    records: u64,
}

impl Writer {
    fn new(history_bytes: usize, records: u64) -> Self {
        let node = "bench@here".parse().expect("a name");
        let store = Store::open(StoreOptions { history_bytes, ..StoreOptions::new(node) }).expect("it opens");
        let mut writer = Self { store, next: 0, version: 0, records };
        let def = table();
        writer.apply(vec![Effect::Schema(def.into())]);
        for first in (0..records).step_by(1_000) {
            let effects = (first..(first + 1_000).min(records)).map(|key| writer.put(key)).collect();
            writer.apply(effects);
        }
        writer
    }

    /// Nanoseconds of processor time per record.
    fn write(&mut self, round: usize) -> f64 {
        let mut random = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(round as u64 + 1);
        let payloads: Vec<_> = (0..ENTRIES)
            .map(|_| {
                let effects = (0..ENTRY_RECORDS).map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    self.put((random >> 33) % self.records)
                });
                Batch { term: 1, decided: Vec::new(), effects: effects.collect(), rests_on: None }
                    .encode(false)
            })
            .collect();
        let began = processor_time();
        for payload in payloads {
            let mut writer = self.store.writer();
            writer.apply(Position::new(1, self.next), &payload).expect("it applies");
            writer.publish();
            self.next += 1;
        }
        (processor_time() - began).as_nanos() as f64 / (ENTRIES * ENTRY_RECORDS) as f64
    }

    fn put(&mut self, key: u64) -> Effect {
        self.version += 1;
        Effect::Put {
            table: tabularaft::schema::TableId(1),
            key: format!("key-{key:012}").into_bytes().into(),
            value: vec![7; 100].into(),
            version: self.version,
            owner: None,
        }
    }

    fn apply(&mut self, effects: Vec<Effect>) {
        let payload = Batch { term: 1, decided: Vec::new(), effects, rests_on: None }.encode(false);
        let mut writer = self.store.writer();
        writer.apply(Position::new(1, self.next), &payload).expect("it applies");
        writer.publish();
        self.next += 1;
    }
}

fn table() -> tabularaft::TableDef {
    let text = tabularaft::schema::FieldType::String;
    let bytes = tabularaft::schema::FieldType::Bytes;
    let def = tabularaft::TableDef::builder("t").expect("a name").copy(tabularaft::CopyMode::Ram);
    def.field("key", text).field("value", bytes).key("key").build().expect("a definition")
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
