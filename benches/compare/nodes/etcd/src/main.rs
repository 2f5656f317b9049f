//! Callers of etcd, which do as they are told over standard input.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use etcd_client::{Client, Compare, CompareOp, GetOptions, KvClient, Txn, TxnOp};
use rand::RngExt;
use tokio::task::JoinSet;

use compare_lines::Failure;
use compare_lines::Line;
use compare_lines::callers::{self, Caller};
use compare_lines::content::RANGE_RECORDS;
use compare_lines::content::{key, ordered_key, value};
use compare_lines::served::{self, Served, done, unknown};

/// Connections, over which callers are spread.
const CONNECTIONS: usize = 8;
/// Callers that fill a table.
const LOADERS: u64 = 256;

/// Callers of etcd, which the comparison starts.
#[derive(Debug, clap::Parser)]
struct NodeArgs {
    /// Where the leader listens.
    #[arg(long)]
    endpoint: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(NodeArgs::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("etcd-callers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Connects and serves commands.
async fn run(args: NodeArgs) -> Result<(), Failure> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Client::connect([&args.endpoint], None).await?.kv_client());
    }
    served::serve(EtcdClient { connections }, &args.endpoint).await
}

struct EtcdClient {
    connections: Vec<KvClient>,
}

impl EtcdClient {
    fn connection(&self, number: usize) -> Result<KvClient, Failure> {
        Ok(self.connections.get(number % CONNECTIONS).ok_or("no connection")?.clone())
    }

    async fn fill(&self, command: &Line) -> Result<(), Failure> {
        let (table, records): (_, u64) = (command.text("table")?.to_owned(), command.number("records")?);
        let mut tasks = JoinSet::new();
        for loader in 0..LOADERS {
            let (mut connection, table) = (self.connection(loader as usize)?, table.clone());
            tasks.spawn(async move {
                for number in (loader..records).step_by(LOADERS as usize) {
                    connection.put(full_key(&table, number), value(number, 0), None).await?;
                }
                Ok::<(), etcd_client::Error>(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}

impl Served for EtcdClient {
    async fn serve(&mut self, command: &Line) -> Result<Line, Failure> {
        let began = Instant::now();
        let records = command.number_or("records", 0)?;
        let connection = |number| self.connection(number);
        let figures = match command.verb.as_str() {
            "status" => return Ok(Line::new("status").with("leader", true)),
            "create" | "wait" | "stop" => return Ok(done(began)),
            "fill" => {
                self.fill(command).await?;
                return Ok(done(began));
            }
            "write" => {
                callers::run(command, |number| {
                    Ok(Writer { connection: connection(number)?, records, stamp: 0 })
                })
                .await?
            }
            "rmw" => {
                callers::run(command, |number| {
                    Ok(Modifier { connection: connection(number)?, records, restarts: 0 })
                })
                .await?
            }
            "read" => {
                callers::run(command, |number| Ok(Reader { connection: connection(number)?, records }))
                    .await?
            }
            "range" => {
                callers::run(command, |number| Ok(Ranger { connection: connection(number)?, records }))
                    .await?
            }
            _ => return Err(unknown(command)),
        };
        Ok(figures.to_line())
    }
}

fn full_key(table: &str, number: u64) -> String {
    if table == "ordered_item" { format!("o{}", ordered_key(number)) } else { key(number) }
}

struct Writer {
    connection: KvClient,
    records: u64,
    stamp: u64,
}

impl Caller for Writer {
    async fn call(&mut self) -> Result<(), Failure> {
        self.stamp += 1;
        let number = rand::rng().random_range(0..self.records);
        self.connection.put(key(number), value(number, self.stamp), None).await?;
        Ok(())
    }
}

/// Reads one of few records and puts it back changed if nobody else has changed it.
struct Modifier {
    connection: KvClient,
    records: u64,
    restarts: u64,
}

impl Caller for Modifier {
    async fn call(&mut self) -> Result<(), Failure> {
        let key = key(rand::rng().random_range(0..self.records));
        loop {
            let found = self.connection.get(key.as_str(), None).await?;
            let found = found.kvs().first().ok_or("a record is missing")?;
            let mut changed = found.value().to_vec();
            if let Some(first) = changed.first_mut() {
                *first = first.wrapping_add(1);
            }
            let unchanged = Compare::mod_revision(key.as_str(), CompareOp::Equal, found.mod_revision());
            let swap = Txn::new().when([unchanged]).and_then([TxnOp::put(key.as_str(), changed, None)]);
            if self.connection.txn(swap).await?.succeeded() {
                return Ok(());
            }
            self.restarts += 1;
        }
    }

    fn restarts(&self) -> u64 {
        self.restarts
    }
}

/// Reads what the server has, without asking the others: etcd's fastest read.
struct Reader {
    connection: KvClient,
    records: u64,
}

impl Caller for Reader {
    async fn call(&mut self) -> Result<(), Failure> {
        let key = key(rand::rng().random_range(0..self.records));
        let found = self.connection.get(key, Some(GetOptions::new().with_serializable())).await?;
        if found.kvs().is_empty() { Err("a record is missing".into()) } else { Ok(()) }
    }
}

struct Ranger {
    connection: KvClient,
    records: u64,
}

impl Caller for Ranger {
    async fn call(&mut self) -> Result<(), Failure> {
        let start = rand::rng().random_range(0..self.records - RANGE_RECORDS);
        let end = full_key("ordered_item", start + RANGE_RECORDS);
        let options = GetOptions::new().with_serializable().with_range(end);
        let found = self.connection.get(full_key("ordered_item", start), Some(options)).await?;
        let found = found.kvs().len() as u64;
        if found == RANGE_RECORDS { Ok(()) } else { Err(format!("{found} records in a range").into()) }
    }
}
