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

/// Runs every check even when one has failed: a report of all that is wrong saves rounds.
pub(crate) fn run() -> Result<(), String> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
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
        .map_err(|problem| format!("{problem}; `cargo xtask fix` formats"))
}

/// Licences, doubled versions and sources. Advisories are left out: what they say changes without any change here,
/// and a check must answer the same for the same commit.
fn dependencies() -> Result<(), String> {
    let arguments = ["deny", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    step::run(&mut step::cargo(&arguments)).map_err(|problem| {
        format!("{problem}; if cargo-deny is missing: `cargo install cargo-deny --locked`")
    })
}

fn lints() -> Result<(), String> {
    step::run(&mut step::cargo(&[
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

fn documentation() -> Result<(), String> {
    let mut command = step::cargo(&["doc", "--locked", "--workspace", "--no-deps"]);
    step::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}
