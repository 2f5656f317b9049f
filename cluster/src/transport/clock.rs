//! The one door through which the transport asks for time, so that a simulation can own it.

use std::{future::Future, time::Duration};

pub(crate) use tokio::time::Instant;

/// The present moment.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits for `duration`.
pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Waits until `deadline`.
pub(crate) async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline).await;
}

/// Runs `work` for at most `limit`; `None` when it took longer.
pub(crate) async fn within<F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    tokio::time::timeout(limit, work).await.ok()
}

/// Runs `work` until `deadline`; `None` when it took longer.
pub(crate) async fn before<F: Future>(deadline: Instant, work: F) -> Option<F::Output> {
    tokio::time::timeout_at(deadline, work).await.ok()
}
