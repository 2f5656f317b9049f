//! Clients of the simulated cluster: each does one random thing after the other through the node beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tabularaft::Node;

use super::ledger::{Ledger, Told, What};
use super::perform::{ACCOUNTS, Word, perform, table};
use super::random::Random;
use crate::tables::{DiscWord, RamWord};

/// Words and counters are few, so that clients meet.
pub(super) const KEYS: u64 = 3;

/// What all clients of a run share.
#[derive(Clone)]
pub(super) struct Clients {
    pub(super) ledger: Ledger,
    pub(super) stop: Arc<AtomicBool>,
    /// They ask for little while the cluster heals, which is about whether it does.
    pub(super) calm: Arc<AtomicBool>,
    /// Values, elements and clients are numbered throughout the run.
    next: Arc<AtomicU64>,
}

/// One client.
pub(super) struct Client {
    clients: Clients,
    node: Node,
    random: Random,
    number: u64,
}

impl Clients {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { ledger, stop: Arc::default(), calm: Arc::default(), next: Arc::new(AtomicU64::new(1)) }
    }

    fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A client of `node`, which acts until the clients are told to stop, or its process dies.
    pub(super) fn client(&self, node: Node, random: Random) -> impl Future<Output = ()> + Send + 'static {
        let client = Client { clients: self.clone(), node, random, number: self.next() };
        client.run()
    }
}

impl Client {
    async fn run(mut self) {
        while !self.clients.stop.load(Ordering::Relaxed) {
            if !self.act().await {
                self.number = self.clients.next();
            }
            let pause_most_ms = if self.clients.calm.load(Ordering::Relaxed) { 800 } else { 60 };
            tokio::time::sleep(Duration::from_millis(self.random.between(1, pause_most_ms))).await;
        }
    }

    /// Does one thing; false if the client does not know what came of it.
    async fn act(&mut self) -> bool {
        match self.random.below(20) {
            0..=2 => self.write("disc_word").await,
            3 | 4 => self.write("ram_word").await,
            5 => self.write("disc_only_word").await,
            6 => self.swap::<RamWord>("ram_word").await,
            7 => self.swap::<DiscWord>("disc_word").await,
            8 | 9 => self.at_key("disc_word", What::Read).await,
            10 => self.at_key("ram_word", What::Read).await,
            11 => self.at_key("disc_only_word", What::Read).await,
            12 => self.at_key("ram_count", What::Count).await,
            13 | 14 => self.at_key("disc_count", What::Count).await,
            15 => self.add("ram_event").await,
            16 => self.add("disc_event").await,
            _ => self.transfer().await,
        }
    }

    fn key(&mut self) -> String {
        format!("k{}", self.random.below(KEYS))
    }

    async fn perform(&self, table: &'static str, key: &str, what: What) -> bool {
        let operation = self.clients.ledger.begin(self.number, table, key, what.clone());
        let told = perform(&self.node, table, key, &what).await;
        let told = told.unwrap_or_else(|| Told::No(format!("there is no table {table}")));
        let knows = told != Told::Unknown;
        self.clients.ledger.end(operation, told);
        knows
    }

    async fn at_key(&mut self, table: &'static str, what: What) -> bool {
        let key = self.key();
        self.perform(table, &key, what).await
    }

    async fn write(&mut self, table: &'static str) -> bool {
        let what = What::Write(self.clients.next());
        self.at_key(table, what).await
    }

    async fn swap<W: Word>(&mut self, name: &'static str) -> bool {
        let Some(table) = table::<W>(&self.node) else { return true };
        let (key, value) = (self.key(), self.clients.next());
        let Ok(found) = table.get_versioned(&key) else { return true };
        let expected = found.map_or(0, |found| found.version);
        self.perform(name, &key, What::Swap { expected, value }).await
    }

    async fn add(&mut self, table: &'static str) -> bool {
        let what = What::Add(self.clients.next());
        self.perform(table, "set", what).await
    }

    async fn transfer(&mut self) -> bool {
        let from = self.random.below(ACCOUNTS);
        let to = (from + self.random.between(1, ACCOUNTS - 1)) % ACCOUNTS;
        let amount = self.random.between(1, 20);
        self.perform("disc_account", "bank", What::Transfer { from, to, amount }).await
    }
}
