//! Waiting for a condition, with a reason and a deadline.

use std::time::{Duration, Instant};

/// How long a test waits for something that takes milliseconds on an idle machine. Only failing tests wait so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
///
/// At the deadline, with the reason.
pub async fn eventually(reason: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(reason, within, || if condition() { Ok(()) } else { Err("it does not".to_owned()) }).await;
}

/// Waits until `find` has found something.
///
/// # Panics
///
/// At the deadline, with the reason and what was missing last.
pub async fn wait_for<T>(reason: &str, within: Duration, mut find: impl FnMut() -> Result<T, String>) -> T {
    retry(reason, within, || std::future::ready(find())).await
}

/// Tries until `attempt` succeeds.
///
/// # Panics
///
/// At the deadline, with the reason and the last error.
pub async fn retry<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    reason: &str,
    within: Duration,
    mut attempt: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        match attempt().await {
            Ok(found) => return found,
            Err(error) if began.elapsed() >= within => {
                panic!("waited {:?} for this: {reason}; last: {error}", began.elapsed())
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// As [`eventually`], for tests of processes, which run outside of a runtime.
///
/// # Panics
///
/// At the deadline, with the reason.
pub fn wait_for_blocking(reason: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < within, "waited {:?} for this: {reason}", began.elapsed());
        std::thread::sleep(LOOK_EVERY);
    }
}
