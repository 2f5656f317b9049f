//! `index …`

use std::str::FromStr;

use clap::{Args, Subcommand};
use tabularaft::schema::{IndexDef, IndexOn, TableName};

use super::JsonFlag;

#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Adds a secondary index to a table, while it is read and written
    Add(AddIndexArgs),
    /// Drops a secondary index
    Drop { table: TableName, name: String },
    /// Prints the secondary indexes of a table and whether the node can read through them
    List {
        table: TableName,
        #[command(flatten)]
        output: JsonFlag,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddIndexArgs {
    pub(crate) table: TableName,
    /// Its name; that of the field if nothing else is said
    pub(crate) name: String,
    /// Over the value of this field
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["each", "function"])]
    pub(crate) on: Option<String>,
    /// Over the items of this list
    #[arg(long, value_name = "FIELD", conflicts_with = "function")]
    pub(crate) each: Option<String>,
    /// Over what this function, which the nodes' program has registered, makes of a record
    #[arg(long, value_name = "NAME")]
    pub(crate) function: Option<String>,
    /// No two records may have the same value
    #[arg(long)]
    pub(crate) unique: bool,
}

impl AddIndexArgs {
    pub(crate) fn definition(&self) -> IndexDef {
        let on = match (&self.on, &self.each, &self.function) {
            (Some(field), _, _) => IndexOn::Field(field.clone()),
            (_, Some(field), _) => IndexOn::Each(field.clone()),
            (_, _, Some(function)) => IndexOn::Function(function.clone()),
            _ => IndexOn::Field(self.name.clone()),
        };
        IndexDef { unique: self.unique, ..IndexDef::new(self.name.clone(), on) }
    }
}

/// `FIELD`, or `each:FIELD`
#[derive(Clone, Debug)]
pub(crate) struct IndexArg(pub(crate) IndexDef);

impl FromStr for IndexArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None => Ok(Self(IndexDef::on_field(text))),
            Some(("each", field)) => Ok(Self(IndexDef::new(field, IndexOn::Each(field.to_owned())))),
            Some(_) => Err(format!("{text} is neither FIELD nor each:FIELD")),
        }
    }
}
