//! The record types of Tabularaft's tables. Whether a table is held in ram or on disc is said when it is created.

use serde::{Deserialize, Serialize};
use tabularaft::Record;

/// A record that is read and written whole.
#[derive(Debug, Record, Serialize, Deserialize)]
#[record(table = "item", kind = "set", copy = "ram")]
pub(super) struct Item {
    #[key]
    pub(super) key: String,
    #[serde(with = "serde_bytes")]
    pub(super) value: Vec<u8>,
}

/// A record of a table that is read in key order.
#[derive(Debug, Record, Serialize, Deserialize)]
#[record(table = "ordered_item", kind = "ordered-set", copy = "ram")]
pub(super) struct OrderedItem {
    #[key]
    pub(super) key: String,
    #[serde(with = "serde_bytes")]
    pub(super) value: Vec<u8>,
}

/// One of ten records that are found through an index by their group.
#[derive(Debug, Record, Serialize, Deserialize)]
#[record(table = "indexed_item", kind = "set", copy = "ram")]
pub(super) struct IndexedItem {
    #[key]
    pub(super) key: String,
    #[index]
    pub(super) group: u64,
    #[serde(with = "serde_bytes")]
    pub(super) value: Vec<u8>,
}

/// One of ten records under a key.
#[derive(Debug, Record, Serialize, Deserialize)]
#[record(table = "bag_item", kind = "bag", copy = "ram")]
pub(super) struct BagItem {
    #[key]
    pub(super) key: String,
    pub(super) number: u64,
    #[serde(with = "serde_bytes")]
    pub(super) value: Vec<u8>,
}
