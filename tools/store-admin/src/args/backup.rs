//! `backup`, `backup-info`, `restore`, `import`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use tabularaft::schema::TableName;
use tabularaft::{OnExisting, RestoreOptions};

use super::JsonFlag;
use super::records::ReadChoice;

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write, on this machine; it has its name when it is complete
    pub(crate) file: PathBuf,
    /// A table, once for each; all if none is named
    #[arg(long = "table", value_name = "T")]
    pub(crate) tables: Vec<TableName>,
    /// How fresh the backup must be
    #[arg(long = "read", value_enum, default_value_t = ReadChoice::Linearizable)]
    pub(crate) read: ReadChoice,
    #[command(flatten)]
    pub(crate) output: JsonFlag,
}

#[derive(Debug, Args)]
pub(crate) struct BackupInfoArgs {
    /// A backup; all of it is checked
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) output: JsonFlag,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// A backup, on this machine; all of it is checked before anything is done
    pub(crate) file: PathBuf,
    /// A table of the backup, once for each; all if none is named
    #[arg(long = "table", value_name = "T")]
    pub(crate) tables: Vec<TableName>,
    /// The name that table T of the backup gets, once for each
    #[arg(long = "into", value_name = "T=NEW")]
    pub(crate) into: Vec<IntoArg>,
    #[command(flatten)]
    pub(crate) existing: ExistingFlags,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: JsonFlag,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    pub(crate) table: TableName,
    /// A node of the other cluster
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) from: String,
    /// The other cluster's secret; not needed on loopback
    #[arg(long, value_name = "FILE")]
    pub(crate) from_secret_file: Option<PathBuf>,
    /// The name the table gets here
    #[arg(long, value_name = "NEW")]
    pub(crate) into: Option<TableName>,
    #[command(flatten)]
    pub(crate) existing: ExistingFlags,
    #[command(flatten)]
    pub(crate) output: JsonFlag,
}

/// What becomes of tables that exist and hold records; refused if nothing is said.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ExistingFlags {
    /// Put the restored table in the place of one that exists
    #[arg(long)]
    pub(crate) replace: bool,
    /// Add the records to a table that exists, overwriting those under the same key
    #[arg(long, conflicts_with = "replace")]
    pub(crate) merge: bool,
}

impl ExistingFlags {
    pub(super) fn choice(self) -> OnExisting {
        match self {
            Self { replace: true, .. } => OnExisting::Replace,
            Self { merge: true, .. } => OnExisting::Merge,
            _ => OnExisting::Refuse,
        }
    }
}

impl RestoreArgs {
    pub(crate) fn options(&self) -> RestoreOptions {
        let (into, on_existing) = (names(&self.into), self.existing.choice());
        RestoreOptions { tables: self.tables.clone(), into, on_existing }
    }
}

/// The new names by those in the file.
pub(super) fn names(into: &[IntoArg]) -> BTreeMap<TableName, TableName> {
    into.iter().map(|into| (into.table.clone(), into.new.clone())).collect()
}

impl ImportArgs {
    pub(crate) fn options(&self) -> RestoreOptions {
        let into = self.into.iter().map(|new| (self.table.clone(), new.clone())).collect();
        RestoreOptions { tables: Vec::new(), into, on_existing: self.existing.choice() }
    }
}

/// `T=NEW`
#[derive(Clone, Debug)]
pub(crate) struct IntoArg {
    pub(crate) table: TableName,
    pub(crate) new: TableName,
}

impl FromStr for IntoArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (table, new) = text.split_once('=').ok_or_else(|| format!("{text} is not T=NEW"))?;
        let name = |text: &str| text.parse::<TableName>().map_err(|error| error.to_string());
        Ok(Self { table: name(table)?, new: name(new)? })
    }
}
