//! The write path: requests, the proposer that gathers them, the sequencer that decides them.
//!
//! ```text
//! caller -> proposer (any node, batches) -> leader's sequencer -> Raft log -> apply -> publish view -> wake the caller
//! ```

mod claims;
mod decide;
mod guard;
mod limits;
mod local;
mod moved;
mod overlay;
mod proposer;
mod recent;
mod request;
mod sequencer;
mod staged;
mod unique;

pub(crate) use guard::{Guard, Space};
pub(crate) use local::{is_local, write_local};
pub(crate) use proposer::{Committed, Proposer, ProposerParts};
pub use request::{Delta, DuplicateValue, Rejection, TableLimit};
pub(crate) use request::{Op, Request};
pub(crate) use sequencer::{Sequencer, SequencerLimits, Work};
