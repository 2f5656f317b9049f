//! Scans of a table, page by page.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::table_ref::TableRef;

/// Largest number of records in one page of a scan; a larger limit is cut to it.
pub const PAGE_RECORDS_MAX: u32 = 10_000;

/// A page ends after the record that reaches this many bytes, so a page is at most this plus one record.
pub const PAGE_BYTES_MAX: usize = 1 << 20;

/// How fresh a read must be.
///
/// Persistent: add, never change or reuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReadMode {
    /// The state the asked node has applied.
    #[default]
    Local,
    /// Everything acknowledged anywhere before the request.
    Linearizable,
}

/// One page of a scan. Records come in the order of their encoded keys, those of one key in a bag in the
/// order of their bytes, whichever way the copy stores them: scans of different nodes can be compared byte by
/// byte.
///
/// A node MUST serve all pages of a scan from the view of the first one, or refuse a cursor whose view it no
/// longer has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanRequest {
    /// The table.
    pub table: TableRef,
    /// First key, included; encoded.
    pub from: Option<Bytes>,
    /// Last key, excluded; encoded.
    pub to: Option<Bytes>,
    /// Only keys whose encoding starts so.
    pub prefix: Option<Bytes>,
    /// Only records that pass all of these.
    pub filters: Vec<FieldFilter>,
    /// From the last key to the first.
    pub reverse: bool,
    /// Records wanted in this page, at most [`PAGE_RECORDS_MAX`].
    pub limit: u32,
    /// Where the page before ended; absent for the first.
    pub after: Option<Cursor>,
    /// How fresh the view of the first page must be.
    pub read: ReadMode,
}

/// A condition on one field of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFilter {
    /// Name of the field.
    pub field: String,
    /// The value it must equal, as JSON text.
    pub equals: String,
}

/// Where a page ended. Its bytes mean something only to the node that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor(pub Bytes);

/// Records of a scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Encoded records. May be empty although `next` is present, when a filter let nothing pass.
    pub records: Vec<Bytes>,
    /// Where to go on; absent after the last page.
    pub next: Option<Cursor>,
    /// The log index of the view the page was read from; the same for all pages of a scan.
    pub log_index: u64,
}

/// How a scan finds its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanPlan {
    /// The secondary index; none if all records between the bounds on keys are looked at.
    pub index: Option<String>,
    /// How many records are looked at at most, bounds on keys aside.
    pub records: u64,
    /// False if there are more: they were not counted further.
    pub exact: bool,
}
