//! The write path: requests, the proposer that gathers them, the sequencer that decides them.
//!
//! ```text
//! caller -> proposer (any node, batches) -> leader's sequencer -> Raft log -> apply -> publish view -> wake the caller
//! ```

mod change;
mod claims;
mod decide;
#[cfg(test)]
mod decide_tests;
mod guard;
mod limits;
mod local;
mod lock_client;
mod locking;
mod locks;
mod moved;
mod overlay;
mod proposer;
mod recent;
mod request;
mod reshape;
mod sequencer;
mod staged;
mod unique;

pub(crate) use change::{Change, Combine};
pub(crate) use guard::{Guard, Space};
pub(crate) use local::{is_local, write_local};
pub(crate) use lock_client::{LockClient, lock_here};
pub(crate) use locking::{LockAnswer, LockId};
pub(crate) use locks::Place;
pub(crate) use proposer::{Committed, Proposer, ProposerParts, Submitted};
pub use request::{Delta, DuplicateValue, Rejection, TableLimit};
pub(crate) use request::{Op, Request, Rewritten};
pub(crate) use sequencer::{BatchWork, Sequencer, SequencerLimits, Work};
pub(crate) use unique::{DUPLICATES_LISTED_MAX, refuse_duplicates};
