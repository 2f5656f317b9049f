//! Administration: the protocol between `store-admin` and a node, its client, and the documents it reads.

mod alterations;
mod answers;
mod backups;
mod client;
mod client_tables;
mod client_watch;
mod copies;
mod document;
mod error;
mod filter;
mod indexes;
mod operations;
pub mod protocol;
mod records;
mod scans;
mod server;
mod status;
mod table_ref;
#[cfg(test)]
mod tests;
mod verify;
mod watch;
mod watched;

pub use client::{AdminClient, Written};
pub use document::{
    ClusterStatus, CopyDigest, CopyState, CopyStatus, IndexSummary, NodeRole, NodeState, NodeStatus,
    NotReadyStatus, RecoveryStatus, TableInfo, TableSummary, TableVerdict, VerifyReport,
};
pub use error::{AdminError, AdminErrorKind};
pub(crate) use filter::RecordFilter;
pub use scans::ScanPlan;

pub(crate) use copies::{copy_table, delete_copy, move_copy, set_default_copy};
pub(crate) use server::{AdminState, answer, serve};
pub(crate) use verify::{DigestOf, digests};
