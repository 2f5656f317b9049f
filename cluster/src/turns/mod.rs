//! Turns at hot records: transactions of one node that want the same records share a lock, one after the other.
//!
//! ```text
//! callers -> join a group ---- one lock for all ----> leader's lock desk
//!            │  first runs on the records as decided <───────┘
//!            │  next runs on what the first leaves, before that is decided
//!            ▼  ..., the last one's request gives the lock back
//!          proposer, in this order -> sequencer
//! ```
//!
//! So a lock travels once for many transactions, and they are decided as one batch. What a transaction rests on is
//! checked by the leader as ever, by content: if one of a group fails, those after it that rest on it fail too, and run
//! again.

mod group;
mod quiet;
mod turn;

pub(crate) use quiet::Claim;
pub(crate) use turn::{Turn, Turns};
