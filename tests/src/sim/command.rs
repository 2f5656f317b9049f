//! The program around the simulation: which seeds, for how long, and what it says.

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::clock;
use super::mutations::{BUGS, SEEDS_MAX, hunt};
use super::run::{Failure, Plan, Report};
use super::tally::Tally;

const USAGE: &str = "\
usage: cargo xtask sim [--seed N | --seeds A..B | --minutes M | --mutations] [--history FILE] [--trace] [--log FILTER]
  --seed N        runs one seed again, exactly as before
  --seeds A..B    runs the seeds from A up to, but without, B (default 0..20)
  --minutes M     runs one seed after the other for so long, from a seed that the clock gives
  --mutations     puts one known bug after the other back, and looks whether it is found within 200 seeds
  --history FILE  writes what clients asked and were told, as JSON lines
  --trace         says what was done to the cluster, also when nothing was found
  --log FILTER    prints what the nodes log, with the simulated time: `tabularaft=debug`
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    seeds: Range<u64>,
    limit: Option<Duration>,
    history: Option<PathBuf>,
    trace: bool,
    log: Option<String>,
    mutations: bool,
}

/// Runs the program with these arguments.
pub fn command(arguments: Vec<String>) -> ExitCode {
    let Some(wish) = parse(&arguments) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(filter) = &wish.log {
        clock::print_log(filter);
    }
    let ran = if wish.mutations { find_mutations(wish.seeds.start) } else { run(&wish) };
    match ran {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(failed) => {
            println!("{failed}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<Wish> {
    let mut wish =
        Wish { seeds: 0..20, limit: None, history: None, trace: false, log: None, mutations: false };
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--seed" => {
                let seed: u64 = words.next()?.parse().ok()?;
                wish.seeds = seed..seed.checked_add(1)?;
            }
            "--seeds" => {
                let (first, end) = words.next()?.split_once("..")?;
                wish.seeds = first.parse().ok()?..end.parse().ok()?;
            }
            "--minutes" => {
                let minutes: u64 = words.next()?.parse().ok()?;
                wish.limit = Some(Duration::from_secs(minutes.checked_mul(60)?));
                let first = std::time::UNIX_EPOCH.elapsed().ok()?.as_secs();
                wish.seeds = first..u64::MAX;
            }
            "--history" => wish.history = Some(words.next()?.into()),
            "--trace" => wish.trace = true,
            "--log" => wish.log = Some(words.next()?.to_owned()),
            "--mutations" => wish.mutations = true,
            _ => return None,
        }
    }
    Some(wish)
}

/// Every bug must be found.
fn find_mutations(first_seed: u64) -> Result<String, String> {
    let mut missed = Vec::new();
    for (bug, _) in BUGS {
        match hunt(bug, first_seed..first_seed + SEEDS_MAX) {
            Some(failure) => {
                let seeds = failure.seed - first_seed + 1;
                println!("{bug:?}: found by the {seeds}th seed: {failure}");
            }
            None => missed.push(format!("{bug:?}")),
        }
    }
    if missed.is_empty() {
        return Ok(format!("all {} bugs were found", BUGS.len()));
    }
    Err(format!("not found within {SEEDS_MAX} seeds: {}", missed.join(", ")))
}

/// The first seed that finds something ends it.
fn run(wish: &Wish) -> Result<String, String> {
    let began = Instant::now();
    let mut passed = Passed::default();
    for seed in wish.seeds.clone() {
        if wish.limit.is_some_and(|limit| began.elapsed() >= limit) {
            break;
        }
        let (outcome, history) = Plan::new(seed).run_and_record();
        if let Some(file) = &wish.history {
            history.write(file).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        }
        match outcome {
            Ok(report) => {
                if wish.trace {
                    println!("{}", report.trace.join("\n"));
                }
                passed.add(&report);
            }
            Err(failure) => return Err(describe(&failure)),
        }
    }
    Ok(format!("{passed} in {:.1} s", began.elapsed().as_secs_f64()))
}

fn describe(failure: &Failure) -> String {
    format!("{}\nFAILED {failure}\nagain: cargo xtask sim --seed {}", failure.trace.join("\n"), failure.seed)
}

/// The sum of all runs that found nothing.
#[derive(Debug, Default)]
struct Passed {
    seeds: u64,
    simulated_ms: u64,
    delivered: u64,
    operations: usize,
    successes: usize,
    faults: usize,
    last_digest: u32,
    tally: Tally,
}

impl Passed {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.simulated_ms += report.simulated_ms;
        self.delivered += report.delivered;
        self.operations += report.operations;
        self.successes += report.successes;
        self.faults += report.trace.len();
        self.tally.add(&report.tally);
        self.last_digest = report.digest;
    }
}

impl std::fmt::Display for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seeds, delivered, operations, successes, faults, last_digest, .. } = self;
        write!(f, "{}", self.tally)?;
        let seconds = self.simulated_ms / 1_000;
        write!(
            f,
            "passed: {seeds} seeds, {seconds} simulated s, {faults} faults, {operations} operations \
             ({successes} done), {delivered} messages, digest {last_digest:08x}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn one_seed_is_a_range_of_one() {
        assert_eq!(parse(&words("--seed 7")).unwrap().seeds, 7..8);
        assert_eq!(parse(&words("--seeds 3..9 --trace")).unwrap().seeds, 3..9);
        assert!(parse(&words("--seed")).is_none());
        assert!(parse(&words("--sead 7")).is_none());
    }
}
