//! `recover`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tabularaft::schema::NodeName;

use super::JsonFlag;

/// One of two recoveries, both of a node that is stopped.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("way").required(true).args(["keep", "from_cluster"])))]
pub(crate) struct RecoverArgs {
    /// Directory of the stopped node's data
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// The majority is lost for good: go on with this node's data; names every member that is left, this node first of
    /// all. Shows what may be lost, and does it with --yes
    #[arg(long, value_name = "NAME@HOST", num_args = 1..)]
    pub(crate) keep: Vec<NodeName>,
    /// Do it
    #[arg(long, requires = "keep")]
    pub(crate) yes: bool,
    /// This node's data is damaged: put it aside, and copy everything anew from the cluster of this member
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) from_cluster: Option<String>,
    /// Name of the damaged node, if its identity file is damaged too
    #[arg(long, value_name = "NAME@HOST", conflicts_with = "keep")]
    pub(crate) name: Option<NodeName>,
    /// Address to listen on while the node is rebuilt; the one under which its peers knew it, unless said otherwise
    #[arg(long, value_name = "IP:PORT", conflicts_with = "keep")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address under which other nodes reach this one, if it is not the listen address
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "keep")]
    pub(crate) advertise: Option<String>,
    /// The node's settings
    #[arg(long, value_name = "FILE.toml", conflicts_with = "keep")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: JsonFlag,
}
