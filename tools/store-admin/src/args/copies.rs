//! `copy-table`, `move-copy`, `del-copy`, `verify`

use clap::Args;
use tabularaft::schema::{CopyMode, NodeName, TableName};

use super::JsonFlag;

#[derive(Debug, Args)]
pub(crate) struct CopyTableArgs {
    pub(crate) table: TableName,
    /// The node that gets the copy
    #[arg(long, value_name = "NAME@HOST")]
    pub(crate) to: NodeName,
    /// The node to copy from; by default any that has it
    #[arg(long, value_name = "NAME@HOST")]
    pub(crate) from: Option<NodeName>,
    /// ram, disc or disc-only
    #[arg(long, value_name = "MODE")]
    pub(crate) copy: CopyMode,
}

#[derive(Debug, Args)]
pub(crate) struct DelCopyArgs {
    pub(crate) table: TableName,
    /// The node that gives up its copy
    #[arg(long, value_name = "NAME@HOST")]
    pub(crate) on: NodeName,
}

#[derive(Debug, Args)]
pub(crate) struct MoveCopyArgs {
    pub(crate) table: TableName,
    /// The node that gives up its copy once the other one has it
    #[arg(long, value_name = "NAME@HOST")]
    pub(crate) from: NodeName,
    /// The node that gets it, in the same mode
    #[arg(long, value_name = "NAME@HOST")]
    pub(crate) to: NodeName,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Print digests of what the records say, which are those of a backup of the same records
    #[arg(long)]
    pub(crate) content: bool,
    #[command(flatten)]
    pub(crate) output: JsonFlag,
}
