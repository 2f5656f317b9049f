//! `cargo xtask check` says what is wrong with this repository and never writes; `cargo xtask fix` mends what a
//! machine can mend. `.ci/run` calls `check`, so a change that passes here passes there.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod check;
mod fix;
mod flips;
mod fuzz;
mod step;
mod tidy;
mod trials;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND
  check   format, lints, documentation, house rules, dependencies; never writes. --compare: also lints and tests of
          benches/compare, whose peers take minutes to build
  tidy    the house rules alone: fast enough for an editor's save hook
  fix     formats, and applies what the lints suggest
  flips   [--count N] [--seed N]: damages over the files of a stopped node, each harmless or reported
  fuzz    [--seconds N] [--target NAME] [--keep]: every decoder under libFuzzer, N seconds in all
  chaos   [--minutes M] [--seed N] [--history DIR]: real node processes, killed, paused, cut off under load; all checked
  sim     runs simulated clusters from seeds: [--seed N | --seeds A..B | --minutes M | --mutations] [--history FILE] [--trace] [--log FILTER]
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["check", rest @ ..] => check::run(rest),
        ["tidy"] => tidy::run(),
        ["fix"] => fix::run(),
        ["flips", rest @ ..] => flips::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["chaos", words @ ..] => trials::run("chaos", words),
        ["sim", words @ ..] => trials::run("simulate", words),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
