//! Threads that read random records as fast as they can.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use tabularaft::{ReadError, Table};

use crate::Failure;
use crate::items::{Item, key};
use crate::protocol::{ReadFigures, ReadKind};

/// Keys are made beforehand, so that making them is not measured. There are enough of them that what they lead to does
/// not stay in the processor's caches.
const KEYS: usize = 256 * 1024;
/// Reads between two looks at the clock.
const CHUNK: usize = 512;

pub(super) fn read<R: Item>(
    table: &Table<R>,
    how: ReadKind,
    records: u64,
    threads: usize,
    seconds: f64,
) -> Result<ReadFigures, Failure> {
    let length = Duration::from_secs_f64(seconds);
    let readers: Vec<_> = (0..threads)
        .map(|_| {
            let table = table.clone();
            let mut random = rand::rng();
            let keys: Vec<String> = (0..KEYS).map(|_| key(random.random_range(0..records))).collect();
            (table, keys)
        })
        .map(|(table, keys)| thread::spawn(move || read_for(&table, how, &keys, length)))
        .collect();
    let mut per_second = 0.0;
    for reader in readers {
        per_second += reader.join().map_err(|_| "a reader panicked")??;
    }
    Ok(ReadFigures { per_second, nanos: 1e9 * threads as f64 / per_second })
}

/// Reads per second of one thread.
fn read_for<R: Item>(
    table: &Table<R>,
    how: ReadKind,
    keys: &[String],
    length: Duration,
) -> Result<f64, Failure> {
    let began = Instant::now();
    let (mut reads, mut missing) = (0_usize, 0_usize);
    for chunk in keys.chunks(CHUNK).cycle() {
        for key in chunk {
            missing += usize::from(!read_one(table, how, key)?);
        }
        reads += chunk.len();
        if began.elapsed() >= length {
            break;
        }
    }
    if missing > 0 {
        return Err(format!("{missing} of {reads} reads found no record").into());
    }
    Ok(reads as f64 / began.elapsed().as_secs_f64())
}

fn read_one<R: Item>(table: &Table<R>, how: ReadKind, key: &str) -> Result<bool, ReadError> {
    match how {
        ReadKind::Get => Ok(black_box(table.get(key)?).is_some()),
        ReadKind::Contains => table.contains(key),
    }
}
