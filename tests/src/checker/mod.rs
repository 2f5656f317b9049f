//! Decides whether a history of transactions is strictly serializable.
//!
//! Transactions append unique values to lists and read whole lists. A list that was read shows in which order its values
//! came, and so for each read what was before it and what after. From that follow edges between transactions:
//!
//! | edge | says |
//! |---|---|
//! | ww | the one appended right before the other |
//! | wr | the other read the one's value as the last |
//! | rw | the one read the list as it was right before the other appended |
//! | time | the one was acknowledged before the other began |
//!
//! If the transactions happened one after the other, each between its beginning and its end, there is an order that all
//! edges agree with. So a cycle is an anomaly, and there is none exactly if there is such an order. Some anomalies show
//! without a graph, and are found first: lists of which none begins the other, a value that was read and never
//! committed, a transaction that does not see its own writes.

mod anomaly;
mod graph;
mod lists;
mod txn;

pub use anomaly::Anomaly;
pub use txn::{Mop, Outcome, Txn};

use graph::Graph;
use lists::Lists;

/// Checks a history. One in which nothing was read proves nothing, which is for the caller to see to.
///
/// # Errors
///
/// The first anomaly that was found.
pub fn check(txns: &[Txn]) -> Result<(), Anomaly> {
    for txn in txns.iter().filter(|txn| txn.outcome == Outcome::Ok) {
        txn.check_internally()?;
    }
    let lists = Lists::of(txns)?;
    match Graph::of(txns, &lists).cycle() {
        None => Ok(()),
        Some(cycle) => Err(Anomaly::Cycle(cycle)),
    }
}

#[cfg(test)]
mod tests;
