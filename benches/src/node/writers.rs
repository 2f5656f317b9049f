//! Callers in a closed loop: each writes one record, waits until that is acknowledged, and writes the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rand::RngExt;
use tabularaft::Table;
use tokio::task::JoinSet;

use crate::Failure;
use crate::items::Item;
use crate::protocol::WriteFigures;

/// Latencies are kept to 1 %, up to a minute.
const DIGITS: u8 = 2;
const LONGEST_MICROS: u64 = 60_000_000;

pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    count_from: Instant,
    tasks: JoinSet<Result<Seen, Failure>>,
}

/// What one caller saw, or all of them.
struct Seen {
    micros: Histogram<u64>,
    failed: u64,
}

impl Seen {
    fn nothing() -> Result<Self, Failure> {
        Ok(Self { micros: Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS)?, failed: 0 })
    }
}

impl Writers {
    pub(super) fn begin<R: Item>(table: &Table<R>, records: u64, callers: usize, warm_up: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let count_from = Instant::now() + warm_up;
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            tasks.spawn(write_until(table.clone(), Arc::clone(&stop), records, count_from));
        }
        Self { stop, count_from, tasks }
    }

    pub(super) async fn end(mut self) -> Result<WriteFigures, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let seconds = self.count_from.elapsed().as_secs_f64();
        let mut all = Seen::nothing()?;
        while let Some(ended) = self.tasks.join_next().await {
            let seen = ended??;
            all.micros.add(seen.micros)?;
            all.failed += seen.failed;
        }
        Ok(WriteFigures {
            per_second: all.micros.len() as f64 / seconds,
            p50_micros: all.micros.value_at_quantile(0.5),
            p99_micros: all.micros.value_at_quantile(0.99),
            longest_micros: all.micros.max(),
            failed: all.failed,
        })
    }
}

async fn write_until<R: Item>(
    table: Table<R>,
    stop: Arc<AtomicBool>,
    records: u64,
    count_from: Instant,
) -> Result<Seen, Failure> {
    let mut seen = Seen::nothing()?;
    let mut stamp = 0;
    while !stop.load(Ordering::Relaxed) {
        stamp += 1;
        let number = rand::rng().random_range(0..records);
        let item = R::new(number, stamp);
        let began = Instant::now();
        let written = table.insert(&item).await;
        if began < count_from {
            continue;
        }
        match written {
            Ok(_) => seen.micros.saturating_record(began.elapsed().as_micros() as u64),
            Err(_) => seen.failed += 1,
        }
    }
    Ok(seen)
}
