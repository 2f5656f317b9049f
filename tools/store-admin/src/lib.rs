//! `store-admin`, the operator's command of the Tabularaft table store.
//!
//! `args` says what can be asked, `commands` does it over the administrative protocol (or runs a node),
//! `output` shows the result.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod args;
mod commands;
#[doc(hidden)]
pub mod decoders;
mod failure;
mod ndjson;
mod node_file;
mod output;
mod session;
mod text_dump;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use failure::Failure;

/// The whole program: reads the command line and does what it says.
#[tokio::main]
pub async fn main() -> ExitCode {
    match commands::run(Cli::parse()).await {
        Ok(()) | Err(Failure::BrokenPipe) => ExitCode::SUCCESS,
        Err(Failure::Said(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
