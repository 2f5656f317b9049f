//! What a backup consists of.

use std::sync::Arc;

use tabularaft_schema::{Record, RecordError, TableDef, TableId};

use crate::{ContentDigest, Incarnation, LogIndex};

/// Where and when a backup was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupHeader {
    /// The name of the cluster.
    pub cluster_name: String,
    /// Its identifier; 0 if it had none.
    pub cluster_id: u128,
    /// The node whose view was written.
    pub node: String,
    /// The log index of the view: the backup holds everything up to it and nothing after it.
    pub log_index: LogIndex,
    /// The version of the schema there.
    pub schema_version: u64,
    /// When it was taken, in milliseconds since 1970. For people: nothing is decided on it.
    pub created_unix_ms: u64,
    /// The software that wrote it, with its version.
    pub written_by: String,
}

/// A table of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupTable {
    /// The number it had in its cluster.
    pub id: TableId,
    /// Its definition. How single nodes held it otherwise is not kept: a backup is for any cluster.
    pub def: Arc<TableDef>,
    /// False for tables of which only the definition is kept, because each node has its own content.
    pub has_records: bool,
}

/// A record of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupRecord {
    /// The version it had. A restored record gets a new one.
    pub version: u64,
    /// The incarnation it belonged to, in an `owned` table.
    pub owner: Option<Incarnation>,
    /// Its bytes.
    pub record: Vec<u8>,
}

/// What the records of a table come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableSummary {
    /// Count and digest of its records.
    pub content: ContentDigest,
    /// Bytes of its encoded records.
    pub bytes: u64,
}

/// What a backup comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupSummary {
    /// Records of all tables.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// One piece of a backup, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupItem {
    /// The beginning.
    Header(BackupHeader),
    /// The next definition. All definitions come before the first record.
    Table(BackupTable),
    /// Some records of a table, at least one.
    Records {
        /// The place of the table among the definitions, from 0.
        table: usize,
        /// The records.
        records: Vec<BackupRecord>,
    },
    /// The records of a table are complete, and they are what was written.
    TableEnd {
        /// The place of the table among the definitions, from 0.
        table: usize,
        /// What they come to.
        summary: TableSummary,
    },
    /// The backup is complete, and nothing of it is missing or changed.
    End(BackupSummary),
}

/// A record of a backup with the table it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// The place of the table among the definitions, from 0.
    pub table: usize,
    /// The table's definition.
    pub def: Arc<TableDef>,
    /// The record.
    pub record: BackupRecord,
}

impl BackedUp {
    /// The record as its Rust type.
    ///
    /// # Errors
    /// [`RecordError`] if its table is another one than `R` declares.
    pub fn decode<R: Record>(&self) -> Result<R, RecordError> {
        R::decode(&self.record.record)
    }

    /// The record as a JSON object.
    ///
    /// # Errors
    /// [`RecordError`] if a float in it is NaN or infinite, or the bytes are no record of the table.
    pub fn to_json(&self) -> Result<serde_json::Value, RecordError> {
        self.def.shape.to_json(&self.record.record)
    }
}
