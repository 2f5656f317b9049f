//! The payload of one Raft entry: a batch of decided requests and their effects, and its encoding.
//!
//! Persistent: add, never change or reuse.
//!
//! | bytes | hold |
//! |---|---|
//! | 0 | the format version: 1, or 2 if the batch rests on a version |
//! | 1 | flags; bit 0: the batch touches a disc copy, so the log must be synced before it is acknowledged |
//! | 2.. | of version 2 only: postcard of the version it rests on |
//! | .. | postcard of the wire form below |

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::{SchemaChange, TableId};

use crate::{Decided, Effect, Incarnation, MemberChange};

const FORMAT_VERSION: u8 = 2;
/// The format of a batch that rests on no version.
const FREE_FORMAT_VERSION: u8 = 1;
const FLAG_NEEDS_SYNC: u8 = 1;
const HEADER_BYTES: usize = 2;

/// What one Raft entry carries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// The term in which the batch was decided. Apply drops it whole when the log gave it another term: it was
    /// decided under a leadership that had been lost.
    pub term: u64,
    /// The requests whose outcome this batch is.
    pub decided: Vec<Decided>,
    /// Their effects, in order.
    pub effects: Vec<Effect>,
    /// The last version of the state on which the batch was decided, entries that were proposed before it included. Apply
    /// drops the batch whole where the state has another one: one of these entries was refused. `None`: it rests on
    /// nothing.
    pub rests_on: Option<u64>,
}

/// Why bytes are not a batch that this build reads.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BatchError {
    /// A newer build wrote it.
    #[error(
        "the batch has format version {found}, this build reads up to {FORMAT_VERSION}: upgrade this node"
    )]
    NewerFormat {
        /// The version found.
        found: u8,
    },
    /// The bytes end early, go on too long, or say something that has no meaning.
    #[error("the batch of {bytes} bytes is damaged: {why}")]
    Damaged {
        /// How long it is.
        bytes: usize,
        /// What was found.
        why: String,
    },
}

impl Batch {
    /// The bytes of the batch. `needs_sync` says that some effect touches a table with a disc copy anywhere in the
    /// cluster, so that a commit must survive the loss of power on all nodes.
    pub fn encode(&self, needs_sync: bool) -> Bytes {
        let flags = if needs_sync { FLAG_NEEDS_SYNC } else { 0 };
        let wire = WireBatch {
            term: self.term,
            decided: Cow::Borrowed(&self.decided),
            effects: self.effects.iter().map(WireEffect::of).collect(),
        };
        let mut bytes = Vec::with_capacity(self.encoded_bytes_estimate());
        let encodes = "the wire form has only types that postcard encodes";
        bytes.extend_from_slice(&[
            if self.rests_on.is_some() { FORMAT_VERSION } else { FREE_FORMAT_VERSION },
            flags,
        ]);
        if let Some(version) = &self.rests_on {
            bytes = postcard::to_extend(version, bytes).expect(encodes);
        }
        postcard::to_extend(&wire, bytes).expect(encodes).into()
    }

    /// Reads a batch. Keys and values are slices of `payload`, which stays alive as long as any of them.
    pub fn decode(payload: &Bytes) -> Result<Batch, BatchError> {
        let damaged = |why: &str| BatchError::Damaged { bytes: payload.len(), why: why.to_owned() };
        let format = match payload.first() {
            Some(&found) if found > FORMAT_VERSION => return Err(BatchError::NewerFormat { found }),
            Some(0) => return Err(damaged("its format version is 0")),
            Some(&found) => found,
            None => return Err(damaged("it is empty")),
        };
        let mut body = payload.get(HEADER_BYTES..).ok_or_else(|| damaged("it ends in its header"))?;
        let mut rests_on = None;
        if format == FORMAT_VERSION {
            let (version, rest) =
                postcard::take_from_bytes::<u64>(body).map_err(|error| damaged(&error.to_string()))?;
            (rests_on, body) = (Some(version), rest);
        }
        let (wire, rest) =
            postcard::take_from_bytes::<WireBatch<'_>>(body).map_err(|error| damaged(&error.to_string()))?;
        if !rest.is_empty() {
            return Err(damaged("bytes follow its end"));
        }
        let effects = wire.effects.into_iter().map(|effect| effect.into_effect(payload)).collect();
        Ok(Batch { term: wire.term, decided: wire.decided.into_owned(), effects, rests_on })
    }

