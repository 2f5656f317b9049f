//! Real node processes that are killed, paused, cut off, restarted, joined and removed while clients use them, and a
//! check of everything that the clients were told.
//!
//! | file | holds |
//! |---|---|
//! | `run.rs` | rounds of faults and clients; final reads and checks |
//! | `clients.rs` | what clients ask, and where it is noted |
//! | `faults.rs` | what goes wrong, and how it ends |
//! | `fleet.rs` | the nodes and the machines that they are on |
//! | `process.rs`, `protocol.rs` | a node process as the driver sees it, and the lines between them |
//! | `node.rs` | the node process |
//! | `command.rs` | the program around it |
//!
//! Single records are judged by the [simulation's](crate::sim) oracle, transactions by the [checker](crate::checker).

mod clients;
mod command;
mod faults;
mod fleet;
mod node;
mod process;
mod protocol;
mod run;

pub use command::command;
pub use node::Weakness;
pub use run::{Failure, Plan, Report, UNTRUE};
