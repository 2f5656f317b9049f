//! The checkpoint: the disc tables in one database file, behind the log.
//!
//! The log is the durable thing. Now and then all that has changed since the last checkpoint is frozen and written in
//! one transaction together with the position it reaches; the log may then be purged up to there, and recovery is to
//! open the file and apply the rest of the log again.

mod backend;
mod control;
mod database;
mod disc_table;
mod integrity;
mod job;
pub(crate) mod layout;
mod load;
mod side_by_side;
mod thread;

pub(crate) use control::{CheckpointControl, NoCheckpoint};
pub(crate) use database::{Generation, TablesFile};
pub(crate) use disc_table::DiscTable;
pub(crate) use job::{CheckpointJob, Checkpointed, TableJob, TableWork};
pub(crate) use load::{LoadedCheckpoint, load, load_memory};
pub(crate) use thread::CheckpointThread;
