//! The data directory and the identity in it, driven from outside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod identity;
mod lock;
mod retirement;
