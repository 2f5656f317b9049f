//! The records that are read and written: keys of 16 bytes, values of 100, as in the figures of other stores.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tabularaft::Record;

/// Bytes of one value.
pub const VALUE_BYTES: usize = 100;
/// Bytes of one record's content: its key and its value.
pub const RECORD_BYTES: usize = 16 + VALUE_BYTES;

/// A record of the table in ram.
#[derive(Record, Serialize, Deserialize)]
#[record(table = "ram_item", kind = "set", copy = "ram")]
pub struct RamItem {
    #[key]
    key: String,
    #[serde(with = "serde_bytes")]
    value: Vec<u8>,
}

/// A record of the table with disc copies.
#[derive(Record, Serialize, Deserialize)]
#[record(table = "disc_item", kind = "set", copy = "disc")]
pub struct DiscItem {
    #[key]
    key: String,
    #[serde(with = "serde_bytes")]
    value: Vec<u8>,
}

/// What the workloads need of a record type.
pub trait Item: Record<Key = String> {
    /// The record under key number `number`; `stamp` makes its value differ from the one before.
    fn new(number: u64, stamp: u64) -> Self;
}

impl Item for RamItem {
    fn new(number: u64, stamp: u64) -> Self {
        Self { key: key(number), value: value(number, stamp) }
    }
}

impl Item for DiscItem {
    fn new(number: u64, stamp: u64) -> Self {
        Self { key: key(number), value: value(number, stamp) }
    }
}

/// Key number `number`: 16 hexadecimal digits, neighbours far apart, so that loading in order is not loading in key
/// order.
pub fn key(number: u64) -> String {
    format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn value(number: u64, stamp: u64) -> Vec<u8> {
    let mut value = Vec::with_capacity(VALUE_BYTES);
    value.extend_from_slice(&number.to_le_bytes());
    value.extend_from_slice(&stamp.to_le_bytes());
    value.resize(VALUE_BYTES, b'v');
    value
}

/// Which of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum TableChoice {
    /// [`RamItem`]s.
    Ram,
    /// [`DiscItem`]s.
    Disc,
}

impl TableChoice {
    /// Both, in the order in which they are measured.
    pub const BOTH: [Self; 2] = [Self::Ram, Self::Disc];

    /// The name of the table.
    pub fn table(self) -> &'static str {
        match self {
            Self::Ram => "ram_item",
            Self::Disc => "disc_item",
        }
    }

    /// How figures about it are called.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ram => "ram",
            Self::Disc => "disc",
        }
    }
}
