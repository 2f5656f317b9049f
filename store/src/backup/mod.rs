//! Backups: the tables of one view in one file that describes itself.
//!
//! ```text
//! preamble   magic (8 bytes), format version (u32), CRC-32C of these twelve bytes        keeps this shape in every version
//! frame *    kind (1 byte), length of the payload (u32), CRC-32C of kind, length and payload, payload (postcard)
//! ```
//!
//! Integers are little-endian. The frames come in this order: one header; the definition of each table; of each table
//! with records, in the order of the definitions, its records in chunks and what they come to; the end, with a digest of
//! every byte before it. So a flipped bit is found at the frame that holds it, frames that are missing, doubled or in
//! another order are found by the digests, and a file that was cut short has no end.

mod decoder;
mod error;
mod file;
mod form;
mod item;
mod reader;
mod source;
mod writer;

pub use decoder::BackupDecoder;
pub use error::BackupError;
pub use file::BackupFile;
pub use item::{BackedUp, BackupHeader, BackupItem, BackupRecord, BackupSummary, BackupTable, TableSummary};
pub use reader::BackupReader;
pub use source::{BackupPart, BackupSource, RESTORING_PREFIX};
pub use writer::BackupWriter;
