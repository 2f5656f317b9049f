//! Node processes that are killed, paused, cut off, restarted, joined and removed while clients use them: what clients
//! were told is true. A longer run is `cargo xtask chaos --minutes 30`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use tabularaft_tests::chaos::{Plan, UNTRUE, Weakness};

fn plan(seed: u64, seconds: u64) -> Plan {
    Plan { seed, length: Duration::from_secs(seconds), history: None, weakness: Weakness::None, faults: true }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_of_real_processes_are_told_is_true_whatever_goes_wrong() {
    let report = plan(1, 30).run().await.unwrap_or_else(|failure| {
        panic!("{}\n{failure}; data and logs in {}", failure.trace.join("\n"), failure.dir.display())
    });
    println!("{}\n{report:?}", report.trace.join("\n"));
    assert!(report.transactions > 100 && report.adds > 20, "{report:?}");
}

/// Several attempts: what is wrong with the nodes shows by chance.
async fn is_found(weakness: Weakness, why: &str) {
    for attempt in 0..5 {
        let plan = Plan { weakness, faults: weakness == Weakness::StaleReads, ..plan(attempt, 10) };
        match plan.run().await {
            Ok(_) => {}
            Err(failure) => {
                std::fs::remove_dir_all(&failure.dir).unwrap();
                println!("attempt {attempt}: {failure}");
                assert!(failure.why.starts_with(UNTRUE) && failure.why.contains(why), "{failure}");
                return;
            }
        }
    }
    panic!("{weakness:?} was not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_does_not_check_reads_is_found() {
    is_found(Weakness::UncheckedReads, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_are_not_linearizable_are_found() {
    is_found(Weakness::StaleReads, "before this began").await;
}
