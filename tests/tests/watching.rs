//! `store-admin watch` on real processes: killed and resumed watchers, killed nodes, and how a watch ends.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tabularaft::Record;
use tabularaft::admin::AdminClient;
use tabularaft::admin::protocol::TableRef;
use tabularaft_tests::binary::store_admin;
use tabularaft_tests::process::NodeProcess;
use tabularaft_tests::tables::DiscWord;
use tabularaft_tests::{PATIENCE, eventually, wait_for_blocking};

/// A running `store-admin watch`.
struct Watcher {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    reading: JoinHandle<()>,
}

impl Watcher {
    fn start(node: &str, args: &[&str]) -> Self {
        let mut command = Command::new(store_admin());
        command.args(["--node", node, "watch"]).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (lines, stdout) = (Arc::new(Mutex::new(Vec::new())), child.stdout.take().unwrap());
        let read = Arc::clone(&lines);
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                // The last line of a watcher that was killed may be half a line.
                if let Ok(line) = serde_json::from_str(&line.unwrap()) {
                    read.lock().unwrap().push(line);
                }
            }
        });
        Self { child, lines, reading }
    }

    fn count(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end; what was printed, the exit code, and what stands on stderr.
    fn ended(mut self) -> (Vec<Value>, ExitStatus, String) {
        let mut status = None;
        wait_for_blocking("the watcher ends", PATIENCE, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        self.reading.join().unwrap();
        let stderr = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        (lines, status.unwrap(), stderr)
    }

    /// SIGKILL. What is left is what a careful reader keeps: all lines up to the end of a log index.
    fn killed(self) -> Vec<Value> {
        self.signal("-KILL");
        let mut lines = self.ended().0;
        while lines.last().is_some_and(|line| line["more"] == true) {
            lines.pop();
        }
        lines
    }
}

fn index(line: &Value) -> u64 {
    line["index"].as_u64().unwrap()
}

/// Follows the lines from the first word on; panics if one is missing, comes twice, or in another order.
fn replay(lines: &[Value]) -> BTreeMap<String, Value> {
    let first = serde_json::json!({"key": "first", "word": "w"});
    let (mut words, mut last) = (BTreeMap::from([("first".to_owned(), first)]), 0);
    for line in lines {
        assert!(index(line) >= last);
        last = index(line);
        let key = line["key"].as_str().unwrap().to_owned();
        let before = words.remove(&key).unwrap_or(Value::Null);
        assert_eq!(before, line["old"], "{line}");
        if line["change"] == "put" {
            words.insert(key, line["new"].clone());
        }
    }
    words
}

struct Nodes {
    nodes: Vec<NodeProcess>,
    _dirs: Vec<tempfile::TempDir>,
}

impl Nodes {
    fn start(count: usize) -> Self {
        let dirs: Vec<_> = (0..count).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut nodes: Vec<NodeProcess> = Vec::new();
        for (number, dir) in dirs.iter().enumerate() {
            let name = format!("w{number}@localhost");
            let join = nodes.first().map(|first| first.address.clone());
            let join: Vec<&str> = join.as_deref().map_or_else(Vec::new, |first| vec!["--join", first]);
            nodes.push(NodeProcess::start(&name, dir.path(), "127.0.0.1:0", &join));
        }
        Self { nodes, _dirs: dirs }
    }

    async fn client(&self, at: usize) -> AdminClient {
        AdminClient::connect(&self.nodes[at].address, None, PATIENCE).await.unwrap()
    }

    /// Which of the nodes leads.
    fn leader(&self) -> usize {
        let mut leader = None;
        wait_for_blocking("there is a leader", PATIENCE, || {
            let status: Value =
                serde_json::from_str(&self.nodes[0].done(&["cluster", "status", "--json"])).unwrap();
            let name = status["leader"].as_str().map(str::to_owned);
            leader = name.and_then(|name| name.strip_prefix('w')?.strip_suffix("@localhost")?.parse().ok());
            leader.is_some()
        });
        leader.unwrap()
    }
}

/// Writes and deletes words through a node until told to stop.
async fn write_words(client: AdminClient, writer: u64, stop: Arc<AtomicBool>, written: Arc<AtomicU64>) {
    let name = DiscWord::table_def().name;
    let table = TableRef { id: client.table(&name).await.unwrap().id, name };
    for number in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let word =
            |key: u64| DiscWord::new(format!("{:02}", (writer + key) % 40), format!("{writer} {number}"));
        let records = (0..3).map(|key| word(number * 3 + key).encode().unwrap().into()).collect();
        let done = match number % 4 {
            0 => client.delete(&table, word(number).key().into_bytes().into()).await.map(|_| ()),
            _ => client.put_many(&table, records).await.map(|_| ()),
        };
        match done {
            Ok(()) => drop(written.fetch_add(1, Ordering::SeqCst)),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Writes a word and tells its log index.
async fn first_word(client: &AdminClient) -> u64 {
    let name = DiscWord::table_def().name;
    let table = TableRef { id: client.table(&name).await.unwrap().id, name };
    let record = DiscWord::new("first", "w").encode().unwrap();
    client.put_many(&table, vec![record.into()]).await.unwrap().log_index
}

async fn wait_for_more(written: &AtomicU64, more: u64) {
    let wanted = written.load(Ordering::SeqCst) + more;
    eventually("more is written", PATIENCE, || written.load(Ordering::SeqCst) >= wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_is_killed_and_resumed_sees_every_change_once_also_when_the_leader_is_killed() {
    let mut nodes = Nodes::start(3);
    nodes.client(0).await.create_table(DiscWord::table_def()).await.unwrap();
    let from = first_word(&nodes.client(0).await).await.to_string();
    let leader = nodes.leader();
    let (a, b) = ((leader + 1) % 3, (leader + 2) % 3);
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = Vec::new();
    for writer in 0..4 {
        let client = nodes.client(if writer % 2 == 0 { a } else { b }).await;
        writers.push(tokio::spawn(write_words(client, writer, Arc::clone(&stop), Arc::clone(&written))));
    }
    wait_for_more(&written, 40).await;
    let watcher = Watcher::start(&nodes.nodes[a].address, &["disc_word", "--from", &from]);
    eventually("the watcher prints", PATIENCE, || watcher.count() > 50).await;
    let mut lines = watcher.killed();
    let from = index(lines.last().unwrap()).to_string();
    // The next one watches another node, and sees the leader die.
    let watcher = Watcher::start(&nodes.nodes[b].address, &["disc_word", "--from", &from]);
    wait_for_more(&written, 40).await;
    nodes.nodes[leader].kill();
    wait_for_more(&written, 80).await;
    let seen = watcher.count();
    eventually("the watcher goes on", PATIENCE, || watcher.count() > seen + 20).await;
    lines.extend(watcher.killed());
    let from = index(lines.last().unwrap()).to_string();
    let watcher = Watcher::start(&nodes.nodes[a].address, &["disc_word", "--from", &from]);
    wait_for_more(&written, 20).await;
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let dumped = || -> BTreeMap<String, Value> {
        let dump = nodes.nodes[a].done(&["dump", "disc_word", "--read", "linearizable"]);
        let records = dump.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.map(|record| (record["key"].as_str().unwrap().to_owned(), record)).collect()
    };
    let dump = dumped();
    let replayed = || replay(&[&lines[..], &watcher.lines.lock().unwrap()].concat());
    eventually("the watcher has seen what the dump has", PATIENCE, || replayed() == dump).await;
    watcher.signal("-INT");
    let (rest, status, stderr) = watcher.ended();
    assert!(status.success() && stderr.is_empty(), "{status} {stderr}");
    lines.extend(rest);
    assert_eq!(replay(&lines), dump);
    assert!(lines.len() as u64 > written.load(Ordering::SeqCst), "{} lines", lines.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_its_table_and_says_when_changes_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("node.toml");
    std::fs::write(&config, "history_bytes = 20000\n").unwrap();
    let config = config.to_str().unwrap();
    let node =
        NodeProcess::start("w@localhost", &dir.path().join("data"), "127.0.0.1:0", &["--config", config]);
    let client = AdminClient::connect(&node.address, None, PATIENCE).await.unwrap();
    client.create_table(DiscWord::table_def()).await.unwrap();
    let members = node.address.clone();
    let members = Watcher::start(&members, &["--members", "--from", "0"]);
    eventually("the members are printed", PATIENCE, || members.count() >= 3).await;
    members.signal("-TERM");
    let (lines, status, _) = members.ended();
    assert!(status.success());
    assert!(
        lines.iter().any(|line| line["change"] == "admitted" && line["name"] == "w@localhost"),
        "{lines:?}"
    );

    let one = Watcher::start(&node.address, &["disc_word", "--from", "0", "--key", "k2"]);
    let all = Watcher::start(&node.address, &["disc_word", "--from", "0", "--prefix", "k"]);
    for key in ["j", "k1", "k2"] {
        node.done(&["put", "disc_word", &format!(r#"{{"key":"{key}","word":"w"}}"#)]);
    }
    node.done(&["table", "drop", "disc_word"]);
    let changes = |watcher: Watcher| {
        let (lines, status, stderr) = watcher.ended();
        assert!(status.success(), "{stderr}");
        lines.iter().map(|line| (line["change"].to_string(), line["key"].clone())).collect::<Vec<_>>()
    };
    let put = |key: &str| ("\"put\"".to_owned(), Value::from(key));
    let of_table = |change: &str| (format!("{change:?}"), Value::Null);
    assert_eq!(changes(one), [of_table("created"), put("k2"), of_table("dropped")]);
    assert_eq!(changes(all), [of_table("created"), put("k1"), put("k2"), of_table("dropped")]);
    assert!(node.refused(&["watch", "disc_word"]).contains("no table disc_word"));

    client.create_table(DiscWord::table_def()).await.unwrap();
    let name = DiscWord::table_def().name;
    let table = TableRef { id: client.table(&name).await.unwrap().id, name };
    for number in 0..40 {
        let record = DiscWord::new(number, "x".repeat(1_000)).encode().unwrap();
        client.put_many(&table, vec![record.into()]).await.unwrap();
    }
    let refused = node.refused(&["watch", "disc_word", "--from", "1"]);
    assert!(refused.contains("not kept any more") && refused.contains("come after"), "{refused}");
}

/// Writes these words through a node, one after the other.
async fn write_numbers(client: &AdminClient, numbers: std::ops::Range<u64>) {
    let name = DiscWord::table_def().name;
    let table = TableRef { id: client.table(&name).await.unwrap().id, name };
    for number in numbers {
        let record = DiscWord::new(format!("{number:03}"), "w").encode().unwrap();
        client.put_many(&table, vec![record.into()]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_whose_node_dies_goes_on_at_another_with_nothing_lost_and_nothing_twice() {
    let mut nodes = Nodes::start(3);
    nodes.client(0).await.create_table(DiscWord::table_def()).await.unwrap();
    let leader = nodes.leader();
    let (watched, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let client = nodes.client(other).await;
    let from = first_word(&client).await.to_string();
    let watcher = Watcher::start(&nodes.nodes[watched].address, &["disc_word", "--from", &from]);
    write_numbers(&client, 0..50).await;
    eventually("the watcher prints", PATIENCE, || watcher.count() > 20).await;
    nodes.nodes[watched].kill();
    write_numbers(&client, 50..100).await;
    eventually("the watcher goes on", PATIENCE, || watcher.count() >= 100).await;
    watcher.signal("-INT");
    let (lines, status, stderr) = watcher.ended();
    assert!(status.success() && stderr.is_empty(), "{status} {stderr}");
    let keys: Vec<&str> = lines.iter().map(|line| line["key"].as_str().unwrap()).collect();
    let wanted: Vec<String> = (0..100).map(|number| format!("{number:03}")).collect();
    assert_eq!(keys, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_nobody_reads_any_more_ends_without_a_word() {
    let nodes = Nodes::start(1);
    let client = nodes.client(0).await;
    client.create_table(DiscWord::table_def()).await.unwrap();
    let from = first_word(&client).await.to_string();
    let mut command = Command::new(store_admin());
    command.args(["--node", &nodes.nodes[0].address, "watch", "disc_word", "--from", &from]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    write_numbers(&client, 0..1).await;
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains("000"), "{line}");
    drop(stdout);
    write_numbers(&client, 1..2).await;
    let mut status = None;
    wait_for_blocking("the watcher ends", PATIENCE, || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    let stderr = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert!(status.unwrap().success() && stderr.is_empty(), "{stderr}");
}
