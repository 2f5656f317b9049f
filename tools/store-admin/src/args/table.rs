//! `table …`

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use tabularaft::schema::{CopyMode, FieldType, TableKind, TableName};

use super::JsonFlag;
use super::index::IndexArg;

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Prints all tables
    List(JsonFlag),
    /// Prints the definition and the copies of a table
    Info {
        table: TableName,
        /// Print the definition alone, as `table create --from-json` reads it
        #[arg(long, conflicts_with = "json")]
        definition: bool,
        #[command(flatten)]
        output: JsonFlag,
    },
    /// Creates a table; creating an identical one again is no error
    Create(CreateArgs),
    /// Deletes a table and all its copies
    Drop { table: TableName },
    /// Deletes all records of a table
    Clear { table: TableName },
    /// Gives a table another name
    Rename { table: TableName, to: TableName },
    /// Changes options of a table while it is in use
    Set(SetArgs),
    /// Gives the records of a table another shape; records are read so at once, and rewritten in the background
    Transform(TransformArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TransformArgs {
    pub(crate) table: TableName,
    #[command(flatten)]
    pub(crate) shape: NewShape,
    /// The record version of the new shape; by default the next one
    #[arg(long, value_name = "N")]
    pub(crate) record_version: Option<u32>,
    /// Wait until all records are rewritten
    #[arg(long)]
    pub(crate) now: bool,
}

/// Dropped fields, and new ones that may be empty, need nothing else; all others take a migration in the nodes' programs.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct NewShape {
    /// A field of the new shape, once for each, in order
    #[arg(long = "field", value_name = "NAME:TYPE", conflicts_with_all = ["add", "drop"])]
    pub(crate) fields: Vec<FieldArg>,
    /// A field that comes behind those that are there
    #[arg(long, value_name = "NAME:TYPE")]
    pub(crate) add: Vec<FieldArg>,
    /// A field that goes
    #[arg(long, value_name = "NAME")]
    pub(crate) drop: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    pub(crate) table: TableName,
    #[command(flatten)]
    pub(crate) to: SetTo,
}

/// Options that are not named stay as they are.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct SetTo {
    /// on: writes are refused; off: they are taken
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    pub(crate) read_only: Option<bool>,
    /// How long after its last write a record is deleted, such as 500ms, 30s, 5m, 12h or 7d; none: never
    #[arg(long, value_name = "TIME|none", value_parser = time_or_none)]
    pub(crate) ttl: Option<OrNone<u64>>,
    /// The most records it may hold
    #[arg(long, value_name = "N|none", value_parser = number_or_none::<u64>)]
    pub(crate) records_max: Option<OrNone<u64>>,
    /// The most bytes that its keys and records may take together
    #[arg(long, value_name = "N|none", value_parser = number_or_none::<u64>)]
    pub(crate) bytes_max: Option<OrNone<u64>>,
    /// The most bytes one record may have; none: as the nodes are configured
    #[arg(long, value_name = "N|none", value_parser = number_or_none::<u32>)]
    pub(crate) record_bytes_max: Option<OrNone<u32>>,
    /// Tables of higher order are loaded earlier when a node starts
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) load_order: Option<i32>,
    /// How all nodes hold it: ram, disc or disc-only
    #[arg(long, value_name = "MODE")]
    pub(crate) copy: Option<CopyMode>,
}

/// A value, or the word `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrNone<T>(pub(crate) Option<T>);

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".into()),
    }
}

fn number_or_none<T: FromStr>(text: &str) -> Result<OrNone<T>, String> {
    match text {
        "none" => Ok(OrNone(None)),
        _ => text.parse().map(Some).map(OrNone).map_err(|_| format!("{text} is neither a number nor none")),
    }
}

/// Milliseconds.
fn time_or_none(text: &str) -> Result<OrNone<u64>, String> {
    if text == "none" {
        return Ok(OrNone(None));
    }
    let problem = || format!("{text} is no time such as 500ms, 30s, 5m, 12h or 7d, and not none");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(problem)?;
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(problem()),
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit_ms));
    ms.map(Some).map(OrNone).ok_or_else(problem)
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// A file with the definition as `table info --definition` prints it, or - for stdin; in the place of all else
    #[arg(long, value_name = "FILE", conflicts_with = "Definition")]
    pub(crate) from_json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) definition: Option<Definition>,
}

#[derive(Debug, Args)]
pub(crate) struct Definition {
    pub(crate) table: TableName,
    /// set, ordered-set or bag
    #[arg(long)]
    pub(crate) kind: TableKind,
    /// How nodes hold it: ram, disc or disc-only
    #[arg(long, value_name = "MODE")]
    pub(crate) copy: CopyMode,
    /// A field, once for each, in order; TYPE is string, u64, i64, f64, bool, bytes, TYPE?, list<TYPE> or
    /// map<TYPE>
    #[arg(long = "field", value_name = "NAME:TYPE", required = true)]
    pub(crate) fields: Vec<FieldArg>,
    /// A field of the key, once for each, in order
    #[arg(long = "key", value_name = "NAME", required = true)]
    pub(crate) key: Vec<String>,
    /// A field with a secondary index, or each:NAME for one over the items of a list; once for each
    #[arg(long = "index", value_name = "NAME")]
    pub(crate) indexes: Vec<IndexArg>,
    /// As --index, and no two records may have the same value
    #[arg(long = "unique-index", value_name = "NAME")]
    pub(crate) unique_indexes: Vec<IndexArg>,
    /// Each record belongs to the node that wrote it and goes with it
    #[arg(long)]
    pub(crate) owned: bool,
    /// Each node has its own content, which is not replicated
    #[arg(long)]
    pub(crate) local_content: bool,
}

/// `NAME:TYPE`
#[derive(Clone, Debug)]
pub(crate) struct FieldArg {
    pub(crate) name: String,
    pub(crate) field_type: FieldType,
}

impl FromStr for FieldArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, field_type) = text.split_once(':').ok_or_else(|| format!("{text} is not NAME:TYPE"))?;
        let field_type = field_type.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { name: name.into(), field_type })
    }
}
