//! Clients that append to lists and read them in transactions, and write down what they asked and were told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tabularaft::{Node, Record, TransactionError, TransactionOptions, Tx, TxError, WriteError};
use tokio::task::JoinHandle;

use crate::checker::{Mop, Outcome, Txn};
use crate::cluster::TestCluster;
use crate::history::History;
use crate::wait::{PATIENCE, eventually, retry};

/// Few lists, so that clients meet.
const LISTS: u64 = 6;
/// After so many appends a list is left alone and another one begun, so that reads stay short.
const LIST_APPENDS: u64 = 48;
/// How long a transaction may take: long enough for an election.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client waits that was told no, or whose node is dead.
const AFTER_REFUSAL: Duration = Duration::from_millis(2);

/// Lists, and how many values each was given.
pub(crate) struct Lists {
    /// Stands in each name between the number of the list and its generation.
    tag: String,
    /// The values of each list, in all its generations.
    appends: Vec<AtomicU64>,
}

impl Lists {
    /// Lists are named by their generation too: `3.0`, then `3.1`; with the tag `7.` `3.7.0`, then `3.7.1`. Even ones are
    /// on disc.
    pub(crate) fn new(tag: String) -> Self {
        Self { tag, appends: (0..LISTS).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The names of all lists in all their generations.
    pub(crate) fn every_key(&self) -> impl Iterator<Item = String> {
        (0..LISTS).flat_map(move |list| {
            (0..=self.appended(list) / LIST_APPENDS).map(move |generation| self.key(list, generation))
        })
    }

    /// Reads one of them or appends to it; `below` draws numbers by chance.
    pub(crate) fn mop(&self, mut below: impl FnMut(u64) -> u64) -> Mop {
        let list = below(LISTS);
        if below(2) == 0 {
            return Mop::Read(self.key(list, self.appended(list) / LIST_APPENDS), None);
        }
        let value = self.next_value(list);
        Mop::Append(self.key(list, value / LIST_APPENDS), value)
    }

    fn key(&self, list: u64, generation: u64) -> String {
        format!("{list}.{}{generation}", self.tag)
    }

    fn appended(&self, list: u64) -> u64 {
        self.appends.get(list as usize).map_or(0, |appends| appends.load(Ordering::SeqCst))
    }

    fn next_value(&self, list: u64) -> u64 {
        self.appends.get(list as usize).map_or(0, |appends| appends.fetch_add(1, Ordering::SeqCst))
    }
}

/// A list in memory.
#[derive(Record, Serialize, Deserialize, Debug, Clone)]
#[record(table = "ram_list", kind = "set", copy = "ram")]
pub struct RamList {
    /// Its name.
    #[key]
    pub key: String,
    /// What was appended.
    pub values: Vec<u64>,
}

/// A list on disc.
#[derive(Record, Serialize, Deserialize, Debug, Clone)]
#[record(table = "disc_list", kind = "ordered-set", copy = "disc")]
pub struct DiscList {
    /// Its name.
    #[key]
    pub key: String,
    /// What was appended.
    pub values: Vec<u64>,
}

/// A record that is a list.
trait List: Record<Key = String> {
    fn new(key: String, values: Vec<u64>) -> Self;
    fn into_values(self) -> Vec<u64>;
}

macro_rules! list {
    ($list:ident) => {
        impl List for $list {
            fn new(key: String, values: Vec<u64>) -> Self {
                Self { key, values }
            }

            fn into_values(self) -> Vec<u64> {
                self.values
            }
        }
    };
}

list!(RamList);
list!(DiscList);

/// Clients that run until they are told to stop.
pub struct Appenders {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    history: Arc<History>,
    /// The living nodes, by their numbers in the cluster.
    nodes: Mutex<Vec<Option<Node>>>,
    stop: AtomicBool,
    committed: AtomicU64,
    lists: Lists,
}

impl Appenders {
    /// Creates the tables and starts so many clients on each node.
    pub async fn start(cluster: &TestCluster, history: History, clients: usize) -> Self {
        cluster.create::<RamList>().await;
        cluster.create::<DiscList>().await;
        let running = cluster.running();
        let shared = Arc::new(Shared {
            history: Arc::new(history),
            nodes: Mutex::new(vec![None; running.len()]),
            stop: AtomicBool::new(false),
            committed: AtomicU64::new(0),
            lists: Lists::new(String::new()),
        });
        let appenders = Self { shared: Arc::clone(&shared), tasks: Vec::new() };
        appenders.see(cluster);
        let client = |number: usize| {
            let client = Client {
                shared: Arc::clone(&shared),
                at: number % running.len(),
                process: shared.history.new_process(),
                random: 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number as u64 + 1),
            };
            tokio::spawn(client.run())
        };
        let tasks = (0..clients * running.len()).map(client).collect();
        Self { tasks, ..appenders }
    }

    /// Tells the clients which nodes live now: to be called after each death and each restart.
    pub fn see(&self, cluster: &TestCluster) {
        let mut nodes = self.shared.nodes();
        let running = cluster.running();
        for (at, node) in nodes.iter_mut().enumerate() {
            *node = running.contains(&at).then(|| cluster[at].node().clone());
        }
    }

    /// The history, to note faults in.
    pub fn history(&self) -> &History {
        &self.shared.history
    }

    /// Waits until so many more transactions are committed.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    pub async fn wait_for_more(&self, transactions: u64) {
        let wanted = self.shared.committed.load(Ordering::SeqCst) + transactions;
        let enough = || self.shared.committed.load(Ordering::SeqCst) >= wanted;
        eventually(&format!("{transactions} more transactions are committed"), PATIENCE, enough).await;
    }

