//! What lately applied entries have changed, for those who follow the tables.
//!
//! The writer records what each entry changes; when a view is published, what it has over the one before is appended
//! to a ring of bounded size. So a reader that has a view at one log index finds in the history everything that came
//! after it, in order, once: or is told that this reaches no longer far enough back.

mod change;
mod recorder;
mod ring;

pub use change::{Change, HistoryEntry, NewRow, TableEvent};
pub use ring::{History, HistoryError, HistoryPage};

pub(crate) use recorder::Recorder;
