//! The operator's last resorts, with real processes: a lost majority, and a node whose data is damaged.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tabularaft_tests::process::NodeProcess;
use tabularaft_tests::{PATIENCE, binary, wait_for_blocking};

fn name(i: usize) -> String {
    format!("n{}@127.0.0.1", i + 1)
}

struct Cluster {
    dir: tempfile::TempDir,
    nodes: Vec<NodeProcess>,
}

impl Cluster {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let start = |i: usize, more: &[&str]| {
            NodeProcess::start(&name(i), &dir.path().join(format!("n{}", i + 1)), "127.0.0.1:0", more)
        };
        let first = start(0, &[]);
        let join = ["--join", &first.address];
        let (second, third) = (start(1, &join), start(2, &join));
        let fields = ["--field", "id:u64", "--field", "text:string", "--key", "id"];
        first.done(&[&["table", "create", "note", "--kind", "set", "--copy", "disc"], &fields[..]].concat());
        Self { nodes: vec![first, second, third], dir }
    }

    fn data_dir(&self, i: usize) -> PathBuf {
        self.dir.path().join(format!("n{}", i + 1))
    }

    fn start_again(&mut self, i: usize) {
        let address = self.nodes[i].address.clone();
        self.nodes[i] = NodeProcess::start(&name(i), &self.data_dir(i), &address, &[]);
    }

    fn until_done(&self, i: usize, args: &[&str]) {
        let reason = format!("{args:?} on node {}", i + 1);
        wait_for_blocking(&reason, PATIENCE, || self.nodes[i].admin(args).status.success());
    }

    fn until_says(&self, i: usize, args: &[&str], what: &str) {
        let reason = format!("{args:?} on node {} says {what}", i + 1);
        wait_for_blocking(&reason, PATIENCE, || {
            String::from_utf8_lossy(&self.nodes[i].admin(args).stdout).contains(what)
        });
    }
}

fn recover(data_dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(binary::store_admin());
    command.args(["recover", "--data-dir"]).arg(data_dir).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_cluster_goes_on_with_one_of_three_and_the_lost_nodes_are_refused_when_they_come_back() {
    let mut cluster = Cluster::start();
    for id in 0..20 {
        cluster.nodes[id % 3].done(&["put", "note", &format!(r#"{{"id":{id},"text":"before"}}"#)]);
    }
    let running = said(&recover(&cluster.data_dir(0), &["--keep", &name(0)]));
    assert!(running.contains("error: "), "a running node is left alone: {running}");
    cluster.nodes.iter_mut().for_each(NodeProcess::kill);

    let needless = recover(&cluster.data_dir(0), &["--keep", &name(0), &name(1), "--yes"]);
    assert!(said(&needless).contains("are a majority"), "{needless:?}");
    let shown = recover(&cluster.data_dir(0), &["--keep", &name(0)]);
    assert_eq!(shown.status.code(), Some(1), "{shown:?}");
    for part in ["may be lost", &name(1), &name(2), "--yes"] {
        assert!(said(&shown).contains(part), "{part:?} in {shown:?}");
    }
    let done = recover(&cluster.data_dir(0), &["--keep", &name(0), "--yes"]);
    assert!(done.status.success(), "{done:?}");
    let names = fs::read_dir(cluster.data_dir(0)).unwrap().map(|entry| entry.unwrap().file_name());
    let records = names.filter(|name| name.to_string_lossy().starts_with("recovery-")).count();
    assert_eq!(records, 1, "the record stays in the data directory");

    cluster.start_again(0);
    cluster.until_done(0, &["put", "note", r#"{"id":100,"text":"after"}"#]);
    for id in 0..20 {
        let found = cluster.nodes[0].done(&["get", "note", &id.to_string()]);
        assert!(found.contains("before"), "record {id} is there: {found}");
    }
    let status = cluster.nodes[0].done(&["cluster", "status"]);
    let recovered = status.lines().find(|line| line.starts_with("recovered")).unwrap_or_default();
    assert!([name(0), name(1), name(2)].iter().all(|name| recovered.contains(name)), "{status}");
    // The two others are a majority of the cluster that was. They come back, and learn that they are no members.
    cluster.start_again(1);
    cluster.start_again(2);
    for i in [1, 2] {
        cluster.until_says(i, &["cluster", "status"], "removed");
        let refused =
            cluster.nodes[i].refused(&["--timeout", "5", "put", "note", r#"{"id":7,"text":"stale"}"#]);
        assert!(refused.contains("error: "), "{refused}");
    }
    let found = cluster.nodes[0].done(&["get", "note", "7"]);
    assert!(found.contains("before"), "nothing of theirs arrives: {found}");

    let join = ["cluster", "join", &cluster.nodes[0].address.clone(), "--on-local-data", "discard"];
    cluster.nodes[1].done(&join);
    cluster.until_done(1, &["put", "note", r#"{"id":101,"text":"together"}"#]);
    let verdict = cluster.nodes[0].done(&["verify"]);
    assert!(verdict.contains("note"), "{verdict}");
}

#[test]
fn a_node_with_damaged_data_says_so_and_is_rebuilt_from_its_peers_under_its_name() {
    let mut cluster = Cluster::start();
    for id in 0..20 {
        cluster.nodes[0].done(&["put", "note", &format!(r#"{{"id":{id},"text":"kept"}}"#)]);
    }
    cluster.nodes[2].kill();
    let log = cluster.data_dir(2).join("log/00000001.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[300] ^= 4;
    fs::write(&log, bytes).unwrap();

    let mut command = Command::new(binary::store_admin());
    let address = cluster.nodes[2].address.clone();
    command.args(["node", "run", "--name", &name(2), "--listen", &address, "--data-dir"]);
    let refused = command.arg(cluster.data_dir(2)).output().unwrap();
    let why = said(&refused);
    assert_eq!(refused.status.code(), Some(1), "{why}");
    assert!(
        why.contains("00000001.log is damaged at byte") && why.contains("recover --from-cluster"),
        "{why}"
    );

    let peer = cluster.nodes[0].address.clone();
    let rebuilt = recover(&cluster.data_dir(2), &["--from-cluster", &peer]);
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    assert!(said(&rebuilt).contains("retired-1"), "{rebuilt:?}");
    cluster.start_again(2);
    cluster.until_done(2, &["put", "note", r#"{"id":50,"text":"again"}"#]);
    assert!(cluster.nodes[2].done(&["get", "note", "7"]).contains("kept"));
    let status = cluster.nodes[0].done(&["cluster", "status"]);
    assert!(status.contains(&name(2)), "it has its name again: {status}");
}

#[test]
fn a_node_that_cannot_be_rebuilt_has_its_data_back() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("n1");
    let mut node = NodeProcess::start(&name(0), &data_dir, "127.0.0.1:0", &[]);
    node.kill();
    let failed = recover(&data_dir, &["--from-cluster", "127.0.0.1:1"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(said(&failed).contains("back as it was"), "{failed:?}");
    let again = NodeProcess::start(&name(0), &data_dir, &node.address, &[]);
    wait_for_blocking("the node serves", PATIENCE, || again.admin(&["table", "list"]).status.success());
}
