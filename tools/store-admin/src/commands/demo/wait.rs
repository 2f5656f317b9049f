//! Waiting for a condition, with a deadline and the reason in the error.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};

/// How long any condition of the demo may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

const INTERVAL: Duration = Duration::from_millis(20);

/// Asks until the answer is `Ok`; returns it with the time that passed. `probe` answers `Err` with what it
/// sees instead.
pub(super) async fn until<T>(
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> Outcome<(T, Duration)> {
    let started = Instant::now();
    loop {
        let seen = match probe().await {
            Ok(value) => return Ok((value, started.elapsed())),
            Err(seen) => seen,
        };
        if started.elapsed() > DEADLINE {
            return Err(Failure::new(format_args!(
                "waited {} s until {what}, but {seen}",
                DEADLINE.as_secs()
            )));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
