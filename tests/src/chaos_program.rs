//! `chaos`: node processes under faults, and the driver that causes them. `cargo xtask chaos` calls it.

use std::process::ExitCode;

fn main() -> ExitCode {
    tabularaft_tests::chaos::command(std::env::args().skip(1).collect())
}
