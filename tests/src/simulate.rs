//! `simulate`: runs seeds of the simulation. `cargo xtask sim` calls it.

use std::process::ExitCode;

fn main() -> ExitCode {
    tabularaft_tests::sim::command(std::env::args().skip(1).collect())
}
