//! Whole clusters in one process and on one thread, from one seed: network, discs, threads, clocks and randomness are
//! simulated, so that a run can be repeated exactly.
//!
//! | file | holds |
//! |---|---|
//! | `run.rs` | one run: forming, faults, healing, checks |
//! | `stage.rs`, `faults.rs` | what is done to the cluster, and by which plan |
//! | `clients.rs`, `perform.rs`, `ledger.rs` | what clients do, how a node does it, and what they were told |
//! | `watchdog.rs` | invariants, looked at while it runs |
//! | `oracle.rs`, `finish.rs` | the check of everything at the end |
//! | `tally.rs` | how often what happened |
//! | `mutations.rs` | bugs put back on purpose |
//! | `clock.rs`, `world.rs`, `machine.rs` | the time; machines with their processes |
//! | `network.rs`, `packet.rs`, `stream.rs` | connections |
//! | `disc.rs`, `file.rs` | discs |
//! | `threads.rs` | the store's workers |
//! | `command.rs`, `history.rs` | the program around it, and what it writes |

mod clients;
mod clock;
mod command;
mod disc;
mod faults;
mod file;
mod finish;
pub(crate) mod history;
pub(crate) mod ledger;
mod machine;
mod mutations;
mod network;
pub(crate) mod oracle;
mod packet;
pub(crate) mod perform;
pub(crate) mod random;
mod run;
mod stage;
mod stream;
mod tally;
mod threads;
mod watchdog;
mod world;

#[cfg(test)]
mod half_done;
#[cfg(test)]
mod tests;

pub use command::command;
pub use history::History;
pub use mutations::{BUGS, SEEDS_MAX, hunt};
pub use run::{Failure, Plan, Report};
pub use tally::Tally;
