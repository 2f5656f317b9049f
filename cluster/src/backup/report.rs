//! What a backup or a restore came to, as programs and `--json` see it. A name never changes.

use serde::{Deserialize, Serialize};
use tabularaft_schema::TableName;
use tabularaft_store::{BackupHeader, BackupSummary, BackupTable, TableSummary};

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// The name of the cluster it was taken of.
    pub cluster: String,
    /// The node that gave it.
    pub node: String,
    /// The log index: it holds everything up to it and nothing after it.
    pub log_index: u64,
    /// When it was taken, in milliseconds since 1970.
    pub created_unix_ms: u64,
    /// The software that wrote it.
    pub written_by: String,
    /// Records of all tables.
    pub records: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// All tables, in the order of the file.
    pub tables: Vec<BackupTableReport>,
}

/// A table of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupTableReport {
    /// Its name.
    pub table: TableName,
    /// Its records; absent if only its definition is kept.
    pub records: Option<u64>,
    /// Bytes of its encoded records.
    pub bytes: u64,
    /// Digest of what its records say, in hexadecimal: what `store-admin verify --content` prints.
    pub content: Option<String>,
}

/// What a restore or an import did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// The name of the cluster that the backup was taken of.
    pub cluster: String,
    /// The log index of the backup.
    pub log_index: u64,
    /// True if nothing was done and this is what would be.
    pub dry_run: bool,
    /// The tables that were asked for.
    pub tables: Vec<RestoredTable>,
}

/// What became of a table of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredTable {
    /// Its name in the backup.
    pub table: TableName,
    /// Its name in the cluster.
    pub into: TableName,
    /// What was done.
    pub outcome: Restored,
    /// Records that were loaded.
    pub records: u64,
    /// Digest of what the table holds, equal to the backup's; absent where records were merged or none were loaded.
    pub content: Option<String>,
}

/// What a restore did with a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Restored {
    /// It is new.
    Created,
    /// It took the place of one that existed.
    Replaced,
    /// Its records were added to one that existed.
    Merged,
    /// It is new and empty: its records belong to single nodes or incarnations.
    DefinitionOnly,
    /// One of this name existed and was left alone: its records belong to single nodes or incarnations.
    Kept,
}

impl BackupReport {
    /// The report on a backup that was read or written to its end.
    pub fn new(
        header: &BackupHeader,
        tables: &[BackupTable],
        summaries: &[(usize, TableSummary)],
        end: BackupSummary,
    ) -> Self {
        let summary =
            |place: usize| summaries.iter().find(|(at, _)| *at == place).map(|(_, summary)| *summary);
        let report = |(place, table): (usize, &BackupTable)| {
            let summary = summary(place);
            BackupTableReport {
                table: table.def.name.clone(),
                records: summary.map(|summary| summary.content.records),
                bytes: summary.map_or(0, |summary| summary.bytes),
                content: summary.map(|summary| summary.content.to_string()),
            }
        };
        Self {
            cluster: header.cluster_name.clone(),
            node: header.node.clone(),
            log_index: header.log_index.0,
            created_unix_ms: header.created_unix_ms,
            written_by: header.written_by.clone(),
            records: end.records,
            bytes: end.bytes,
            tables: tables.iter().enumerate().map(report).collect(),
        }
    }
}
