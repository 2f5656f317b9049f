//! The tables that most tests use.

use serde::{Deserialize, Serialize};
use tabularaft::Record;

/// One write of one writer, in memory.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "ram_event", kind = "bag", copy = "ram")]
pub struct RamEvent {
    /// Whose.
    #[key]
    pub writer: String,
    /// Which.
    pub number: u64,
}

/// One write of one writer, on disc.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "disc_event", kind = "bag", copy = "disc")]
pub struct DiscEvent {
    /// Whose.
    #[key]
    pub writer: String,
    /// Which.
    pub number: u64,
}

/// What a writer has counted, in memory.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "ram_count", kind = "set", copy = "ram")]
pub struct RamCount {
    /// Whose.
    #[key]
    pub writer: String,
    /// How many.
    pub value: u64,
}

/// What a writer has counted, on disc.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "disc_count", kind = "ordered-set", copy = "disc")]
pub struct DiscCount {
    /// Whose.
    #[key]
    pub writer: String,
    /// How many.
    pub value: u64,
}

/// A word under a key, in memory.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "ram_word", kind = "set", copy = "ram")]
pub struct RamWord {
    /// The key.
    #[key]
    pub key: String,
    /// The word.
    pub word: String,
}

/// A word under a key, on disc.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "disc_word", kind = "ordered-set", copy = "disc")]
pub struct DiscWord {
    /// The key.
    #[key]
    pub key: String,
    /// The word.
    pub word: String,
}

/// A word under a key, on disc and not in memory.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "disc_only_word", kind = "ordered-set", copy = "disc-only")]
pub struct DiscOnlyWord {
    /// The key.
    #[key]
    pub key: String,
    /// The word.
    pub word: String,
}

impl RamWord {
    /// A record.
    pub fn new(key: impl ToString, word: impl ToString) -> Self {
        Self { key: key.to_string(), word: word.to_string() }
    }
}

impl DiscWord {
    /// A record.
    pub fn new(key: impl ToString, word: impl ToString) -> Self {
        Self { key: key.to_string(), word: word.to_string() }
    }
}

impl DiscOnlyWord {
    /// A record.
    pub fn new(key: impl ToString, word: impl ToString) -> Self {
        Self { key: key.to_string(), word: word.to_string() }
    }
}
