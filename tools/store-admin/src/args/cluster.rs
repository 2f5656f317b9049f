//! `cluster …`

use clap::{Args, Subcommand, ValueEnum};
use tabularaft::admin::protocol::OnLocalData;
use tabularaft::schema::NodeName;

use super::JsonFlag;

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Prints members, leader, log positions and table states; and if the node is not ready, why and for whom
    /// it waits
    Status(JsonFlag),
    /// The node at --node joins the cluster of PEER
    Join(JoinArgs),
    /// The node at --node leaves its cluster and serves alone
    Leave,
    /// Takes a node out of the cluster, dead or alive
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// Any member of the cluster to join
    #[arg(value_name = "HOST:PORT")]
    pub(crate) peer: String,
    /// What happens to the records the node has now
    #[arg(long, value_enum, default_value_t = LocalDataChoice::Refuse)]
    pub(crate) on_local_data: LocalDataChoice,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The node to remove
    #[arg(value_name = "NAME@HOST")]
    pub(crate) name: NodeName,
    /// Also when the node runs, or when its removal is not safe
    #[arg(long)]
    pub(crate) force: bool,
}

/// `--on-local-data`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LocalDataChoice {
    /// Do not join; name the tables
    Refuse,
    /// Write them to files that `load` reads back
    Export,
    /// Discard them
    Discard,
}

impl From<LocalDataChoice> for OnLocalData {
    fn from(choice: LocalDataChoice) -> Self {
        match choice {
            LocalDataChoice::Refuse => Self::Refuse,
            LocalDataChoice::Export => Self::Export,
            LocalDataChoice::Discard => Self::Discard,
        }
    }
}
