//! Measures what writers notice while an index is added to their table, its copy mode is changed and its records are
//! transformed. Three nodes in this process, on loopback; one `name value unit` line per figure.
//!
//! ```console
//! $ cargo run --release -p tabularaft-benches --bin schema_changes
//! $ cargo run --release -p tabularaft-benches --bin schema_changes -- --records 50000
//! ```
//!
//! Each change takes place while four writers overwrite records of the table through all nodes. Of each change:
//! `NAME_took`, how long it took; `NAME_p99` and `NAME_longest`, of the writes meanwhile, beside `before_p99`, the same
//! without a change. `failed_writes` counts writes that failed at any time.

use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use futures::stream::{self, StreamExt, TryStreamExt};
use hdrhistogram::Histogram;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use tabularaft::schema::{IndexDef, TableName, register_migration};
use tabularaft::{CopyMode, Node, Record, Table, TableError, WriteError};
use tabularaft_benches::{Failure, items, report};

const NODES: usize = 3;
const WRITERS: usize = 4;
const LOADED_AT_ONCE: usize = 512;
/// Writes that take longer are counted as this long.
const LONGEST_MICROS: u64 = 60_000_000;
/// How long writers are watched without a change.
const BEFORE: Duration = Duration::from_secs(5);

/// A record before the transformation: 16 bytes of key, 100 of value.
#[derive(Record, Serialize, Deserialize)]
#[record(table = "item", kind = "set", copy = "ram")]
struct Item {
    #[key]
    key: String,
    group: u64,
    #[serde(with = "serde_bytes")]
    value: Vec<u8>,
}

/// A record after it.
#[derive(Record, Serialize, Deserialize)]
#[record(table = "item", kind = "set", copy = "ram", version = 2)]
struct Labelled {
    #[key]
    key: String,
    group: u64,
    #[serde(with = "serde_bytes")]
    value: Vec<u8>,
    label: String,
}

impl TryFrom<Item> for Labelled {
    type Error = String;

    fn try_from(item: Item) -> Result<Self, String> {
        let label = format!("group {}", item.group);
        Ok(Self { key: item.key, group: item.group, value: item.value, label })
    }
}

register_migration!(Item => Labelled);

/// Measures what writers notice of schema changes.
#[derive(Parser)]
struct Args {
    /// Records of the table.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("schema_changes: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(args: &Args) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let nodes = start_nodes(dir.path()).await?;
    let [first, ..] = nodes.as_slice() else { return Err("no node was started".into()) };
    let table = TableName::new("item")?;
    report::step(format!("loading {} records", args.records));
    first.create_table::<Item>().await?;
    load(first, args.records).await?;

    let writers = Writers::start(&nodes, args.records);
    writers
        .watch("before", async || {
            tokio::time::sleep(BEFORE).await;
            Ok(())
        })
        .await?;
    writers.watch("index_added", async || first.add_index(&table, IndexDef::on_field("group")).await).await?;
    writers.watch("mode_changed", async || first.set_copy_mode(&table, CopyMode::Disc).await).await?;
    writers
        .watch("transformed", async || {
            first.transform::<Labelled>().await?;
            first.transformed(&table).await
        })
        .await?;
    let failed = writers.stop().await;
    report::figure("failed_writes", failed as f64, "writes");
    for node in nodes {
        node.shutdown().await;
    }
    Ok(())
}

async fn start_nodes(dir: &Path) -> Result<Vec<Node>, Failure> {
    let mut nodes: Vec<Node> = Vec::new();
    for number in 1..=NODES {
        let name = format!("n{number}@localhost");
        let node = Node::builder(&name).data_dir(dir.join(&name)).listen("127.0.0.1:0").start().await?;
        if let Some(first) = nodes.first() {
            node.join(&first.listen_address().to_string()).await?;
        }
        nodes.push(node);
    }
    Ok(nodes)
}

fn item(number: u64, stamp: u64) -> Item {
    let mut value = stamp.to_le_bytes().to_vec();
    value.resize(items::VALUE_BYTES, b'v');
    Item { key: items::key(number), group: number % 1_000, value }
}

async fn load(node: &Node, records: u64) -> Result<(), Failure> {
    let table = &node.table::<Item>()?.with_timeout(Duration::from_secs(60));
    let inserted = stream::iter(0..records).map(|number| async move { table.insert(&item(number, 0)).await });
    inserted.buffer_unordered(LOADED_AT_ONCE).try_for_each(|_| async { Ok::<_, WriteError>(()) }).await?;
    Ok(())
}

/// Writers that run all the time, and how long their writes took since somebody last asked.
struct Writers {
    shared: Arc<Shared>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    failed: AtomicU64,
    micros: Mutex<Histogram<u64>>,
}

impl Writers {
    fn start(nodes: &[Node], records: u64) -> Self {
        let micros =
            Histogram::new_with_max(LONGEST_MICROS, 3).expect("these are bounds that histograms have");
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            failed: AtomicU64::new(0),
            micros: Mutex::new(micros),
        });
        let through = nodes.iter().cycle().take(WRITERS);
        let tasks =
            through.map(|node| tokio::spawn(write(node.clone(), records, Arc::clone(&shared)))).collect();
        Self { shared, tasks }
    }

    /// Reports how long `change` took, and what the writers noticed meanwhile.
    async fn watch(
        &self,
        name: &str,
        change: impl AsyncFnOnce() -> Result<(), TableError>,
    ) -> Result<(), Failure> {
        report::step(name);
        self.shared.micros().reset();
        let began = Instant::now();
        change().await?;
        report::figure(format!("{name}_took"), began.elapsed().as_secs_f64(), "s");
        let micros = self.shared.micros().clone();
        report::figure(
            format!("{name}_writes"),
            micros.len() as f64 / began.elapsed().as_secs_f64(),
            "ops/s",
        );
        report::figure(format!("{name}_p50"), micros.value_at_quantile(0.5) as f64, "µs");
        report::figure(format!("{name}_p99"), micros.value_at_quantile(0.99) as f64, "µs");
        report::figure(format!("{name}_longest"), micros.max() as f64, "µs");
        Ok(())
    }

    /// How many writes failed, from the first to the last.
    async fn stop(self) -> u64 {
        self.shared.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            let _ = task.await;
        }
        self.shared.failed.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn micros(&self) -> std::sync::MutexGuard<'_, Histogram<u64>> {
        self.micros.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(node: Node, records: u64, shared: Arc<Shared>) {
    let Ok(old) = node.table::<Item>() else { return };
    let mut new: Option<Table<Labelled>> = None;
    for stamp in 1.. {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let number = rand::rng().random_range(0..records);
        let began = Instant::now();
        let outcome = match &new {
            Some(new) => insert_labelled(new, number, stamp).await,
            None => old.insert(&item(number, stamp)).await,
        };
        let outcome = match outcome {
            // Refused before anything was sent: the table has the new type now.
            Err(WriteError::Definition { .. }) if new.is_none() => match node.table::<Labelled>() {
                Ok(table) => insert_labelled(new.insert(table), number, stamp).await,
                Err(_) => Err(WriteError::Stopped),
            },
            outcome => outcome,
        };
        if let Err(error) = outcome {
            eprintln!("a write failed: {error}");
            shared.failed.fetch_add(1, Ordering::SeqCst);
        }
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        shared.micros().saturating_record(micros);
    }
}

async fn insert_labelled(table: &Table<Labelled>, number: u64, stamp: u64) -> Result<u64, WriteError> {
    let Item { key, group, value } = item(number, stamp);
    table.insert(&Labelled { key, group, value, label: format!("group {group}") }).await
}
