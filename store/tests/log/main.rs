//! The Raft log, driven from outside: what it promises about order, durability, crashes and damage.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod crashes;
mod damage;
mod faults;
mod fixtures;
mod groups;
mod model;
mod segments;
mod support;
