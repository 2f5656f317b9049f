//! A node of hiqlite: a program that embeds it, whose callers do as they are told over standard input.

mod callers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use hiqlite::{CacheVariants, Client, LogSync, Node, NodeConfig};
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

use compare_lines::Failure;
use compare_lines::Line;
use compare_lines::content::{key, value};
use compare_lines::served::{self, Served, done, unknown};

/// Callers that fill a table.
const LOADERS: u64 = 256;
const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "compare-on-loopback";

/// An application chooses its allocator; Erlang and Go bring theirs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A node of hiqlite, which the comparison starts.
#[derive(Debug, clap::Parser)]
struct NodeArgs {
    /// Which node it is, from 1.
    #[arg(long)]
    number: u64,
    /// Ports of all nodes: first those for Raft, then those for clients.
    #[arg(long, value_delimiter = ',')]
    ports: Vec<u16>,
    /// Where it keeps its data.
    #[arg(long)]
    dir: PathBuf,
    /// Syncs the log before it answers; else every 200 ms, which is hiqlite's default.
    #[arg(long)]
    synced: bool,
}

/// The one cache.
#[derive(Debug)]
enum Cache {
    Items,
}

impl CacheVariants for Cache {
    fn hiqlite_cache_index(&self) -> usize {
        0
    }

    fn hiqlite_cache_variants() -> &'static [(usize, &'static str)] {
        &[(0, "Items")]
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(NodeArgs::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hiqlite-node: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the node and serves commands once it is healthy.
async fn run(args: NodeArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.dir)?;
    let (raft, api) = args.ports.split_at(args.ports.len() / 2);
    let nodes = raft.iter().zip(api).zip(1..).map(|((raft, api), id)| Node {
        id,
        addr_raft: format!("127.0.0.1:{raft}"),
        addr_api: format!("127.0.0.1:{api}"),
    });
    let config = NodeConfig {
        node_id: args.number,
        nodes: nodes.collect(),
        listen_addr_api: "127.0.0.1".into(),
        listen_addr_raft: "127.0.0.1".into(),
        data_dir: args.dir.to_string_lossy().into_owned().into(),
        wal_sync: if args.synced { LogSync::Immediate } else { LogSync::IntervalMillis(200) },
        secret_raft: SECRET.to_owned(),
        secret_api: SECRET.to_owned(),
        ..NodeConfig::default()
    };
    let client = hiqlite::start_node_with_cache::<Cache>(config).await?;
    client.wait_until_healthy_cache_timeout(PATIENCE).await?;
    client.wait_until_healthy_db_timeout(PATIENCE).await?;
    served::serve(HiqliteNode { client }, "in-process").await
}

struct HiqliteNode {
    client: Client,
}

impl Served for HiqliteNode {
    async fn serve(&mut self, command: &Line) -> Result<Line, Failure> {
        let began = Instant::now();
        match command.verb.as_str() {
            "status" => {
                let leads = match command.text("table")? {
                    "sql_item" => self.client.is_leader_db().await,
                    _ => self.client.is_leader_cache().await,
                };
                return Ok(Line::new("status").with("leader", leads));
            }
            "create" if command.text("table")? == "sql_item" => {
                let create =
                    "CREATE TABLE sql_item (key TEXT PRIMARY KEY, value BLOB NOT NULL, n INTEGER NOT NULL)";
                self.client.execute(create, Vec::new()).await?;
            }
            "create" | "wait" => {}
            "fill" => self.fill(command).await?,
            "write" | "rmw" | "read" => return callers::run(&self.client, command).await,
            "stop" => self.client.shutdown().await?,
            _ => return Err(unknown(command)),
        }
        Ok(done(began))
    }
}

impl HiqliteNode {
    async fn fill(&self, command: &Line) -> Result<(), Failure> {
        let (sql, records): (_, u64) = (command.text("table")? == "sql_item", command.number("records")?);
        let mut tasks = JoinSet::new();
        for loader in 0..LOADERS {
            let client = self.client.clone();
            tasks.spawn(async move {
                for number in (loader..records).step_by(LOADERS as usize) {
                    if sql {
                        callers::upsert(&client, number, 0).await?;
                    } else {
                        client.put_bytes(Cache::Items, key(number), value(number, 0), None).await?;
                    }
                }
                Ok::<(), hiqlite::Error>(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}
