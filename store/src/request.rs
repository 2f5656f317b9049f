//! What identifies a request, and what became of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Incarnation, LogIndex};

/// The name of one request, given by the proposer that sends it and kept over every retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId {
    /// The life of the node that sent the request.
    pub incarnation: Incarnation,
    /// Counted upwards by that incarnation; never used twice.
    pub sequence: u64,
}

/// A request whose operations were accepted, as the log carries it beside its effects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// Which request this is.
    pub request: RequestId,
    /// Every lower sequence number of this incarnation has been answered to its caller, so that the exactly-once
    /// window may forget it.
    pub completed_below: u64,
    /// One result per operation, in the request's order.
    pub results: Vec<OpResult>,
}

/// What one operation came to.
///
/// Persistent: add at the end, never change or reuse a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OpResult {
    /// It was done, and there is nothing more to say.
    Done,
    /// The version the record has now.
    Version(u64),
    /// How many records were touched.
    Count(u64),
    /// A signed number that the operation computed.
    Integer(i64),
    /// An unsigned number that the operation computed.
    Unsigned(u64),
    /// A floating-point number that the operation computed.
    Float(f64),
    /// Whether the record was there.
    Found(bool),
    /// What a registered function returned, encoded.
    Value(Bytes),
}

/// What the exactly-once window knows of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It has not been applied.
    No,
    /// It was applied.
    Done {
        /// The log index of the entry that carried it.
        index: LogIndex,
        /// One result per operation.
        results: Vec<OpResult>,
    },
    /// The window no longer reaches back so far: it may or may not have happened.
    Forgotten,
}