    /// Stops the clients, reads every list once more while all is quiet, and returns the history. The nodes must all
    /// be alive and connected.
    ///
    /// # Panics
    ///
    /// When a client did, or the lists cannot be read.
    pub async fn finish(self) -> Vec<Txn> {
        self.shared.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.expect("a client does not panic");
        }
        let reads: Vec<Mop> = self.shared.lists.every_key().map(|key| Mop::Read(key, None)).collect();
        let node = self.shared.nodes().first().cloned().flatten().expect("the first node lives");
        retry("the last reads", PATIENCE, async || {
            let process = self.shared.history.new_process();
            match self.shared.transact(&node, process, &reads).await {
                Outcome::Ok => Ok(()),
                outcome => Err(format!("{outcome:?}")),
            }
        })
        .await;
        self.shared.history.finish()
    }
}

impl Shared {
    fn nodes(&self) -> std::sync::MutexGuard<'_, Vec<Option<Node>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn transact(&self, node: &Node, process: u64, mops: &[Mop]) -> Outcome {
        let begun = self.history.invoke(process, mops);
        let (outcome, mops) = transact(node, mops).await;
        self.history.complete(begun, outcome, mops);
        outcome
    }
}

/// Runs one transaction: what its client is told, and what it read.
pub(crate) async fn transact(node: &Node, mops: &[Mop]) -> (Outcome, Vec<Mop>) {
    let options = TransactionOptions { timeout: Some(TIMEOUT), attempts_max: None };
    match node.transaction_with(options, |tx| mops.iter().map(|mop| act(tx, mop)).collect()).await {
        Ok(transacted) => (Outcome::Ok, transacted.value),
        Err(TransactionError::Write(WriteError::Unknown)) => (Outcome::Info, mops.to_vec()),
        Err(_) => (Outcome::Fail, mops.to_vec()),
    }
}

fn is_on_disc(key: &str) -> bool {
    key.bytes().next().is_some_and(|digit| digit % 2 == 0)
}

fn act(tx: &Tx, mop: &Mop) -> Result<Mop, TxError> {
    match mop {
        Mop::Append(key, _) | Mop::Read(key, _) if is_on_disc(key) => act_on::<DiscList>(tx, mop),
        _ => act_on::<RamList>(tx, mop),
    }
}

fn act_on<L: List>(tx: &Tx, mop: &Mop) -> Result<Mop, TxError> {
    let lists = tx.table::<L>()?;
    let values = |key: &String| Ok::<_, TxError>(lists.get(key)?.map_or_else(Vec::new, L::into_values));
    match mop {
        Mop::Append(key, value) => {
            let mut values = values(key)?;
            values.push(*value);
            lists.insert(&L::new(key.clone(), values))?;
            Ok(mop.clone())
        }
        Mop::Read(key, _) => Ok(Mop::Read(key.clone(), Some(values(key)?))),
    }
}

struct Client {
    shared: Arc<Shared>,
    at: usize,
    process: u64,
    random: u64,
}

impl Client {
    async fn run(mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            let node = self.shared.nodes().get(self.at).cloned().flatten();
            let Some(node) = node else {
                tokio::time::sleep(AFTER_REFUSAL).await;
                continue;
            };
            let mops: Vec<Mop> = (0..=self.below(3)).map(|_| self.mop()).collect();
            match self.shared.transact(&node, self.process, &mops).await {
                Outcome::Ok => drop(self.shared.committed.fetch_add(1, Ordering::SeqCst)),
                Outcome::Fail => tokio::time::sleep(AFTER_REFUSAL).await,
                Outcome::Info => self.process = self.shared.history.new_process(),
            }
        }
    }

    fn mop(&mut self) -> Mop {
        let shared = Arc::clone(&self.shared);
        shared.lists.mop(|limit| self.below(limit))
    }

    /// A number by chance; each client has its own sequence, the same in each run.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % limit
    }
}
