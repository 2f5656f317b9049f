//! Clients that ask things of the nodes, each one thing at a time, and note what they asked and were told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::fleet::Doors;
use super::process::Link;
use super::protocol::{Answer, Ask};
use crate::append::Lists;
use crate::checker::{Mop, Outcome};
use crate::history::History;
use crate::sim::ledger::{Ledger, Told, What};
use crate::sim::perform::ACCOUNTS;
use crate::sim::random::Random;

/// Words and counters are few, so that clients meet.
pub(super) const KEYS: u64 = 3;
/// How long a client waits for an answer: longer than its node waits for anything, unless that is paused.
const PATIENCE: Duration = Duration::from_secs(8);

/// What all clients of a round share.
pub(super) struct Round {
    /// Keys are named by it, so that each round has its own.
    pub(super) number: u64,
    pub(super) ledger: Ledger,
    pub(super) history: History,
    doors: Doors,
    stop: AtomicBool,
    /// Values, elements and clients are numbered throughout the round.
    next: AtomicU64,
    lists: Lists,
    transactions: AtomicU64,
    /// The version that a word had when somebody last heard of it.
    versions: Mutex<HashMap<(&'static str, String), u64>>,
}

impl Round {
    pub(super) fn new(number: u64, ledger: Ledger, history: History, doors: Doors) -> Arc<Self> {
        Arc::new(Self {
            number,
            ledger,
            history,
            doors,
            stop: AtomicBool::new(false),
            next: AtomicU64::new(1),
            lists: Lists::new(format!("{number}.")),
            transactions: AtomicU64::new(0),
            versions: Mutex::default(),
        })
    }

    /// Starts so many clients of each of the nodes.
    pub(super) fn start(self: &Arc<Self>, nodes: usize, clients: u64, seed: u64) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        for at in 0..nodes {
            for number in 0..clients {
                let random =
                    Random::new(seed, &format!("client {number} of node {at} in round {}", self.number));
                let client = Client { round: Arc::clone(self), at, random, number: self.next() };
                tasks.push(tokio::spawn(client.run()));
            }
        }
        tasks
    }

    /// Clients end after what they are at.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// How many transactions on lists were committed.
    pub(super) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    pub(super) fn next(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The key of a word or counter.
    pub(super) fn key(&self, number: u64) -> String {
        format!("r{}k{number}", self.number)
    }

    /// The key of the sets.
    pub(super) fn set(&self) -> String {
        format!("r{}", self.number)
    }

    /// Reads of all lists of the round.
    pub(super) fn all_lists(&self) -> Vec<Mop> {
        self.lists.every_key().map(|key| Mop::Read(key, None)).collect()
    }

    fn door(&self, at: usize) -> Option<Link> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner).get(at).cloned().flatten()
    }

    /// Runs a transaction on a node and notes it.
    pub(super) async fn transact(&self, link: &Link, process: u64, mops: Vec<Mop>) -> Outcome {
        let begun = self.history.invoke(process, &mops);
        let (outcome, mops) = match link.ask(Ask::Transact(mops.clone()), PATIENCE).await {
            Ok(Answer::Transacted { outcome, mops }) => (outcome, mops),
            Ok(_) | Err(_) => (Outcome::Info, mops),
        };
        self.history.complete(begun, outcome, mops);
        outcome
    }

    /// Does one thing to one record on a node and notes it.
    pub(super) async fn operate(
        &self,
        link: &Link,
        client: u64,
        table: &'static str,
        key: &str,
        what: What,
    ) -> Told {
        let operation = self.ledger.begin(client, table, key, what.clone());
        let is_read = what == What::Read;
        let ask = Ask::Operate { table: table.to_owned(), key: key.to_owned(), what };
        let told = match link.ask(ask, PATIENCE).await {
            Ok(Answer::Told(told)) => told,
            Ok(other) => Told::No(format!("{other:?}")),
            // A read without an answer says nothing and has done nothing.
            Err(lost) if is_read => Told::No(format!("{lost:?}")),
            Err(_) => Told::Unknown,
        };
        if let Told::Version(version) | Told::Value { version, .. } = &told {
            let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
            versions.insert((table, key.to_owned()), *version);
        }
        self.ledger.end(operation, told.clone());
        told
    }

    fn version(&self, table: &'static str, key: &str) -> u64 {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.get(&(table, key.to_owned())).copied().unwrap_or(0)
    }
}

struct Client {
    round: Arc<Round>,
    at: usize,
    random: Random,
    number: u64,
}

impl Client {
    async fn run(mut self) {
        while !self.round.stop.load(Ordering::Relaxed) {
            if let Some(link) = self.round.door(self.at).filter(|link| !link.is_gone()) {
                let knows = self.act(&link).await;
                if !knows {
                    self.number = self.round.next();
                }
            }
            tokio::time::sleep(Duration::from_millis(self.random.between(1, 40))).await;
        }
    }

    /// Does one thing; false if it does not know what came of it.
    async fn act(&mut self, link: &Link) -> bool {
        let what = match self.random.below(24) {
            0..=2 => return self.word(link, "disc_word", false).await,
            3 | 4 => return self.word(link, "ram_word", false).await,
            5 => return self.word(link, "disc_only_word", false).await,
            6 => return self.word(link, "ram_word", true).await,
            7 => return self.word(link, "disc_word", true).await,
            8 | 9 => ("disc_word", What::Read),
            10 => ("ram_word", What::Read),
            11 => ("disc_only_word", What::Read),
            12 => ("ram_count", What::Count),
            13 => ("disc_count", What::Count),
            14 => ("ram_event", What::Add(self.round.next())),
            15 => ("disc_event", What::Add(self.round.next())),
            16 | 17 => ("disc_account", self.transfer()),
            _ => return self.lists(link).await,
        };
        let (table, what) = what;
        let key = match what {
            What::Add(_) => self.round.set(),
            What::Transfer { .. } => "bank".to_owned(),
            _ => self.key(),
        };
        self.round.operate(link, self.number, table, &key, what).await != Told::Unknown
    }

    fn key(&mut self) -> String {
        let number = self.random.below(KEYS);
        self.round.key(number)
    }

    async fn word(&mut self, link: &Link, table: &'static str, swaps: bool) -> bool {
        let (key, value) = (self.key(), self.round.next());
        let what = match swaps {
            true => What::Swap { expected: self.round.version(table, &key), value },
            false => What::Write(value),
        };
        self.round.operate(link, self.number, table, &key, what).await != Told::Unknown
    }

    fn transfer(&mut self) -> What {
        let from = self.random.below(ACCOUNTS);
        let to = (from + self.random.between(1, ACCOUNTS - 1)) % ACCOUNTS;
        What::Transfer { from, to, amount: self.random.between(1, 20) }
    }

    async fn lists(&mut self, link: &Link) -> bool {
        let count = self.random.between(1, 4);
        let mops = (0..count).map(|_| self.round.lists.mop(|limit| self.random.below(limit))).collect();
        let outcome = self.round.transact(link, self.number, mops).await;
        if outcome == Outcome::Ok {
            self.round.transactions.fetch_add(1, Ordering::Relaxed);
        }
        outcome != Outcome::Info
    }
}
