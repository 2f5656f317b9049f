//! Backups: what was written comes back, and what was changed since is noticed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod damage;
mod files;
mod fixtures;
mod sources;
mod support;
