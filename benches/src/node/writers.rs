//! Callers in a closed loop: each writes one record, waits until that is acknowledged, and writes the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rand::RngExt;
use tabularaft::{Table, WriteError};
use tokio::task::JoinSet;

use crate::Failure;
use crate::items::Item;
use crate::protocol::WriteFigures;

/// Latencies are kept to 1 %, up to a minute.
const DIGITS: u8 = 2;
const LONGEST_MICROS: u64 = 60_000_000;
/// A histogram is some 20 KiB, which would be most of the memory of a node with many callers.
const CALLERS_PER_HISTOGRAM: usize = 64;

pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    gap: Arc<Gap>,
    seen: Vec<Arc<Mutex<Seen>>>,
    count_from: Instant,
    tasks: JoinSet<()>,
}

/// The longest time between two acknowledgements, whichever callers had them.
struct Gap(Mutex<(Instant, Duration)>);

impl Gap {
    fn new() -> Self {
        Self(Mutex::new((Instant::now(), Duration::ZERO)))
    }

    /// Notes an acknowledgement, or the end; returns the longest time so far.
    fn note(&self) -> Duration {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, longest) = &mut *guard;
        let now = Instant::now();
        *longest = (*longest).max(now.duration_since(*last));
        *last = now;
        *longest
    }
}

/// What some callers saw, or all of them.
struct Seen {
    micros: Histogram<u64>,
    failed: u64,
    overloaded: u64,
    first_failure: Option<String>,
}

impl Seen {
    fn nothing() -> Result<Self, Failure> {
        let micros = Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS)?;
        Ok(Self { micros, failed: 0, overloaded: 0, first_failure: None })
    }

    fn note(&mut self, took: Duration, written: Result<u64, WriteError>) {
        match written {
            Ok(_) => self.micros.saturating_record(took.as_micros() as u64),
            Err(error) => {
                self.failed += 1;
                self.overloaded += u64::from(matches!(error, WriteError::Overloaded { .. }));
                self.first_failure.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

impl Writers {
    pub(super) fn begin<R: Item>(
        table: &Table<R>,
        records: u64,
        callers: usize,
        warm_up: Duration,
    ) -> Result<Self, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let count_from = Instant::now() + warm_up;
        let gap = Arc::new(Gap::new());
        let mut tasks = JoinSet::new();
        let mut all_seen = Vec::new();
        for caller in 0..callers {
            if caller % CALLERS_PER_HISTOGRAM == 0 {
                all_seen.push(Arc::new(Mutex::new(Seen::nothing()?)));
            }
            let seen = all_seen.last().map(Arc::clone).ok_or("no histogram")?;
            let (stop, gap) = (Arc::clone(&stop), Arc::clone(&gap));
            tasks.spawn(write_until(table.clone(), stop, gap, seen, records, count_from));
        }
        Ok(Self { stop, gap, seen: all_seen, count_from, tasks })
    }

    pub(super) async fn end(mut self) -> Result<WriteFigures, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let seconds = self.count_from.elapsed().as_secs_f64();
        let longest_gap_micros = self.gap.note().as_micros() as u64;
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        let mut all = Seen::nothing()?;
        for seen in &self.seen {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            all.micros.add(&seen.micros)?;
            all.failed += seen.failed;
            all.overloaded += seen.overloaded;
            all.first_failure = all.first_failure.or_else(|| seen.first_failure.clone());
        }
        Ok(WriteFigures {
            per_second: all.micros.len() as f64 / seconds,
            p50_micros: all.micros.value_at_quantile(0.5),
            p99_micros: all.micros.value_at_quantile(0.99),
            longest_micros: all.micros.max(),
            longest_gap_micros,
            failed: all.failed,
            overloaded: all.overloaded,
            first_failure: all.first_failure,
        })
    }
}

async fn write_until<R: Item>(
    table: Table<R>,
    stop: Arc<AtomicBool>,
    gap: Arc<Gap>,
    seen: Arc<Mutex<Seen>>,
    records: u64,
    count_from: Instant,
) {
    let mut stamp = 0;
    while !stop.load(Ordering::Relaxed) {
        stamp += 1;
        let number = rand::rng().random_range(0..records);
        let item = R::new(number, stamp);
        let began = Instant::now();
        let written = table.insert(&item).await;
        if written.is_ok() {
            gap.note();
        }
        if began >= count_from {
            seen.lock().unwrap_or_else(PoisonError::into_inner).note(began.elapsed(), written);
        }
    }
}
