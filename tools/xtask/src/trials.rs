//! `cargo xtask sim` and `cargo xtask chaos`: seeds of simulated clusters and faults on real ones, optimised, since a run is
//! mostly computing, and with overflow checks.

use crate::step;

/// Passes the words on to a program of the tests, which explains them.
pub(crate) fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let run =
        ["run", "--quiet", "--profile", "simulation", "--package", "tabularaft-tests", "--bin", program];
    step::run(step::cargo(&run).arg("--").args(words))
}
