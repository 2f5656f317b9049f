//! Doors for the fuzzer: what this command reads from files.

use tabularaft::NodeConfig;
use tabularaft::schema::{FieldType, RecordShape};

use crate::ndjson::{Batches, RecordReader};
use crate::{node_file, text_dump};

/// The settings file of `node run`.
///
/// # Errors
/// Why it is none.
pub fn node_file(text: &str) -> Result<NodeConfig, String> {
    node_file::parse(text)
}

/// Lines of records of a table with some fields; how many there are.
///
/// # Errors
/// Why a line is no record.
pub fn ndjson(bytes: &[u8]) -> Result<usize, String> {
    let fields = [
        ("name", FieldType::String),
        ("size", FieldType::optional(FieldType::I64)),
        ("tags", FieldType::list(FieldType::Bytes)),
    ];
    let reader = RecordReader::of(RecordShape::new(1, fields), 4_096);
    let mut batches = Batches::new(bytes, reader);
    let mut records = 0;
    while let Some(batch) = batches.next().map_err(|bad| bad.why)? {
        records += batch.records.len();
    }
    Ok(records)
}

/// What `dump --all` writes.
///
/// # Errors
/// Why it is none, behind the number of the line.
pub fn dump_of_all(bytes: &[u8]) -> Result<(), (u64, String)> {
    text_dump::make(bytes, std::io::sink())
}
