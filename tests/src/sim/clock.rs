//! The simulated time, for all who note it, and for what the nodes log.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use super::network::Host;

/// The simulated time in milliseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock(Arc<AtomicU64>);

thread_local! {
    /// When, and which machine.
    static TURN: Cell<(u64, Host)> = const { Cell::new((0, 0)) };
}

impl Clock {
    pub(super) fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Goes on by a millisecond, and says where it stands.
    pub(super) fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What is logged from now on is logged by this machine.
pub(super) fn note_turn(now_ms: u64, host: Host) {
    TURN.set((now_ms, host));
}

struct Turn;

impl FormatTime for Turn {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        let (now_ms, host) = TURN.get();
        write!(out, "{now_ms:>7} ms  machine {host}")
    }
}

/// Prints what nodes log from now on.
pub(super) fn print_log(filter: &str) {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_timer(Turn)
        .with_ansi(false)
        .with_writer(std::io::stdout)
        .init();
}
