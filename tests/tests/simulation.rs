//! A bounded set of seeds of the simulation. `cargo xtask sim` runs more of them, and longer.

use tabularaft_tests::sim::{BUGS, Plan, Report, hunt};

/// Without optimisation a simulated second takes about half a second.
const FAULTS_MS: u64 = 5_000;
/// From the seed that is known to find a bug, so many are tried. Almost always the first one does, until something
/// changes what nodes say to each other.
const SEEDS_NEAR: u64 = 20;

fn run(seed: u64) -> Report {
    let outcome = Plan::new(seed).with_faults_ms(FAULTS_MS).run();
    outcome.unwrap_or_else(|failure| panic!("{}\n{failure}", failure.trace.join("\n")))
}

#[test]
fn one_seed_gives_the_same_run_each_time() {
    let (first, second) = (run(1), run(1));
    assert_eq!(first, second, "every message at the same simulated time");
    assert!(first.delivered > 1_000 && !first.trace.is_empty(), "nothing happened: {first:?}");
}

#[test]
fn clusters_keep_their_promises_while_things_go_wrong() {
    for seed in 2..6 {
        let report = run(seed);
        assert!(report.successes > 100, "seed {seed}: hardly anything succeeded: {report:?}");
    }
}

/// The whole search, of 200 seeds for each bug, is `cargo xtask sim --mutations`.
#[test]
fn every_bug_that_is_put_back_is_found() {
    for (bug, seed) in BUGS {
        let found = hunt(bug, seed..seed + SEEDS_NEAR);
        assert!(found.is_some(), "{bug:?} is not found by the seeds from {seed} on");
    }
}
