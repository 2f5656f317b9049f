//! `node …`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use tabularaft::schema::NodeName;

use super::LocalDataChoice;

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Runs a node until SIGTERM or SIGINT; prints one line `ready name=… listen=… incarnation=…` when it
    /// serves
    Run(RunArgs),
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("storage").required(true).args(["data_dir", "diskless"])))]
pub(crate) struct RunArgs {
    /// Name of the node, unique in its cluster
    #[arg(long, value_name = "NAME@HOST")]
    pub(crate) name: NodeName,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) listen: SocketAddr,
    /// Address under which other nodes reach this one, if it is not the listen address
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<String>,
    /// Directory of the node's data; made when absent
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Keep everything in memory; after a restart the node joins anew
    #[arg(long)]
    pub(crate) diskless: bool,
    /// Join the cluster of this member; a node that is a member already just starts
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) join: Option<String>,
    /// What happens to the node's own records when it joins
    #[arg(long, value_enum, default_value_t = LocalDataChoice::Refuse)]
    pub(crate) on_local_data: LocalDataChoice,
    /// More settings
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
}
