//! `put`, `get`, `delete`, `scan`, `load`, `dump`

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use tabularaft::RestoreOptions;
use tabularaft::admin::protocol::ReadMode;
use tabularaft::schema::TableName;

use super::JsonFlag;
use super::backup::{ExistingFlags, IntoArg, names};

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    pub(crate) table: TableName,
    /// The record as a JSON object, or - to read it from stdin
    #[arg(value_name = "JSON")]
    pub(crate) record: String,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    pub(crate) table: TableName,
    /// The key: plain text, a number, or a JSON array for a key of several fields
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) read: ReadFlag,
    #[command(flatten)]
    pub(crate) output: JsonFlag,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    pub(crate) table: TableName,
    /// The key, as for get
    #[arg(allow_negative_numbers = true)]
    pub(crate) key: String,
}

#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    pub(crate) table: TableName,
    /// First key, included
    #[arg(long, value_name = "KEY", allow_negative_numbers = true)]
    pub(crate) from: Option<String>,
    /// Last key, excluded
    #[arg(long, value_name = "KEY", allow_negative_numbers = true)]
    pub(crate) to: Option<String>,
    /// Only keys that start so
    #[arg(long, conflicts_with_all = ["from", "to"], allow_negative_numbers = true)]
    pub(crate) prefix: Option<String>,
    /// Only records with this value in this field; several must all hold
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub(crate) filters: Vec<WhereArg>,
    /// At most so many records
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// From the last key to the first
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Print how the records are found instead
    #[arg(long)]
    pub(crate) explain: bool,
    #[command(flatten)]
    pub(crate) read: ReadFlag,
    #[command(flatten)]
    pub(crate) output: JsonFlag,
}

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// The table whose records the file holds
    #[arg(required_unless_present = "all")]
    pub(crate) table: Option<TableName>,
    /// The file, or - for stdin
    #[arg(value_name = "FILE.ndjson", required_unless_present = "all")]
    pub(crate) file: Option<PathBuf>,
    /// Load what `dump --all` wrote, or - for stdin: every table with its definition, all of them at once when all
    /// are complete, or none. Needs room for a backup in the temporary directory
    #[arg(long, value_name = "FILE.ndjson", conflicts_with = "table")]
    pub(crate) all: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) existing: ExistingTables,
}

/// What becomes of tables that exist and hold records; refused if nothing is said.
#[derive(Debug, Args)]
pub(crate) struct ExistingTables {
    /// With --all: put the loaded table in the place of one that exists
    #[arg(long, conflicts_with = "table")]
    pub(crate) replace: bool,
    /// With --all: add the records to a table that exists, overwriting those under the same key
    #[arg(long, conflicts_with_all = ["table", "replace"])]
    pub(crate) merge: bool,
    /// With --all: the name that table T of the file gets, once for each
    #[arg(long = "into", value_name = "T=NEW", conflicts_with = "table")]
    pub(crate) into: Vec<IntoArg>,
    /// With --all: print one JSON document
    #[arg(long, conflicts_with = "table")]
    pub(crate) json: bool,
}

impl ExistingTables {
    pub(crate) fn options(&self) -> RestoreOptions {
        let existing = ExistingFlags { replace: self.replace, merge: self.merge };
        let (into, on_existing) = (names(&self.into), existing.choice());
        RestoreOptions { tables: Vec::new(), into, on_existing }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    /// The table
    #[arg(required_unless_present = "all")]
    pub(crate) table: Option<TableName>,
    /// The file, or - for stdout
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Write all tables, with their definitions, as they are at one log index, to this file or to stdout; needs room for
    /// a backup in the temporary directory
    #[arg(long, value_name = "FILE.ndjson", num_args = 0..=1, default_missing_value = "-")]
    #[arg(conflicts_with = "table")]
    pub(crate) all: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) read: ReadFlag,
}

/// The flag of commands that read records.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ReadFlag {
    /// How fresh the answer must be
    #[arg(long = "read", value_enum, default_value_t = ReadChoice::Local)]
    pub(crate) mode: ReadChoice,
}

/// `--read`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReadChoice {
    /// What the node has applied
    Local,
    /// Everything acknowledged anywhere before
    Linearizable,
}

impl From<ReadChoice> for ReadMode {
    fn from(choice: ReadChoice) -> Self {
        match choice {
            ReadChoice::Local => Self::Local,
            ReadChoice::Linearizable => Self::Linearizable,
        }
    }
}

/// `FIELD=VALUE`; the value may contain further equals signs.
#[derive(Clone, Debug)]
pub(crate) struct WhereArg {
    pub(crate) field: String,
    pub(crate) value: String,
}

impl FromStr for WhereArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((field, value)) if !field.is_empty() => {
                Ok(Self { field: field.into(), value: value.into() })
            }
            _ => Err(format!("{text} is not FIELD=VALUE")),
        }
    }
}
