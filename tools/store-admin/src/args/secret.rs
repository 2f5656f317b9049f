//! `secret …`

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Makes a new cluster secret in a file that only its owner may read; an existing file is never
    /// overwritten
    New {
        /// The file to make
        file: PathBuf,
    },
}
