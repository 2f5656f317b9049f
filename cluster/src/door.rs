//! The one door through which time and randomness enter, so that a simulation can own both.
#![expect(clippy::disallowed_methods, reason = "this is the door the lint guards")]

use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Monotonic time.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, for names and reports only: no decision is taken on it.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Runs `future` until `deadline`; `None` when time ran out.
pub(crate) async fn until<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    tokio::time::timeout_at(deadline.into(), future).await.ok()
}

/// A number from the process's random generator.
pub(crate) fn random_u64() -> u64 {
    rand::random()
}

/// An identifier that no other cluster has.
pub(crate) fn random_u128() -> u128 {
    rand::random()
}
