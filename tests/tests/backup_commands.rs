//! Backups by the operator's command, of and into real processes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use tabularaft_tests::binary::store_admin;
use tabularaft_tests::process::NodeProcess;
use tabularaft_tests::{PATIENCE, wait_for_blocking};

const ANY_PORT: &str = "127.0.0.1:0";
const FIELDS: [&str; 6] = ["--field", "name:string", "--field", "size:u64", "--key", "name"];

/// One node that holds a table of fruits and one of its own, and a place for files.
struct Source {
    dir: tempfile::TempDir,
    node: NodeProcess,
}

impl Source {
    fn start(fruits: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = NodeProcess::start("n1@127.0.0.1", &dir.path().join("n1"), ANY_PORT, &[]);
        create(&node, "fruit", &["--kind", "ordered-set", "--copy", "disc"]);
        create(&node, "private", &["--kind", "set", "--copy", "ram", "--local-content"]);
        let mut lines = String::new();
        for number in 0..fruits {
            writeln!(lines, r#"{{"name":"fruit {number}","size":{number}}}"#).unwrap();
        }
        let file = dir.path().join("fruits.ndjson");
        std::fs::write(&file, lines).unwrap();
        node.done(&["load", "fruit", file.to_str().unwrap()]);
        node.done(&["put", "private", r#"{"name":"mine","size":1}"#]);
        Self { dir, node }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn other(&self, name: &str) -> NodeProcess {
        NodeProcess::start(&format!("{name}@127.0.0.1"), &self.path(name), ANY_PORT, &[])
    }
}

fn create(node: &NodeProcess, table: &str, more: &[&str]) {
    node.done(&[&["table", "create", table], more, &FIELDS[..]].concat());
}

#[test]
fn a_backup_is_written_looked_into_and_restored_by_command() {
    let source = Source::start(3_000);
    let file = source.path("all.backup");
    let file = file.to_str().unwrap();
    let said = source.node.done(&["backup", file]);
    assert!(said.starts_with("wrote 3,000 records of 2 tables at log index "), "{said}");
    let json = source.node.done(&["backup", file, "--json"]);
    assert!(json.contains("\"records\": 3000"), "{json}");

    // Looking into a backup needs no node.
    let info =
        Command::new(store_admin()).args(["--node", "127.0.0.1:1", "backup-info", file]).output().unwrap();
    let info = String::from_utf8(info.stdout).unwrap();
    assert!(info.contains("n1@127.0.0.1") && info.contains("definition only"), "{info}");
    let content = info.lines().find(|line| line.starts_with("fruit")).unwrap();
    let content = content.split_whitespace().last().unwrap();

    let other = source.other("x7");
    let would = other.done(&["restore", file, "--dry-run"]);
    assert!(would.contains("nothing was done") && would.contains(content), "{would}");
    assert_eq!(other.done(&["table", "list"]).lines().count(), 1, "only the heading");
    let restored = other.done(&["restore", file]);
    assert!(restored.contains("created") && restored.contains("definition-only"), "{restored}");
    assert!(restored.contains(content), "{restored}");
    let verified = other.done(&["verify", "--content"]);
    assert!(verified.contains(content), "{verified}");
    assert_eq!(other.done(&["dump", "fruit"]), source.node.done(&["dump", "fruit"]));
    assert_eq!(other.done(&["dump", "private"]), "", "what is private to a node stays there");
    other.done(&["put", "fruit", r#"{"name":"more","size":1}"#]);
}

#[test]
fn a_restore_says_what_is_in_its_way_and_what_to_do() {
    let source = Source::start(100);
    let file = source.path("fruit.backup");
    let file = file.to_str().unwrap();
    source.node.done(&["backup", file, "--table", "fruit"]);
    let why = source.node.refused(&["restore", file]);
    assert!(why.contains("fruit exists with 100 records") && why.contains("--replace"), "{why}");
    source.node.done(&["put", "fruit", r#"{"name":"new","size":1}"#]);
    source.node.done(&["restore", file, "--merge"]);
    source.node.done(&["get", "fruit", "new"]);
    source.node.done(&["restore", file, "--into", "fruit=beside"]);
    source.node.done(&["restore", file, "--replace", "--json"]);
    source.node.refused(&["get", "fruit", "new"]);
    assert_eq!(source.node.done(&["dump", "fruit"]), source.node.done(&["dump", "beside"]));
    for (args, named) in [
        (&["restore", file, "--table", "vegetable"][..], "vegetable"),
        (&["backup", file, "--table", "vegetable"], "vegetable"),
        (&["backup", "no-such-folder/b.backup"], "no-such-folder"),
    ] {
        let why = source.node.refused(args);
        assert!(why.contains(named), "{args:?}: {why}");
    }
    assert!(!source.path("fruit.backup.part").exists());
}

#[test]
fn files_that_are_no_whole_backup_are_refused_with_the_place() {
    let source = Source::start(100);
    let good = source.path("good.backup");
    source.node.done(&["backup", good.to_str().unwrap()]);
    let bytes = std::fs::read(&good).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() - 30] ^= 1;
    for (what, bytes, told) in [
        ("flipped", &flipped[..], "is damaged at byte"),
        ("short", &bytes[..200], "it ends at byte 200"),
        ("not", b"x", "is no tabularaft backup"),
    ] {
        let file = source.path(what);
        std::fs::write(&file, bytes).unwrap();
        let file = file.to_str().unwrap();
        for args in [&["restore", file, "--replace"][..], &["backup-info", file]] {
            let why = source.node.refused(args);
            assert!(why.contains(told) && why.contains(what), "{args:?}: {why}");
        }
    }
    assert_eq!(source.node.done(&["dump", "fruit"]).lines().count(), 100);
}

#[test]
fn an_operator_who_is_killed_in_a_restore_leaves_nothing_visible_and_may_try_again() {
    let source = Source::start(60_000);
    let file = source.path("fruit.backup");
    source.node.done(&["backup", file.to_str().unwrap(), "--table", "fruit"]);
    let other = source.other("x8");
    let mut restoring = Command::new(store_admin());
    restoring.args(["--node", &other.address, "restore"]).arg(&file);
    let mut restoring = restoring.spawn().unwrap();
    wait_for_blocking("the restore has begun", PATIENCE, || {
        other.done(&["table", "list"]).contains("_restoring.fruit")
    });
    restoring.kill().unwrap();
    restoring.wait().unwrap();
    if !other.done(&["table", "list"]).lines().any(|line| line.starts_with("fruit")) {
        other.refused(&["dump", "fruit"]);
    }
    other.done(&["restore", file.to_str().unwrap(), "--replace"]);
    let tables = other.done(&["table", "list"]);
    assert!(!tables.contains("_restoring"), "{tables}");
    assert_eq!(other.done(&["dump", "fruit"]).lines().count(), 60_000);
}

#[test]
fn a_table_is_imported_from_another_cluster_by_command() {
    let source = Source::start(500);
    let other = source.other("x9");
    let said = other.done(&["import", "fruit", "--from", &source.node.address, "--into", "theirs"]);
    assert!(said.contains("theirs") && said.contains("500"), "{said}");
    assert_eq!(other.done(&["dump", "theirs"]), source.node.done(&["dump", "fruit"]));
    let why = other.refused(&["import", "fruit", "--from", "127.0.0.1:1"]);
    assert!(why.contains("127.0.0.1:1"), "{why}");
}

#[test]
fn all_tables_are_dumped_as_text_and_loaded_by_another_cluster() {
    let source = Source::start(3_000);
    let file = source.path("all.ndjson");
    let file = file.to_str().unwrap();
    let said = source.node.done(&["dump", "--all", file]);
    assert!(said.starts_with("wrote 3,000 records of 2 tables at log index "), "{said}");
    let text = std::fs::read_to_string(file).unwrap();
    let printed = source.node.done(&["dump", "--all"]);
    assert!(printed.lines().skip(1).eq(text.lines().skip(1)), "only the time in the first line differs");

    let other = source.other("x10");
    let loaded = other.done(&["load", "--all", file]);
    assert!(loaded.contains("created") && loaded.contains("definition-only"), "{loaded}");
    assert_eq!(other.done(&["dump", "fruit"]), source.node.done(&["dump", "fruit"]));
    for table in ["fruit", "private"] {
        let definition = |node: &NodeProcess| node.done(&["table", "info", table, "--definition"]);
        assert_eq!(definition(&other), definition(&source.node));
    }

    let why = other.refused(&["load", "--all", file]);
    assert!(why.contains("table fruit exists with 3000 records"), "{why}");
    other.done(&["table", "clear", "fruit"]);
    other.done(&["table", "set", "fruit", "--records-max", "5000"]);
    let why = other.refused(&["load", "--all", file]);
    assert!(
        why.contains("table fruit exists with another definition") && why.contains("records_max"),
        "{why}"
    );
    let replaced = other.done(&["load", "--all", file, "--replace", "--into", "fruit=fruits", "--json"]);
    assert!(replaced.contains("\"into\": \"fruits\""), "{replaced}");

    let damaged = source.path("damaged.ndjson");
    std::fs::write(&damaged, text.replacen(r#""size":7}"#, r#""size":"seven"}"#, 1)).unwrap();
    let third = source.other("x11");
    let why = third.refused(&["load", "--all", damaged.to_str().unwrap()]);
    assert!(why.contains("damaged.ndjson line ") && why.contains("nothing was loaded"), "{why}");
    assert_eq!(third.done(&["table", "list"]).lines().count(), 1, "only the heading");
}

#[test]
fn a_table_is_created_from_the_definition_that_another_one_has() {
    let source = Source::start(1);
    let file = source.path("fruit.json");
    let definition = source.node.done(&["table", "info", "fruit", "--definition"]);
    std::fs::write(&file, &definition).unwrap();
    let other = source.other("x12");
    let said = other.done(&["table", "create", "--from-json", file.to_str().unwrap()]);
    assert!(said.starts_with("created fruit"), "{said}");
    assert_eq!(other.done(&["table", "info", "fruit", "--definition"]), definition);
    std::fs::write(&file, definition.replace("\"u64\"", "\"number\"")).unwrap();
    let why = other.refused(&["table", "create", "--from-json", file.to_str().unwrap()]);
    assert!(why.contains("fruit.json") && why.contains("number"), "{why}");
}
