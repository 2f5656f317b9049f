//! Real processes, driven by the operator's command: join, load, dump, verify, kill, export, remove.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tabularaft_tests::process::NodeProcess;
use tabularaft_tests::{PATIENCE, wait_for_blocking};

const ANY_PORT: &str = "127.0.0.1:0";

struct Cluster {
    dir: tempfile::TempDir,
    nodes: Vec<NodeProcess>,
}

fn name(i: usize) -> String {
    format!("n{}@127.0.0.1", i + 1)
}

impl Cluster {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let first = NodeProcess::start(&name(0), &dir.path().join("n1"), ANY_PORT, &[]);
        let second =
            NodeProcess::start(&name(1), &dir.path().join("n2"), ANY_PORT, &["--join", &first.address]);
        let third = NodeProcess::start(&name(2), &dir.path().join("n3"), ANY_PORT, &[]);
        third.done(&["cluster", "join", &second.address]);
        Self { dir, nodes: vec![first, second, third] }
    }

    fn data_dir(&self, i: usize) -> PathBuf {
        self.dir.path().join(format!("n{}", i + 1))
    }

    fn restart(&mut self, i: usize) {
        let address = self.nodes[i].address.clone();
        self.nodes[i] = NodeProcess::start(&name(i), &self.data_dir(i), &address, &[]);
    }

    /// Waits until a command on a node succeeds, as after an election.
    fn until_done(&self, i: usize, args: &[&str]) {
        let reason = format!("{args:?} on node {}", i + 1);
        wait_for_blocking(&reason, PATIENCE, || self.nodes[i].admin(args).status.success());
    }
}

/// One record per package of the machine's package database, or as many made-up ones on another kind of machine.
fn packages() -> Vec<(String, String, String, Option<u64>)> {
    let status = fs::read_to_string("/var/lib/dpkg/status").unwrap_or_default();
    let field = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let known: Vec<_> = status
        .split("\n\n")
        .filter_map(|block| {
            let size = field(block, "Installed-Size").and_then(|size| size.parse().ok());
            Some((
                field(block, "Package")?,
                field(block, "Version")?,
                field(block, "Section").unwrap_or_default(),
                size,
            ))
        })
        .collect();
    if !known.is_empty() {
        return known;
    }
    (0..700)
        .map(|i| (format!("package-{i}"), format!("1.{i}"), format!("section-{}", i % 20), Some(i)))
        .collect()
}

