//! Clients of the simulated cluster: each does one random thing after the other through the node beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tabularaft::{Node, Record, Sum, Table, TransactionError, TxError};

use super::ledger::{Ledger, Told, What};
use super::random::Random;
use crate::tables::{DiscCount, DiscEvent, DiscOnlyWord, DiscWord, RamCount, RamEvent, RamWord};
use crate::workload::{Count, Event};

/// How long a client waits for one operation.
const PATIENCE: Duration = Duration::from_millis(3_000);
/// Accounts, and what they hold together.
pub(super) const ACCOUNTS: u64 = 4;
pub(super) const DEPOSIT: u64 = 100;
/// Words and counters are few, so that clients meet.
pub(super) const KEYS: u64 = 3;

/// An account; all together always hold the same.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "disc_account", kind = "ordered-set", copy = "disc")]
pub(super) struct Account {
    #[key]
    pub(super) number: u64,
    pub(super) balance: u64,
}

/// A word of which the simulation knows all writes.
pub(super) trait Word: Record<Key = String> + Clone {
    fn new(key: &str, value: u64) -> Self;
    fn value(&self) -> u64;
}

macro_rules! words {
    ($($word:ident)*) => {$(
        impl Word for $word {
            fn new(key: &str, value: u64) -> Self {
                $word::new(key, value)
            }

            fn value(&self) -> u64 {
                self.word.parse().unwrap_or(u64::MAX)
            }
        }
    )*};
}

