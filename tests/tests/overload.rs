//! More writers than a cluster can serve: they wait, and what waits is bounded. The figures of a longer run stand in
//! `benches/RESULTS.md`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use tabularaft_benches::cluster::Place;
use tabularaft_benches::figures::overload::{both_paused, one_paused, small};
use tabularaft_tests::binary;

/// More memory than this no node may hold: `docs/guide/operations.md` says where it comes from.
const RESIDENT_BYTES_MAX: u64 = 512 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_writers_and_a_paused_follower_leave_memory_bounded_and_the_others_writing() {
    let dir = tempfile::tempdir().unwrap();
    for place in [Place::Leader, Place::Follower] {
        let seen = one_paused(&small(&binary::program("chaos"), dir.path()), place).await.unwrap();
        println!("{place:?}: {seen:?}");
        assert_eq!(seen.failed, 0, "waiting is all that happens to writers");
        assert!(seen.resident_bytes.iter().all(|bytes| *bytes < RESIDENT_BYTES_MAX), "{seen:?}");
        assert!(seen.rate_paused > seen.rate / 4.0, "a paused follower slows nobody: {seen:?}");
        let limit = seen.before.p99_micros.max(20_000) * 10;
        assert!(seen.after.p99_micros < limit, "latency recovers: {seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_beyond_what_may_wait_are_told_so_and_writing_goes_on_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let seen = both_paused(&small(&binary::program("chaos"), dir.path())).await.unwrap();
    println!("{seen:?}");
    assert!(seen.overloaded > 0, "{seen:?}");
    assert!(seen.resident_bytes.iter().all(|bytes| *bytes < RESIDENT_BYTES_MAX), "{seen:?}");
    assert_eq!(seen.after.failed, 0);
    assert!(seen.after.p99_micros < 1_000_000, "latency recovers: {seen:?}");
}
