//! **Tabularaft**: tables that live inside your process, with a copy on every node that wants one, and Raft to order
//! the writes. Reads are local and cost nanoseconds; a partition loses nothing that was acknowledged.
//!
//! Declare a table as a record type, start a [`Node`], join a cluster, read and write:
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use serde::{Deserialize, Serialize};
//! use tabularaft::{Node, Record};
//!
//! #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
//! #[record(table = "subscription", kind = "bag", copy = "ram")]
//! struct Subscription { #[key] topic: String, client: String }
//!
//! let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
//! node.create_table::<Subscription>().await?;
//! let subscriptions = node.table::<Subscription>()?;
//! subscriptions.insert(&Subscription { topic: "sensors/1".into(), client: "c1".into() }).await?; // replicated
//! assert_eq!(subscriptions.get_all("sensors/1")?.len(), 1);                    // local, no network
//! # node.shutdown().await;
//! # Ok::<(), tabularaft::Error>(()) }).unwrap();
//! ```
//!
//! Where to go on: [`Node`] for membership, [`Table`] for records, [`schema`] for definitions and modules whose tables
//! are created at boot, [`NodeConfig`] for settings, [`admin`] for the operator's requests.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

pub mod admin;
#[doc(hidden)]
pub mod decoders;
pub mod error;
// Of the documentation alone: the chapters lie outside of the package.
#[cfg(any(doc, doctest))]
pub mod guide;
pub mod query;
pub mod recover;
pub mod transport;

mod alter;
mod backup;
mod boot;
mod builder;
mod calls;
mod config;
mod copy;
mod door;
mod engine;
mod events;
mod functions;
mod held_views;
mod home;
mod indexes;
mod inner;
mod join;
mod lifecycle;
mod node;
mod peers;
mod raft;
mod read_index;
mod readiness;
mod records;
mod table;
mod testing;
mod transaction;
mod transform;
mod turns;
mod watch;
mod wire;
mod write;

pub use tabularaft_schema as schema;
pub use tabularaft_schema::{
    Boot, Copy, CopyMode, Module, NodeName, Record, TableDef, TableKind, TableName, register_module,
};
#[doc(hidden)]
pub use tabularaft_store as store;
pub use tabularaft_store::{
    BackedUp, BackupError, BackupHeader, BackupReader, BackupRecord, BackupTable, BackupWriter, Incarnation,
    IndexReadError, LogIndex,
};

pub use backup::{
    BackupFailure, BackupOptions, BackupReport, BackupTableReport, OnExisting, RestoreOptions, RestoreReport,
    Restored, RestoredTable,
};
pub use builder::NodeBuilder;
pub use config::NodeConfig;
#[doc(hidden)]
pub use door::simulation;
pub use error::{
    Error, FailedWrite, FlushError, JoinError, LeaveError, Mismatch, NotReady, ReadError, StartError,
    TableError, WriteError,
};
pub use events::{AnyRecord, Change, ChangeKind, MemberEvent, SubscribeError, Subscription};
#[doc(hidden)]
pub use functions::{AnyFunction, Registered};
pub use functions::{Function, Update};
pub use indexes::{IndexInfo, IndexProgress, IndexScan};
pub use join::LocalData;
pub use lifecycle::{Lifecycle, PrepareHook, Reason, RebootHook};
pub use node::{Joined, Node};
pub use query::Query;
pub use records::Records;
pub use table::{Cursor, Index, InvalidCursor, NoWait, Page, Sum, Table, Versioned};
#[doc(hidden)]
pub use testing::{Entry, Remains, Standing};
pub use transaction::{
    ReadTable, ReadView, Scan, TooLarge, Transacted, TransactionError, TransactionOptions, Tx, TxError,
    TxTable,
};
pub use transport::{Secret, SecretError};
pub use write::{Delta, DuplicateValue, Rejection, TableLimit};