fn write_ndjson(dir: &Path) -> (PathBuf, PathBuf) {
    let (mut all, mut sections) = (String::new(), String::new());
    for (package, version, section, size) in packages() {
        let size = size.map_or("null".to_owned(), |size| size.to_string());
        writeln!(all, r#"{{"name":{package:?},"version":{version:?},"size":{size}}}"#).unwrap();
        writeln!(sections, r#"{{"section":{section:?},"package":{package:?}}}"#).unwrap();
    }
    let (packages, tags) = (dir.join("packages.ndjson"), dir.join("sections.ndjson"));
    fs::write(&packages, all).unwrap();
    fs::write(&tags, sections).unwrap();
    (packages, tags)
}

fn create_tables(node: &NodeProcess) {
    let fields =
        ["--field", "name:string", "--field", "version:string", "--field", "size:u64?", "--key", "name"];
    node.done(
        &[&["table", "create", "package", "--kind", "ordered-set", "--copy", "disc"], &fields[..]].concat(),
    );
    let fields = ["--field", "section:string", "--field", "package:string", "--key", "section"];
    node.done(&[&["table", "create", "section", "--kind", "bag", "--copy", "ram"], &fields[..]].concat());
}

#[test]
fn a_package_database_loaded_on_one_node_dumps_the_same_on_all_even_after_a_kill() {
    let mut cluster = Cluster::start();
    create_tables(&cluster.nodes[1]);
    for node in &cluster.nodes {
        let listed = node.done(&["table", "list"]);
        assert!(listed.contains("package") && listed.contains("section"), "{listed}");
    }
    let (packages, sections) = write_ndjson(cluster.dir.path());
    cluster.nodes[1].done(&["load", "package", packages.to_str().unwrap()]);
    cluster.nodes[2].done(&["load", "section", sections.to_str().unwrap()]);
    cluster.nodes[0].done(&["put", "package", r#"{"name":"zzz","version":"1","size":7}"#]);
    let read = cluster.nodes[2].done(&["get", "package", "zzz", "--read", "linearizable"]);
    assert_eq!(read.trim(), r#"{"name":"zzz","version":"1","size":7}"#);
    cluster.nodes[0].done(&["verify"]);
    assert_dumps_equal(&cluster);

    let leader = (0..3).find(|i| leads(&cluster.nodes[*i], *i)).unwrap();
    cluster.nodes[leader].kill();
    let survivor = (leader + 1) % 3;
    cluster.until_done(survivor, &["put", "package", r#"{"name":"zzzz","version":"2","size":null}"#]);
    cluster.restart(leader);
    cluster.until_done(leader, &["verify"]);
    assert_dumps_equal(&cluster);
}

fn leads(node: &NodeProcess, i: usize) -> bool {
    node.done(&["cluster", "status"]).contains(&format!("{} *", name(i)))
}

fn assert_dumps_equal(cluster: &Cluster) {
    for table in ["package", "section"] {
        let dumps: Vec<String> = cluster
            .nodes
            .iter()
            .map(|node| {
                node.done(&["get", "package", "zzz", "--read", "linearizable"]);
                node.done(&["dump", table])
            })
            .collect();
        assert!(!dumps[0].is_empty());
        assert!(dumps.iter().all(|dump| *dump == dumps[0]), "the dumps of {table} differ");
    }
}

#[test]
fn a_node_with_records_joins_only_when_told_what_becomes_of_them() {
    let cluster = Cluster::start();
    let joiner = NodeProcess::start("n4@127.0.0.1", &cluster.data_dir(3), ANY_PORT, &[]);
    let create = [
        "table",
        "create",
        "own",
        "--kind",
        "set",
        "--copy",
        "disc",
        "--field",
        "id:u64",
        "--field",
        "text:string",
        "--key",
        "id",
    ];
    joiner.done(&create);
    joiner.done(&["put", "own", r#"{"id":1,"text":"one"}"#]);
    joiner.done(&["put", "own", r#"{"id":2,"text":"two"}"#]);
    let why = joiner.refused(&["cluster", "join", &cluster.nodes[0].address]);
    assert!(why.contains("own (2 records)"), "{why}");
    assert!(joiner.done(&["dump", "own"]).contains("one"), "a refused join touches nothing");

    joiner.done(&["cluster", "join", &cluster.nodes[0].address, "--on-local-data", "export"]);
    cluster.nodes[0].done(&create);
    let exported = cluster.data_dir(3).join("exports/own.ndjson");
    joiner.done(&["load", "own", exported.to_str().unwrap()]);
    let dump = cluster.nodes[2].done(&["dump", "own"]);
    assert_eq!(dump, "{\"id\":1,\"text\":\"one\"}\n{\"id\":2,\"text\":\"two\"}\n");

    joiner.done(&["cluster", "leave"]);
    assert!(joiner.done(&["cluster", "status"]).contains("n4@127.0.0.1 *"), "it serves alone");
    joiner.done(&["cluster", "join", &cluster.nodes[1].address]);
    joiner.done(&["verify"]);
}

#[test]
fn a_dead_node_can_be_removed_and_is_told_so_when_it_comes_back() {
    let mut cluster = Cluster::start();
    create_tables(&cluster.nodes[0]);
    cluster.nodes[2].kill();
    cluster.until_done(0, &["cluster", "remove", "n3@127.0.0.1"]);
    cluster.restart(2);
    wait_for_blocking("the removed node is told", PATIENCE, || {
        cluster.nodes[2].done(&["cluster", "status"]).contains("was removed from the cluster")
    });
    cluster.nodes[2].refused(&[
        "--timeout",
        "15",
        "put",
        "package",
        r#"{"name":"x","version":"1","size":1}"#,
    ]);
    cluster.nodes[2].done(&["cluster", "join", &cluster.nodes[0].address]);
    cluster.nodes[2].done(&["verify"]);
}

#[test]
fn a_record_that_does_not_fit_is_refused_with_the_field_and_nothing_is_written() {
    let cluster = Cluster::start();
    create_tables(&cluster.nodes[0]);
    let node = &cluster.nodes[1];
    for (record, named) in [
        (r#"{"name":"x","size":1}"#, "version"),
        (r#"{"name":"x","version":"1","size":1,"more":2}"#, "more"),
        (r#"{"name":"x","version":1,"size":1}"#, "version"),
    ] {
        let why = node.refused(&["put", "package", record]);
        assert!(why.contains(named), "{record}: {why}");
    }
    let file = cluster.dir.path().join("bad.ndjson");
    fs::write(&file, "{\"name\":\"a\",\"version\":\"1\",\"size\":1}\n{\"name\":\"b\"}\n").unwrap();
    let why = node.refused(&["load", "package", file.to_str().unwrap()]);
    assert!(why.contains("line 2"), "{why}");
    assert_eq!(node.done(&["dump", "package"]), "");
    let why = node.refused(&["put", "nowhere", "{}"]);
    assert!(why.contains("nowhere"), "{why}");
    assert!(node.admin(&["no-such-command"]).status.code() == Some(2));
}
