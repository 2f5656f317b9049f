//! Whole-cluster tests: the harness, and how its parts are found.
//!
//! [`TestCluster`] runs several nodes in this process and controls what goes wrong between and below them. Writers of
//! [`workload`] write meanwhile and know afterwards what must be there; clients of [`append`] write a [`history`] that
//! the [`checker`] judges. [`binary`] is for tests of real processes, and [`chaos`] for faults of them.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod append;
pub mod binary;
mod callers;
pub mod chaos;
pub mod checker;
mod cluster;
mod cluster_builder;
mod copies;
pub mod history;
mod log_output;
mod place;
pub mod process;
mod reserved_port;
pub mod sim;
pub mod tables;
mod test_node;
pub mod wait;
pub mod workload;

pub use callers::Callers;
pub use cluster::TestCluster;
pub use cluster_builder::ClusterBuilder;
pub use copies::{Copies, copies_of};
pub use place::Place;
pub use test_node::TestNode;
pub use wait::{PATIENCE, eventually, retry, wait_for, wait_for_blocking};
