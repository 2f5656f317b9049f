//! Backups: what was written comes back, and what was changed since is noticed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[path = "../whole_node/cut.rs"]
mod cut;
mod damage;
#[path = "../whole_node/damages.rs"]
mod damages;
mod files;
mod fixtures;
mod sources;
mod support;
