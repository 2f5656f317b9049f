//! Secondary indexes, added and dropped while tables are in use.
//!
//! ```text
//! AddIndex in the log -> every node builds it from its records -> all that are alive report it built
//!                                                                        |
//!      ActivateIndex in the log  <-  the leader looks for duplicates  <--┘
//! ```
//!
//! Until it is active a unique index is not enforced; it can be read on each node as soon as that node has built it. A
//! node that joins or restarts builds its own before it reads through it, whether the index is active or not. An index
//! that cannot become what was asked for is dropped again.

mod add;
mod info;
mod lead;
mod migrated;
mod report;
mod scan;

pub use add::IndexProgress;
pub(crate) use add::add;
pub use info::IndexInfo;
pub(crate) use lead::lead;
pub(crate) use migrated::check_unique;
pub(crate) use report::{IndexReport, reports};
pub use scan::IndexScan;
