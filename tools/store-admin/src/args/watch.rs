//! `watch`

use clap::Args;
use tabularaft::schema::TableName;

/// What to watch, and from where on.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The table to watch; if the node dies the watch goes on at another one
    #[arg(required_unless_present = "members", conflicts_with = "members")]
    pub(crate) table: Option<TableName>,
    /// Watch who becomes a member, starts, and goes, instead of a table
    #[arg(long)]
    pub(crate) members: bool,
    /// Begin with the changes after this log index, instead of with those from now on. To go on after a watch that
    /// was ended, give the index of its last line with "more":false and drop what came after that line: then every
    /// change is seen once
    #[arg(long, value_name = "INDEX")]
    pub(crate) from: Option<u64>,
    /// Only the record of this key, or a bag's records of it
    #[arg(long, value_name = "KEY", conflicts_with = "members", allow_negative_numbers = true)]
    pub(crate) key: Option<String>,
    /// Only keys that start so
    #[arg(long, conflicts_with_all = ["key", "members"], allow_negative_numbers = true)]
    pub(crate) prefix: Option<String>,
}
