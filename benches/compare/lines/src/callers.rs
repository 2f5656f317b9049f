//! Callers in a closed loop, inside a node process: each begins its next call when the one before was answered.

use std::future::Future;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::Failure;
use crate::figures::Figures;
use crate::line::Line;

/// Calls that begin in this time are not counted.
const WARM_UP: Duration = Duration::from_millis(200);
/// Latencies are kept to 1 %, up to a minute.
const DIGITS: u8 = 2;
const LONGEST_NANOS: u64 = 60_000_000_000;
/// Calls between two looks at the clock, where single ones are too short to be timed.
const CHUNK: usize = 64;

/// One caller.
pub trait Caller: Send + 'static {
    /// Makes one call and waits for its answer.
    fn call(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;

    /// How often calls were repeated because of conflicts.
    fn restarts(&self) -> u64 {
        0
    }
}

struct Seen {
    nanos: Histogram<u64>,
    restarts: u64,
}

/// Runs as many callers as the command names, for as long as it says.
///
/// # Errors
///
/// When a call failed: a figure with failed calls in it would compare nothing.
pub async fn run<C: Caller>(
    command: &Line,
    make: impl Fn(usize) -> Result<C, Failure>,
) -> Result<Figures, Failure> {
    let length = Duration::from_secs_f64(command.number("seconds")?);
    let count_from = Instant::now() + WARM_UP;
    let until = count_from + length;
    let mut tasks = JoinSet::new();
    for number in 0..command.number("callers")? {
        tasks.spawn(call_until(make(number)?, count_from, until));
    }
    let mut all = Histogram::<u64>::new_with_bounds(1, LONGEST_NANOS, DIGITS)?;
    let mut restarts = 0;
    while let Some(ended) = tasks.join_next().await {
        let seen = ended??;
        all.add(seen.nanos)?;
        restarts += seen.restarts;
    }
    Ok(Figures {
        per_second: all.len() as f64 / length.as_secs_f64(),
        p50_micros: all.value_at_quantile(0.5) as f64 / 1e3,
        p99_micros: all.value_at_quantile(0.99) as f64 / 1e3,
        restarts: restarts as f64,
    })
}

async fn call_until<C: Caller>(mut caller: C, count_from: Instant, until: Instant) -> Result<Seen, Failure> {
    let mut nanos = Histogram::new_with_bounds(1, LONGEST_NANOS, DIGITS)?;
    loop {
        let began = Instant::now();
        if began >= until {
            return Ok(Seen { nanos, restarts: caller.restarts() });
        }
        caller.call().await?;
        let ended = Instant::now();
        // Counted when they end in time, so that a call under way at the end is not counted for nothing.
        if began >= count_from && ended <= until {
            nanos.saturating_record((ended - began).as_nanos() as u64);
        }
    }
}

/// Runs calls that end in the caller's own thread, in as many threads as the command has callers. `make` makes one
/// thread's call from its number; each call is told how often it was called before.
///
/// # Errors
///
/// When a call failed.
pub fn run_threads<F>(command: &Line, make: impl Fn(usize) -> Result<F, Failure>) -> Result<Figures, Failure>
where
    F: FnMut(usize) -> Result<(), Failure> + Send + 'static,
{
    let length = Duration::from_secs_f64(command.number("seconds")?);
    let threads: usize = command.number("callers")?;
    let calls = (0..threads).map(make).collect::<Result<Vec<_>, _>>()?;
    let running: Vec<_> =
        calls.into_iter().map(|call| thread::spawn(move || calls_per_second(call, length))).collect();
    let mut per_second = 0.0;
    for thread in running {
        per_second += thread.join().map_err(|_| "a caller panicked")??;
    }
    Ok(Figures { per_second, ..Figures::default() })
}

fn calls_per_second(
    mut call: impl FnMut(usize) -> Result<(), Failure>,
    length: Duration,
) -> Result<f64, Failure> {
    let warm = Instant::now() + WARM_UP;
    let mut made = 0;
    let mut chunk = |made: &mut usize| -> Result<(), Failure> {
        for _ in 0..CHUNK {
            call(*made)?;
            *made += 1;
        }
        Ok(())
    };
    while Instant::now() < warm {
        chunk(&mut made)?;
    }
    let (began, before) = (Instant::now(), made);
    while began.elapsed() < length {
        chunk(&mut made)?;
    }
    Ok((made - before) as f64 / began.elapsed().as_secs_f64())
}
