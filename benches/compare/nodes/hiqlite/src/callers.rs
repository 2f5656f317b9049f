//! What the callers call.

use hiqlite::{Client, Error, Param};
use rand::RngExt;

use super::Cache;
use compare_lines::Failure;
use compare_lines::Figures;
use compare_lines::Line;
use compare_lines::callers::{self, Caller};
use compare_lines::content::KEYS;
use compare_lines::content::{key, value};

/// Reads between two looks at the clock.
const CHUNK: usize = 64;

pub(crate) async fn run(client: &Client, command: &Line) -> Result<Line, Failure> {
    let records = command.number("records")?;
    let sql = command.text("table")? == "sql_item";
    let client = || client.clone();
    let figures = match command.verb.as_str() {
        "write" => callers::run(command, |_| Ok(Writer { client: client(), records, sql, stamp: 0 })).await?,
        "rmw" => callers::run(command, |_| Ok(Adder { client: client(), records })).await?,
        _ => {
            let keys = || (0..KEYS).map(|_| key(rand::rng().random_range(0..records))).collect();
            let chunks =
                callers::run(command, |_| Ok(Reader { client: client(), keys: keys(), turn: 0 })).await?;
            Figures { per_second: chunks.per_second * CHUNK as f64, ..Figures::default() }
        }
    };
    Ok(figures.to_line())
}

/// Inserts or overwrites a row.
pub(crate) async fn upsert(client: &Client, number: u64, stamp: u64) -> Result<usize, Error> {
    let statement = "INSERT INTO sql_item (key, value, n) VALUES ($1, $2, 0) \
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    client.execute(statement, vec![Param::from(key(number)), Param::from(value(number, stamp))]).await
}

struct Writer {
    client: Client,
    records: u64,
    sql: bool,
    stamp: u64,
}

impl Caller for Writer {
    async fn call(&mut self) -> Result<(), Failure> {
        self.stamp += 1;
        let number = rand::rng().random_range(0..self.records);
        if self.sql {
            upsert(&self.client, number, self.stamp).await?;
        } else {
            self.client.put_bytes(Cache::Items, key(number), value(number, self.stamp), None).await?;
        }
        Ok(())
    }
}

/// Changes a row by one statement, which SQLite runs in the order of the log: its way to read, modify and write.
struct Adder {
    client: Client,
    records: u64,
}

impl Caller for Adder {
    async fn call(&mut self) -> Result<(), Failure> {
        let key = key(rand::rng().random_range(0..self.records));
        self.client.execute("UPDATE sql_item SET n = n + 1 WHERE key = $1", vec![Param::from(key)]).await?;
        Ok(())
    }
}

/// Reads from the cache of its own node, many reads to a call because one is too short to be timed.
struct Reader {
    client: Client,
    keys: Vec<String>,
    turn: usize,
}

impl Caller for Reader {
    async fn call(&mut self) -> Result<(), Failure> {
        for _ in 0..CHUNK {
            let key = self.keys.get(self.turn % KEYS).ok_or("no such key")?.clone();
            self.turn += 1;
            if self.client.get_bytes(Cache::Items, key).await?.is_none() {
                return Err("a record is missing".into());
            }
        }
        Ok(())
    }
}
