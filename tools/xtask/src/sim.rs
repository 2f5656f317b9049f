//! `cargo xtask sim`: runs seeds of the simulated cluster, optimised, since a run is mostly computing.

use crate::step;

/// Passes the words on to the program that simulates, which explains them.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let program =
        ["run", "--quiet", "--profile", "simulation", "--package", "tabularaft-tests", "--bin", "simulate"];
    let mut command = step::cargo(&program);
    step::run(command.arg("--").args(words))
}
