//! `cargo xtask check`: all checks, in the order of how fast they answer.

use std::time::Instant;

use crate::{step, tidy};

/// One check: what it is called, and what it does.
type Check = (&'static str, fn() -> Result<(), String>);

const CHECKS: &[Check] = &[
    ("tidy", tidy::run),
    ("format", format),
    ("dependencies", dependencies),
    ("lints", lints),
    ("documentation", documentation),
];

/// What is checked of the comparison with others, a workspace of its own, beside its format and dependencies: its
/// peers take minutes to build.
const COMPARISON: &[Check] =
    &[("lints of the comparison", compare_lints), ("tests of the comparison", compare_tests)];

/// The manifest of the comparison.
pub(crate) const COMPARE: &str = "benches/compare/Cargo.toml";

/// Runs every check even when one has failed: a report of all that is wrong saves rounds.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let more = match arguments {
        [] => &[][..],
        ["--compare"] => COMPARISON,
        other => return Err(format!("check takes --compare or nothing, not {}", other.join(" "))),
    };
    let mut failed = Vec::new();
    for (name, check) in CHECKS.iter().chain(more) {
        let started = Instant::now();
        eprintln!("== {name}");
        let outcome = check();
        let seconds = started.elapsed().as_secs_f32();
        match outcome {
            Ok(()) => eprintln!("== {name}: ok ({seconds:.1} s)"),
            Err(problem) => {
                eprintln!("== {name}: FAILED ({seconds:.1} s): {problem}");
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn format() -> Result<(), String> {
    step::run(&mut step::cargo(&["fmt", "--all", "--", "--check"]))
        .and_then(|()| {
            step::run(&mut step::cargo(&["fmt", "--all", "--manifest-path", COMPARE, "--", "--check"]))
        })
        .map_err(|problem| format!("{problem}; `cargo xtask fix` formats"))
}

/// Licences, doubled versions and sources. Advisories are left out: what they say changes without any change here,
/// and a check must answer the same for the same commit.
fn dependencies() -> Result<(), String> {
    let check = ["check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    let compare = ["deny", "--manifest-path", COMPARE, "--config", "deny.toml"];
    step::run(step::cargo(&["deny"]).args(check))
        .and_then(|()| step::run(step::cargo(&compare).args(check)))
        .map_err(|problem| {
            format!("{problem}; if cargo-deny is missing: `cargo install cargo-deny --locked`")
        })
}

fn lints() -> Result<(), String> {
    clippy(&[])
}

fn clippy(of: &[&str]) -> Result<(), String> {
    let mut command = step::cargo(&["clippy", "--locked", "--workspace", "--all-targets"]);
    step::run(command.args(of).args(["--", "-D", "warnings"]))
}

fn compare_lints() -> Result<(), String> {
    clippy(&["--manifest-path", COMPARE])
}

fn compare_tests() -> Result<(), String> {
    step::run(&mut step::cargo(&["test", "--locked", "--workspace", "--manifest-path", COMPARE]))
}

fn documentation() -> Result<(), String> {
    let mut command = step::cargo(&["doc", "--locked", "--workspace", "--no-deps"]);
    step::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}
