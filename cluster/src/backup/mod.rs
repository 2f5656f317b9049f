//! Backup, restore and import: the tables of a cluster in a file, and back, here or elsewhere.
//!
//! A node gives out a backup part by part from a held view, so that it costs memory for one part and blocks nobody who
//! writes. A restore fills tables of hidden names through the log, compares what they hold with what was backed up, and
//! gives them their names in one step at one log index. What it asks of a node it asks by administrative requests,
//! whether it runs in the node's process or at an operator's desk.

mod api;
mod asked;
mod error;
mod feed;
mod load;
mod options;
mod plan;
mod report;
mod restore;
mod take;

pub use error::BackupFailure;
pub use options::{BackupOptions, OnExisting, RestoreOptions};
pub use report::{BackupReport, BackupTableReport, RestoreReport, Restored, RestoredTable};

/// What the names of tables begin with that a restore is filling.
pub(crate) use tabularaft_store::RESTORING_PREFIX;
