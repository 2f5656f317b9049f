//! Ordered maps: a copy-on-write B+tree over packed pages.

mod build;
mod fences;
mod map;
mod node;
mod range;

pub use build::{NotAscending, OrderedBuilder};
pub use map::OrderedMap;
pub use range::OrderedRange;
