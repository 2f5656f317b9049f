//! `demo`

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many nodes; one is killed on the way, so fewer than three would have no majority
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=7))]
    pub(crate) nodes: u8,
    /// Leave the cluster up afterwards and print commands to try
    #[arg(long)]
    pub(crate) keep: bool,
}
