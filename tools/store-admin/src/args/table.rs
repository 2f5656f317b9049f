//! `table …`

use std::str::FromStr;

use clap::{Args, Subcommand};
use tabularaft::schema::{CopyMode, FieldType, TableKind, TableName};

use super::JsonFlag;

#[derive(Debug, Subcommand)]
pub(crate) enum TableCommand {
    /// Prints all tables
    List(JsonFlag),
    /// Prints the definition and the copies of a table
    Info {
        table: TableName,
        #[command(flatten)]
        output: JsonFlag,
    },
    /// Creates a table; creating an identical one again is no error
    Create(CreateArgs),
    /// Deletes a table and all its copies
    Drop { table: TableName },
    /// Deletes all records of a table
    Clear { table: TableName },
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
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
    /// A field with a secondary index, once for each
    #[arg(long = "index", value_name = "NAME")]
    pub(crate) indexes: Vec<String>,
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
