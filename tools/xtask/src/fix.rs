//! `cargo xtask fix`: what a machine can mend. What is left afterwards needs a person.

use crate::check::COMPARE;
use crate::step;

/// Lints first: what they rewrite is formatted afterwards.
pub(crate) fn run() -> Result<(), String> {
    let lints = [
        "clippy",
        "--fix",
        "--workspace",
        "--all-targets",
        "--allow-dirty",
        "--allow-staged",
        "--allow-no-vcs",
    ];
    step::run(&mut step::cargo(&lints))?;
    step::run(&mut step::cargo(&["fmt", "--all"]))?;
    step::run(&mut step::cargo(&["fmt", "--all", "--manifest-path", COMPARE]))
}
