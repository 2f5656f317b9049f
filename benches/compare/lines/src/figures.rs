//! What the callers of one run saw.

use crate::Failure;
use crate::line::Line;

/// One run, of one node's callers or of all nodes'.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Calls per second.
    pub per_second: f64,
    /// Half of the calls took at most this many µs; 0 where single calls are too short to be timed.
    pub p50_micros: f64,
    /// 99 of 100 calls took at most this many µs; 0 likewise.
    pub p99_micros: f64,
    /// Calls that were repeated because of a conflict, as far as the peer counts them.
    pub restarts: f64,
}

impl Figures {
    /// As a reply of a node process.
    pub fn to_line(self) -> Line {
        Line::new("figures")
            .with("rate", self.per_second)
            .with("p50", self.p50_micros)
            .with("p99", self.p99_micros)
            .with("restarts", self.restarts)
    }

    /// From the reply of a node process.
    ///
    /// # Errors
    ///
    /// When the reply is another.
    pub fn from_line(line: &Line) -> Result<Self, Failure> {
        Ok(Self {
            per_second: line.number("rate")?,
            p50_micros: line.number_or("p50", 0.0)?,
            p99_micros: line.number_or("p99", 0.0)?,
            restarts: line.number_or("restarts", 0.0)?,
        })
    }

    /// Of callers on several nodes at once: rates add up, the middle node's p50 and the worst node's p99 stand for all.
    pub fn of_nodes(nodes: &[Self]) -> Self {
        let mut p50s: Vec<f64> = nodes.iter().map(|node| node.p50_micros).collect();
        p50s.sort_by(f64::total_cmp);
        Self {
            per_second: nodes.iter().map(|node| node.per_second).sum(),
            p50_micros: p50s.get(p50s.len() / 2).copied().unwrap_or(0.0),
            p99_micros: nodes.iter().map(|node| node.p99_micros).fold(0.0, f64::max),
            restarts: nodes.iter().map(|node| node.restarts).sum(),
        }
    }
}
