//! The store's state, driven from outside: what applying, publishing, checkpoints, copies and installs promise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod apply;
mod bags;
mod barriers;
mod checkpoints;
mod clock;
mod copies;
mod definitions;
mod disc_only;
mod faults;
mod fixtures;
mod harness;
mod history;
mod hostile;
mod indexes;
mod installs;
mod loading;
mod local_content;
mod mode_changes;
mod record_versions;
mod restarts;
mod views;