    fn encoded_bytes_estimate(&self) -> usize {
        let records: usize = self.effects.iter().map(effect_bytes_estimate).sum();
        HEADER_BYTES + 20 + self.decided.len() * 40 + records
    }
}

fn effect_bytes_estimate(effect: &Effect) -> usize {
    match effect {
        Effect::Put { key, value, .. } => key.len() + value.len() + 32,
        Effect::Delete { key, .. } => key.len() + 24,
        _ => 32,
    }
}

/// Whether the log must sync an entry with this payload before it is acknowledged, read without decoding it.
/// Of bytes that are no batch of a known format it says yes, which is always safe.
pub fn batch_needs_sync(payload: &[u8]) -> bool {
    match payload {
        [FREE_FORMAT_VERSION | FORMAT_VERSION, flags, ..] => flags & FLAG_NEEDS_SYNC != 0,
        _ => true,
    }
}

/// Persistent: the order of the fields is the format.
#[derive(Serialize, Deserialize)]
struct WireBatch<'a> {
    term: u64,
    decided: Cow<'a, [Decided]>,
    #[serde(borrow)]
    effects: Vec<WireEffect<'a>>,
}

/// Persistent: add variants at the end, never change or reuse one.
#[derive(Serialize, Deserialize)]
enum WireEffect<'a> {
    Put {
        table: TableId,
        #[serde(borrow, with = "serde_bytes")]
        key: &'a [u8],
        #[serde(borrow, with = "serde_bytes")]
        value: &'a [u8],
        version: u64,
        owner: Option<Incarnation>,
    },
    Delete {
        table: TableId,
        #[serde(borrow, with = "serde_bytes")]
        key: &'a [u8],
        version: u64,
    },
    Clear {
        table: TableId,
        version: u64,
    },
    Schema(Cow<'a, SchemaChange>),
    Member(Cow<'a, MemberChange>),
    Barrier {
        token: u64,
    },
    Clock {
        unix_ms: u64,
        forget_ms: u64,
    },
}

impl<'a> WireEffect<'a> {
    fn of(effect: &'a Effect) -> Self {
        match effect {
            Effect::Put { table, key, value, version, owner } => {
                WireEffect::Put { table: *table, key, value, version: *version, owner: *owner }
            }
            Effect::Delete { table, key, version } => {
                WireEffect::Delete { table: *table, key, version: *version }
            }
            Effect::Clear { table, version } => WireEffect::Clear { table: *table, version: *version },
            Effect::Schema(change) => WireEffect::Schema(Cow::Borrowed(change)),
            Effect::Member(change) => WireEffect::Member(Cow::Borrowed(change)),
            Effect::Barrier { token } => WireEffect::Barrier { token: *token },
            Effect::Clock { unix_ms, forget_ms } => {
                WireEffect::Clock { unix_ms: *unix_ms, forget_ms: *forget_ms }
            }
        }
    }

    /// `payload` is where the borrowed slices lie, so that taking them out of it copies nothing.
    fn into_effect(self, payload: &Bytes) -> Effect {
        match self {
            WireEffect::Put { table, key, value, version, owner } => Effect::Put {
                table,
                key: payload.slice_ref(key),
                value: payload.slice_ref(value),
                version,
                owner,
            },
            WireEffect::Delete { table, key, version } => {
                Effect::Delete { table, key: payload.slice_ref(key), version }
            }
            WireEffect::Clear { table, version } => Effect::Clear { table, version },
            WireEffect::Schema(change) => Effect::Schema(change.into_owned()),
            WireEffect::Member(change) => Effect::Member(change.into_owned()),
            WireEffect::Barrier { token } => Effect::Barrier { token },
            WireEffect::Clock { unix_ms, forget_ms } => Effect::Clock { unix_ms, forget_ms },
        }
    }
}
