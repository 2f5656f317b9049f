//! Fuzz targets: one per decoder that reads bytes of others, from a disc, a socket, a file or a command line.
//!
//! A target is a function of any bytes that must neither panic nor take much memory or time; where it can, it also
//! checks that what was read is written again as it was. `cargo test -p tabularaft-fuzz` replays the corpus in
//! `tests/fuzz/corpus/<target>/`, and `cargo xtask fuzz --seconds N` looks for new inputs with libFuzzer.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod target;
mod targets;

pub use target::{Target, corpus, target};
pub use targets::TARGETS;
