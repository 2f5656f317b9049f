//! `cargo xtask fuzz --seconds N`: every fuzz target under libFuzzer, for N seconds in all.
//!
//! The compiler's coverage instrumentation is asked for with flags that a stable compiler takes too, so that nobody
//! needs another toolchain or another tool. What is built so lies in a folder of its own, `target/fuzz`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step;

const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // A second unit of a crate would bring counters that its constructor does not announce.
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// What one input may take; beyond it the input is a find.
const INPUT_SECONDS: u32 = 10;
const INPUT_MEGABYTES: u32 = 512;
/// The longest input that is tried: a table that needs more to be read has not been met.
const INPUT_BYTES: u32 = 4_096;
const SECONDS: u64 = 60;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    /// For all targets together.
    seconds: u64,
    /// One target instead of all of them.
    target: Option<&'a str>,
    /// Keep the new inputs that reach new code.
    keep: bool,
}

pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let asked = asked(words)?;
    let program = build()?;
    let targets: Vec<String> =
        targets()?.into_iter().filter(|name| asked.target.is_none_or(|wanted| wanted == name)).collect();
    if targets.is_empty() {
        return Err(format!("no fuzz target is called {:?}", asked.target.unwrap_or_default()));
    }
    let seconds = (asked.seconds / targets.len() as u64).max(1);
    let mut found = Vec::new();
    for name in &targets {
        eprintln!("== {name}: {seconds} s");
        match fuzz(&program, name, seconds) {
            Ok(()) if asked.keep => keep(&program, name)?,
            Ok(()) => {}
            Err(problem) => {
                eprintln!("== {name}: {problem}");
                found.push(name.as_str());
            }
        }
    }
    if found.is_empty() {
        eprintln!("{} targets, all clean", targets.len());
        return Ok(());
    }
    Err(format!(
        "finds in {}: their inputs are in {}; mend what they show and keep each in tests/fuzz/corpus/TARGET/",
        found.join(", "),
        work().display()
    ))
}

fn asked<'a>(words: &[&'a str]) -> Result<Asked<'a>, String> {
    let mut asked = Asked { seconds: SECONDS, target: None, keep: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match *word {
            "--seconds" => {
                asked.seconds = value()?.parse().map_err(|_| "--seconds needs a number".to_owned())?;
            }
            "--target" => asked.target = Some(value()?),
            "--keep" => asked.keep = true,
            other => return Err(format!("unknown option {other:?}: --seconds N, --target NAME, --keep")),
        }
    }
    Ok(asked)
}

fn work() -> PathBuf {
    step::root().join("target/fuzz")
}

fn corpus() -> PathBuf {
    step::root().join("tests/fuzz/corpus")
}

/// The targets have their names from the folders of their inputs; a test sees to it that each has one.
fn targets() -> Result<Vec<String>, String> {
    let listed = fs::read_dir(corpus()).map_err(|error| format!("{}: {error}", corpus().display()))?;
    let mut names: Vec<String> =
        listed.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn build() -> Result<PathBuf, String> {
    let triple = host()?;
    // A target given by name keeps the flags away from build scripts and macros, which run on this machine.
    let mut command =
        step::cargo(&["build", "--locked", "--profile", "fuzz", "--package", "tabularaft-fuzz"]);
    command.args(["--bin", "fuzz", "--features", "libfuzzer", "--target", &triple]);
    command.env("CARGO_TARGET_DIR", work()).env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    step::run(&mut command)
        .map_err(|problem| format!("{problem}; libFuzzer is built with a C++ compiler"))?;
    Ok(work().join(triple).join("fuzz/fuzz"))
}

fn host() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| "rustc does not say which machine this is".to_owned())
}

/// Finds and new inputs go below `target/fuzz`, never into the tree.
fn fuzz(program: &Path, name: &str, seconds: u64) -> Result<(), String> {
    let found = folder(&format!("found/{name}"))?;
    let grown = folder(&format!("grown/{name}"))?;
    let mut command = Command::new(program);
    command.env("FUZZ_TARGET", name).current_dir(step::root());
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-timeout={INPUT_SECONDS}"));
    command.arg(format!("-rss_limit_mb={INPUT_MEGABYTES}"));
    command.arg(format!("-max_len={INPUT_BYTES}"));
    command.arg(format!("-artifact_prefix={}/", found.display()));
    command.args(["-verbosity=0", "-print_final_stats=1"]).arg(grown).arg(corpus().join(name));
    step::run(&mut command)
}

/// Adds to the tree what of the new inputs reaches code that no input of the tree reaches.
fn keep(program: &Path, name: &str) -> Result<(), String> {
    let grown = folder(&format!("grown/{name}"))?;
    let mut command = Command::new(program);
    command.env("FUZZ_TARGET", name).arg("-merge=1").arg("-verbosity=0").arg(corpus().join(name)).arg(grown);
    step::run(&mut command)
}

fn folder(name: &str) -> Result<PathBuf, String> {
    let path = work().join(name);
    fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_how_long_and_what() {
        assert_eq!(asked(&[]), Ok(Asked { seconds: 60, target: None, keep: false }));
        let all = asked(&["--seconds", "5", "--target", "batch", "--keep"]);
        assert_eq!(all, Ok(Asked { seconds: 5, target: Some("batch"), keep: true }));
        assert!(asked(&["--seconds"]).unwrap_err().contains("needs a value"));
        assert!(asked(&["--seconds", "x"]).unwrap_err().contains("number"));
        assert!(asked(&["--minutes", "5"]).unwrap_err().contains("--minutes"));
    }

    #[test]
    fn the_targets_are_the_folders_of_the_corpus() {
        assert!(targets().unwrap().contains(&"batch".to_owned()));
    }
}
