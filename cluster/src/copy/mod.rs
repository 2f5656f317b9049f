//! Copying tables between nodes: a source that holds a view, and a receiver that pulls chunks out of it.
//!
//! The receiver pulls, so a broken connection resumes at the last chunk that arrived, and a slow receiver is never
//! overrun. Joins, snapshots for followers far behind, and the loading of ram tables all take this way.

mod fetch;
mod message;
mod session;

pub(crate) use fetch::{CopyError, CopyProgress, OpenedCopy};
pub(crate) use message::{BulkAnswer, BulkCall, OfferedTable};
pub(crate) use session::BulkSession;
