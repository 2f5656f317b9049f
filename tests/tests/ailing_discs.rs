//! Discs that are full or fail while the cluster is in use.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tabularaft::WriteError;
use tabularaft_tests::process::NodeProcess;
use tabularaft_tests::tables::DiscWord;
use tabularaft_tests::{PATIENCE, TestCluster, wait_for_blocking};
use tokio::time::{Instant, sleep};

fn word(key: &str, word: &str) -> DiscWord {
    DiscWord { key: key.to_owned(), word: word.to_owned() }
}

/// Waits for something that only asking finds out.
async fn until(reason: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited in vain: {reason}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Writes through a node until that succeeds, as after an election.
async fn write(cluster: &TestCluster, at: usize, key: &str) {
    let table = cluster[at].node().table::<DiscWord>().unwrap();
    let record = word(key, "written");
    until(&format!("{key} is written through node {at}"), async || table.insert(&record).await.is_ok()).await;
}

/// Why a node says that it is not ready; empty if it is.
async fn why_not_ready(cluster: &TestCluster, at: usize) -> String {
    let ready = cluster[at].node().wait_for_tables(&[], Duration::from_millis(1)).await;
    ready.map_or_else(|not_ready| not_ready.why, |()| String::new())
}

async fn until_it_says(cluster: &TestCluster, at: usize, part: &str) {
    let reason = format!("node {at} says {part:?}");
    until(&reason, async || why_not_ready(cluster, at).await.contains(part)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disc_is_full_says_so_makes_room_for_another_and_comes_back_by_itself() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscWord>().await;
    let leader = cluster.wait_leader().await;
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    write(&cluster, leader, "before").await;
    let id = cluster[leader].node().incarnation().unwrap().node;

    cluster[leader].disc().set_full(true);
    let refused = cluster[leader].node().table::<DiscWord>().unwrap().insert(&word("refused", "never")).await;
    assert!(refused.is_err(), "nothing is acknowledged: {refused:?}");
    until_it_says(&cluster, leader, "no space left").await;
    let refused = cluster[leader].node().table::<DiscWord>().unwrap().insert(&word("refused", "never")).await;
    assert!(matches!(refused, Err(WriteError::Store(_))), "{refused:?}");
    let read = cluster[leader].node().table::<DiscWord>().unwrap().get("before").unwrap();
    assert!(read.is_some(), "local reads go on");

    cluster.wait_leader_among(&others).await;
    write(&cluster, others[0], "meanwhile").await;

    cluster[leader].disc().set_full(false);
    write(&cluster, leader, "after").await;
    cluster.wait_ready().await;
    cluster.wait_equal_copies().await;
    assert_eq!(
        cluster[leader].node().incarnation().unwrap().node,
        id,
        "it has forgotten nothing, and is the same"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_sync_failed_comes_back_as_one_that_may_have_forgotten() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscWord>().await;
    let leader = cluster.wait_leader().await;
    for at in [leader, (leader + 1) % 3] {
        let id = cluster[at].node().incarnation().unwrap().node;
        write(&cluster, at, &format!("before {at}")).await;
        cluster[at].disc().fail_next_sync();
        let other = (at + 2) % 3;
        write(&cluster, other, &format!("meanwhile {at}")).await;
        let node = cluster[at].node();
        until("it has another id", async || {
            node.incarnation().is_some_and(|incarnation| incarnation.node != id)
        })
        .await;
        write(&cluster, at, &format!("after {at}")).await;
        cluster.wait_ready().await;
    }
    cluster.wait_equal_copies().await;
    let table = cluster[leader].node().table::<DiscWord>().unwrap();
    for at in [leader, (leader + 1) % 3] {
        for when in ["before", "meanwhile", "after"] {
            assert!(
                table.get(format!("{when} {at}").as_str()).unwrap().is_some(),
                "{when} {at} was acknowledged"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_whose_sync_failed_goes_on_with_what_is_on_its_disc() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<DiscWord>().await;
    write(&cluster, 0, "before").await;
    cluster[0].disc().fail_next_sync();
    let lost = cluster[0].node().table::<DiscWord>().unwrap().insert(&word("in flight", "perhaps")).await;
    assert!(lost.is_err(), "{lost:?}");
    write(&cluster, 0, "after").await;
    let table = cluster[0].node().table::<DiscWord>().unwrap();
    assert!(table.get("before").unwrap().is_some());
}

/// A file system of a few megabytes, in memory; gone when dropped.
struct SmallDisc(tempfile::TempDir);

impl SmallDisc {
    /// `None` where this process may not mount anything.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=200m", "tmpfs"]).arg(dir.path());
        mount.output().is_ok_and(|output| output.status.success()).then(|| Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisc {
    fn drop(&mut self) {
        // Whoever still has a file open keeps the memory, and nothing else.
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

#[test]
fn a_process_on_a_disc_that_is_really_full_says_so_and_comes_back_when_there_is_space() {
    let Some(disc) = SmallDisc::mount() else {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    };
    let settings = disc.path().join("node.toml");
    std::fs::write(&settings, "checkpoint_bytes = 1048576\n").unwrap();
    let config = ["--config", settings.to_str().unwrap()];
    let node = NodeProcess::start("n1@127.0.0.1", &disc.path().join("data"), "127.0.0.1:0", &config);
    let fields = ["--field", "id:u64", "--field", "text:string", "--key", "id"];
    node.done(&[&["table", "create", "note", "--kind", "set", "--copy", "disc"], &fields[..]].concat());
    node.done(&["put", "note", r#"{"id":1,"text":"before"}"#]);

    let ballast = disc.path().join("ballast");
    let full =
        Command::new("dd").args(["if=/dev/zero", "bs=1M"]).arg(format!("of={}", ballast.display())).output();
    assert!(full.is_ok());
    let text = "x".repeat(100_000);
    let mut written = Vec::new();
    for id in 2..200 {
        let output =
            node.admin(&["--timeout", "5", "put", "note", &format!(r#"{{"id":{id},"text":"{text}"}}"#)]);
        if !output.status.success() {
            break;
        }
        written.push(id);
    }
    let says =
        |part: &str| String::from_utf8_lossy(&node.admin(&["cluster", "status"]).stdout).contains(part);
    wait_for_blocking("the node says that there is no space", PATIENCE, || says("no space"));
    assert!(!written.is_empty() && written.len() < 190, "the disc was full at some time: {}", written.len());

    std::fs::remove_file(&ballast).unwrap();
    let put = ["--timeout", "5", "put", "note", r#"{"id":1000,"text":"after"}"#];
    wait_for_blocking("writes go on", PATIENCE, || node.admin(&put).status.success());
    for id in written.iter().chain(&[1]) {
        assert!(
            node.admin(&["get", "note", &id.to_string()]).status.success(),
            "record {id} was acknowledged"
        );
    }
}
