//! Workloads of the Tabularaft table store. Two programs use this package:
//!
//! * `cargo run --release -p tabularaft-benches --bin cluster` measures three node processes on loopback;
//!   its parts are the modules below. Figures taken with it are in `benches/RESULTS.md`.
//! * `cargo bench -p tabularaft-benches --bench memory_tables` measures the structures in memory alone.
//!
//! The [`workloads`] are also run by the whole-cluster tests.
//!
//! ```text
//! figures -> cluster -> process == commands over pipes ==> node (another process): readers, writers, loading
//! ```
//!
//! The callers of every figure run *inside* the node processes, as in a service that embeds the store. The process
//! that measures only tells them when to begin and what to do.

pub mod cluster;
pub mod figures;
pub mod items;
pub mod namespaces;
pub mod node;
pub mod process;
pub mod protocol;
pub mod report;
pub mod workloads;

/// Why a figure could not be taken. A bench has no use for telling errors apart.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
