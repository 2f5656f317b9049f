//! Whole-cluster tests: the harness, and how its parts are found.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod binary;
