//! Progress on stderr: a bar on a terminal, lines with `--progress` elsewhere, else nothing.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{bytes, count, duration};

/// Without a terminal a line is written this often, and when the work ends.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// How much of something is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) records: u64,
    pub(crate) records_total: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) bytes_total: Option<u64>,
}

/// The progress of one piece of work.
pub(crate) struct Bar {
    view: View,
    started: Instant,
    phase: String,
    amount: Amount,
}

enum View {
    Terminal(ProgressBar),
    Lines { last: Option<Instant> },
    Nothing,
}

impl Bar {
    /// Progress of the work called `title`; `asked` is `--progress`.
    pub(crate) fn new(title: &str, asked: bool) -> Self {
        let view = match (std::io::stderr().is_terminal(), asked) {
            (true, _) => View::Terminal(terminal_bar()),
            (false, true) => View::Lines { last: None },
            (false, false) => View::Nothing,
        };
        Self { view, started: Instant::now(), phase: title.into(), amount: Amount::default() }
    }

    /// Names what is being done now; rates are counted from here.
    pub(crate) fn phase(&mut self, phase: &str) {
        if self.phase != phase {
            (self.phase, self.started, self.amount) = (phase.into(), Instant::now(), Amount::default());
        }
    }

    /// Shows that so much is done.
    pub(crate) fn show(&mut self, amount: Amount) {
        self.amount = amount;
        let line = describe(&self.phase, &amount, self.started.elapsed());
        match &mut self.view {
            View::Terminal(bar) => {
                let (done, total) = fraction(&amount).unwrap_or((0, 1));
                bar.set_length(total.max(1));
                bar.set_position(done);
                bar.set_message(line);
            }
            View::Lines { last } if last.is_none_or(|last| last.elapsed() >= LINE_INTERVAL) => {
                *last = Some(Instant::now());
                write_line(&line);
            }
            View::Lines { .. } | View::Nothing => {}
        }
    }

    /// Ends the progress: a bar leaves its last state on the screen.
    pub(crate) fn finish(self) {
        match &self.view {
            View::Terminal(bar) => bar.abandon(),
            View::Lines { .. } => write_line(&describe(&self.phase, &self.amount, self.started.elapsed())),
            View::Nothing => {}
        }
    }
}

fn terminal_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(10));
    let style = ProgressStyle::with_template("[{bar:25}] {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar
}

/// A reader of stderr that went away is no reason to stop the work.
fn write_line(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// `copy route: 1,200 of 4,000 records, 30 %, 1.2 MiB, 3.4 MiB/s, 2.1 s left`
fn describe(phase: &str, amount: &Amount, elapsed: Duration) -> String {
    let mut parts = Vec::new();
    match amount.records_total {
        Some(total) => parts.push(format!("{} of {} records", count(amount.records), count(total))),
        None if amount.records > 0 => parts.push(format!("{} records", count(amount.records))),
        None => {}
    }
    let fraction = fraction(amount);
    if let Some((done, total)) = fraction {
        parts.push(format!("{} %", done.saturating_mul(100) / total.max(1)));
    }
    if amount.bytes > 0 {
        parts.push(bytes(amount.bytes));
        if elapsed >= Duration::from_millis(100) {
            parts.push(format!("{}/s", bytes((amount.bytes as f64 / elapsed.as_secs_f64()) as u64)));
        }
    }
    if let Some(left) = fraction.and_then(|(done, total)| time_left(done, total, elapsed)) {
        parts.push(format!("{} left", duration(left)));
    }
    if parts.is_empty() { phase.into() } else { format!("{phase}: {}", parts.join(", ")) }
}

/// By bytes when their total is known, else by records; never more than the whole.
fn fraction(amount: &Amount) -> Option<(u64, u64)> {
    let by_bytes =
        amount.bytes_total.filter(|total| *total > 0).map(|total| (amount.bytes.min(total), total));
    by_bytes.or_else(|| {
        amount.records_total.filter(|total| *total > 0).map(|total| (amount.records.min(total), total))
    })
}

fn time_left(done: u64, total: u64, elapsed: Duration) -> Option<Duration> {
    if done == 0 || done >= total || elapsed < Duration::from_millis(300) {
        return None;
    }
    Duration::try_from_secs_f64(elapsed.as_secs_f64() * (total - done) as f64 / done as f64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMOUNT: Amount =
        Amount { records: 1200, records_total: Some(4000), bytes: 3 << 20, bytes_total: Some(12 << 20) };

    #[test]
    fn progress_says_records_bytes_rate_and_time_left() {
        let line = describe("copy route", &AMOUNT, Duration::from_secs(2));
        assert_eq!(line, "copy route: 1,200 of 4,000 records, 25 %, 3.0 MiB, 1.5 MiB/s, 6.0 s left");
    }

    #[test]
    fn progress_without_totals_says_what_it_knows() {
        assert_eq!(describe("wait", &Amount::default(), Duration::from_secs(2)), "wait");
        let amount = Amount { records: 7, ..Amount::default() };
        assert_eq!(describe("load", &amount, Duration::ZERO), "load: 7 records");
    }

    #[test]
    fn progress_never_exceeds_the_whole() {
        let amount = Amount { records: 9, records_total: Some(4), ..Amount::default() };
        assert_eq!(describe("load", &amount, Duration::from_secs(1)), "load: 9 of 4 records, 100 %");
    }
}
