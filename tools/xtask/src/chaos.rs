//! `cargo xtask chaos`: node processes under faults, optimised and with overflow checks, as the simulation is.

use crate::step;

/// Passes the words on to the program, which explains them.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let program =
        ["run", "--quiet", "--profile", "simulation", "--package", "tabularaft-tests", "--bin", "chaos"];
    let mut command = step::cargo(&program);
    step::run(command.arg("--").args(words))
}
