//! What may be said of a backup or a restore.

use std::collections::BTreeMap;

use tabularaft_schema::TableName;

use crate::admin::protocol::ReadMode;

/// What goes into a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupOptions {
    /// The tables; all if empty, which is the default. Of tables with local content only the definition is kept.
    pub tables: Vec<TableName>,
    /// How new it must be. Default `Local`: everything that the node has applied, which includes all that was
    /// acknowledged to its own callers. `Linearizable`: everything that was acknowledged anywhere.
    pub read: ReadMode,
}

/// What of a backup is restored, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreOptions {
    /// The tables, by their names in the backup; all if empty, which is the default.
    pub tables: Vec<TableName>,
    /// New names for tables, by their names in the backup.
    pub into: BTreeMap<TableName, TableName>,
    /// What becomes of tables that exist. Default [`OnExisting::Refuse`].
    pub on_existing: OnExisting,
}

/// What a restore does with a table that exists in the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnExisting {
    /// Refuses if it holds records or has another definition, before anything is changed, or if it holds some by the time
    /// at which the restored table would take its place. (Mnesia: no counterpart.)
    #[default]
    Refuse,
    /// Puts the backup's table, with its definition, in its place. (Mnesia: `recreate_tables`, and `clear_tables`.)
    Replace,
    /// Adds the backup's records to it; those under the same key are overwritten, others stay. Other than the rest, this
    /// is seen while it goes on, and an interrupted merge has happened in part. (Mnesia: `keep_tables`.)
    Merge,
}
