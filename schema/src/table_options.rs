//! Options of tables, and changes of them at run time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Options of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TableOptions {
    /// Each record belongs to the incarnation that wrote it and is deleted when that incarnation is gone.
    /// Default false.
    pub owned: bool,
    /// Each node has a private content, which is never replicated. Default false; excludes `owned`.
    pub local_content: bool,
    /// Tables of higher order are loaded earlier when a node starts. Default 0.
    pub load_order: i32,
    /// The most bytes an encoded record may have. Default `None`: whatever the node accepts.
    pub record_bytes_max: Option<u32>,
    /// Writes are refused. Default false.
    pub read_only: bool,
    /// Milliseconds after its last write at which a record is deleted, by the leader's clock. Default `None`: never.
    pub ttl_ms: Option<u64>,
    /// The most records the table may hold; a write that adds one more is refused. Default `None`: no limit.
    pub records_max: Option<u64>,
    /// The most bytes that keys and records may take together; a write that exceeds it is refused. Default `None`:
    /// no limit.
    pub bytes_max: Option<u64>,
}

/// One option that may be changed while the table is in use.
// Persistent: the order of the variants is their tag. Add at the end, never change or reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TableOption {
    /// See [`TableOptions::read_only`].
    ReadOnly(bool),
    /// See [`TableOptions::load_order`].
    LoadOrder(i32),
    /// See [`TableOptions::record_bytes_max`].
    RecordBytesMax(Option<u32>),
    /// See [`TableOptions::ttl_ms`].
    TtlMs(Option<u64>),
    /// See [`TableOptions::records_max`].
    RecordsMax(Option<u64>),
    /// See [`TableOptions::bytes_max`].
    BytesMax(Option<u64>),
}

impl TableOptions {
    /// These options with one of them changed.
    #[must_use]
    pub fn with(&self, option: TableOption) -> Self {
        let mut options = self.clone();
        match option {
            TableOption::ReadOnly(read_only) => options.read_only = read_only,
            TableOption::LoadOrder(order) => options.load_order = order,
            TableOption::RecordBytesMax(bytes) => options.record_bytes_max = bytes,
            TableOption::TtlMs(ttl_ms) => options.ttl_ms = ttl_ms,
            TableOption::RecordsMax(records) => options.records_max = records,
            TableOption::BytesMax(bytes) => options.bytes_max = bytes,
        }
        options
    }

    /// All options with their values, as text. A new option MUST be added.
    pub(crate) fn properties(&self) -> Vec<(&'static str, String)> {
        let Self {
            owned,
            local_content,
            load_order,
            record_bytes_max,
            read_only,
            ttl_ms,
            records_max,
            bytes_max,
        } = self;
        vec![
            ("owned", owned.to_string()),
            ("local_content", local_content.to_string()),
            ("load_order", load_order.to_string()),
            ("record_bytes_max", or_none(*record_bytes_max)),
            ("read_only", read_only.to_string()),
            ("ttl_ms", or_none(*ttl_ms)),
            ("records_max", or_none(*records_max)),
            ("bytes_max", or_none(*bytes_max)),
        ]
    }

    /// What contradicts itself, if anything.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self {
            Self { owned: true, local_content: true, .. } => Some(
                "the options owned and local_content exclude each other: local records belong to their node anyway",
            ),
            Self { local_content: true, ttl_ms: Some(_), .. } => Some(
                "the options local_content and ttl_ms exclude each other: no leader watches over local records",
            ),
            Self { record_bytes_max: Some(0), .. } => {
                Some("the option record_bytes_max is 0: no record would fit")
            }
            Self { ttl_ms: Some(0), .. } => Some("the option ttl_ms is 0: no record would stay"),
            Self { records_max: Some(0), .. } => Some("the option records_max is 0: no record would fit"),
            Self { bytes_max: Some(0), .. } => Some("the option bytes_max is 0: no record would fit"),
            _ => None,
        }
    }
}

fn or_none<T: fmt::Display>(value: Option<T>) -> String {
    value.map_or("none".to_owned(), |value| value.to_string())
}
