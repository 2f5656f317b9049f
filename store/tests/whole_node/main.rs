//! All files of a node together: identity, log, checkpoint and local tables, damaged and cut off at every place.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod content;
mod crash_points;
mod cut;
mod damages;
mod flips;
mod life;
mod power;
mod receipts;