words!(RamWord DiscWord DiscOnlyWord);

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

    /// Creates the tables and fills the accounts.
    pub(super) async fn prepare(node: Node) -> Result<(), String> {
        node.create_table::<RamEvent>().await.map_err(|error| error.to_string())?;
        node.create_table::<RamCount>().await.map_err(|error| error.to_string())?;
        node.create_table::<RamWord>().await.map_err(|error| error.to_string())?;
        node.create_table::<DiscEvent>().await.map_err(|error| error.to_string())?;
        node.create_table::<DiscCount>().await.map_err(|error| error.to_string())?;
        node.create_table::<DiscWord>().await.map_err(|error| error.to_string())?;
        node.create_table::<DiscOnlyWord>().await.map_err(|error| error.to_string())?;
        node.create_table::<Account>().await.map_err(|error| error.to_string())?;
        let deposit = node.transaction(|tx| {
            let accounts = tx.table::<Account>()?;
            for number in 0..ACCOUNTS {
                accounts.insert(&Account { number, balance: DEPOSIT })?;
            }
            Ok(())
        });
        deposit.await.map_err(|error| error.to_string())
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
            0..=2 => self.write::<DiscWord>("disc_word").await,
            3 | 4 => self.write::<RamWord>("ram_word").await,
            5 => self.write::<DiscOnlyWord>("disc_only_word").await,
            6 => self.swap::<RamWord>("ram_word").await,
            7 => self.swap::<DiscWord>("disc_word").await,
            8 | 9 => self.read::<DiscWord>("disc_word").await,
            10 => self.read::<RamWord>("ram_word").await,
            11 => self.read::<DiscOnlyWord>("disc_only_word").await,
            12 => self.count::<RamCount>("ram_count").await,
            13 | 14 => self.count::<DiscCount>("disc_count").await,
            15 => self.add::<RamEvent>("ram_event").await,
            16 => self.add::<DiscEvent>("disc_event").await,
            _ => self.transfer().await,
        }
    }

    fn table<R: Record>(&self) -> Option<Table<R>> {
        Some(self.node.table::<R>().ok()?.with_timeout(PATIENCE))
    }

    fn key(&mut self) -> String {
        format!("k{}", self.random.below(KEYS))
    }

    fn begin(&self, table: &'static str, key: &str, what: What) -> usize {
        self.clients.ledger.begin(self.number, table, key, what)
    }

    fn end(&self, operation: usize, told: Told) -> bool {
        let knows = told != Told::Unknown;
        self.clients.ledger.end(operation, told);
        knows
    }

    async fn write<W: Word>(&mut self, name: &'static str) -> bool {
        let Some(table) = self.table::<W>() else { return true };
        let (key, value) = (self.key(), self.clients.next());
        let operation = self.begin(name, &key, What::Write(value));
        let told = match table.insert(&W::new(&key, value)).await {
            Ok(version) => Told::Version(version),
            Err(error) => Told::error(&error),
        };
        self.end(operation, told)
    }

    async fn swap<W: Word>(&mut self, name: &'static str) -> bool {
        let Some(table) = self.table::<W>() else { return true };
        let (key, value) = (self.key(), self.clients.next());
        let Ok(found) = table.get_versioned(&key) else { return true };
        let expected = found.map_or(0, |found| found.version);
        let operation = self.begin(name, &key, What::Swap { expected, value });
        let told = match table.compare_and_swap(expected, &W::new(&key, value)).await {
            Ok(version) => Told::Version(version),
            Err(error) => Told::error(&error),
        };
        self.end(operation, told)
    }

    async fn read<W: Word>(&mut self, name: &'static str) -> bool {
        let Some(table) = self.table::<W>() else { return true };
        let key = self.key();
        let operation = self.begin(name, &key, What::Read);
        let read = match table.linearize().await {
            Ok(_) => table.get_versioned(&key),
            Err(error) => Err(error),
        };
        let told = match read {
            Ok(Some(found)) => Told::Value { version: found.version, value: found.record.value() },
            Ok(None) => Told::Value { version: 0, value: 0 },
            Err(error) => Told::No(error.to_string()),
        };
        self.end(operation, told)
    }

    async fn count<C: Count>(&mut self, name: &'static str) -> bool {
        let Some(table) = self.table::<C>() else { return true };
        let key = self.key();
        let operation = self.begin(name, &key, What::Count);
        let told = match table.add(&key, "value", 1, Some(&C::zero(&key))).await {
            Ok(Sum::Unsigned(sum)) => Told::Sum(sum),
            Ok(other) => Told::No(format!("a sum that cannot be: {other:?}")),
            Err(error) => Told::error(&error),
        };
        self.end(operation, told)
    }

    async fn add<E: Event>(&mut self, name: &'static str) -> bool {
        let Some(table) = self.table::<E>() else { return true };
        let element = self.clients.next();
        let operation = self.begin(name, "set", What::Add(element));
        let told = match table.insert(&E::new("set", element)).await {
            Ok(_) => Told::Done,
            Err(error) => Told::error(&error),
        };
        self.end(operation, told)
    }

    async fn transfer(&mut self) -> bool {
        let from = self.random.below(ACCOUNTS);
        let to = (from + self.random.between(1, ACCOUNTS - 1)) % ACCOUNTS;
        let amount = self.random.between(1, 20);
        let operation = self.begin("disc_account", "bank", What::Transfer { from, to, amount });
        let options = tabularaft::TransactionOptions { attempts_max: None, timeout: Some(PATIENCE) };
        let outcome = self.node.transaction_with(options, |tx| {
            let accounts = tx.table::<Account>()?;
            let balance = |number| match accounts.get(number)? {
                Some(Account { balance, .. }) => Ok::<u64, TxError>(balance),
                None => Err(TxError::abort("there is no such account")),
            };
            let Some(left) = balance(from)?.checked_sub(amount) else {
                return Err(TxError::abort("there is too little"));
            };
            let more = balance(to)? + amount;
            accounts.insert(&Account { number: from, balance: left })?;
            accounts.insert(&Account { number: to, balance: more })
        });
        let told = match outcome.await {
            Ok(_) => Told::Done,
            Err(TransactionError::Write(error)) => Told::error(&error),
            Err(error) => Told::No(error.to_string()),
        };
        self.end(operation, told)
    }
}
