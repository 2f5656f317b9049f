//! Callers of a workload on several nodes, which go on through whatever happens to the nodes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tabularaft::{Node, TransactionError, WriteError};
use tabularaft_benches::workloads::Caller;
use tokio::task::JoinHandle;

use crate::cluster::TestCluster;
use crate::wait::{PATIENCE, eventually};

/// How long a caller waits after a transaction that could not be carried out.
const AFTER_REFUSAL: Duration = Duration::from_millis(5);

/// Callers that run until they are told to stop, or until their node dies.
pub struct Callers {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    committed: AtomicU64,
    unknown: AtomicU64,
}

impl Callers {
    /// No callers yet.
    pub fn new() -> Self {
        Self { shared: Arc::default(), tasks: Vec::new() }
    }

    /// Starts a caller on a running node.
    pub fn start(&mut self, cluster: &TestCluster, at: usize, caller: impl Caller) {
        let shared = Arc::clone(&self.shared);
        self.tasks.push(cluster[at].begin(|node| call(node, caller, shared)));
    }

    /// Waits until the callers together have committed so many more transactions.
    ///
    /// # Panics
    ///
    /// When they have not in time.
    pub async fn wait_for_more(&self, transactions: u64) {
        let upto = self.committed() + transactions;
        let reason = format!("{transactions} more transactions are committed");
        eventually(&reason, PATIENCE, || self.committed() >= upto).await;
    }

    /// How many transactions were committed.
    pub fn committed(&self) -> u64 {
        self.shared.committed.load(Ordering::SeqCst)
    }

    /// How many transactions may have been committed, besides those whose callers died with their node.
    pub fn unknown(&self) -> u64 {
        self.shared.unknown.load(Ordering::SeqCst)
    }

    /// Tells the callers to stop and waits until those that live have.
    ///
    /// # Panics
    ///
    /// When a caller did.
    pub async fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for task in std::mem::take(&mut self.tasks) {
            if let Err(error) = task.await {
                assert!(!error.is_panic(), "a caller panicked: {error}");
            }
        }
        self.shared.stop.store(false, Ordering::SeqCst);
    }
}

impl Default for Callers {
    fn default() -> Self {
        Self::new()
    }
}

async fn call(node: Node, mut caller: impl Caller, shared: Arc<Shared>) {
    while !shared.stop.load(Ordering::SeqCst) {
        match caller.step(&node).await {
            Ok(()) => shared.committed.fetch_add(1, Ordering::SeqCst),
            Err(TransactionError::Write(WriteError::Unknown)) => {
                shared.unknown.fetch_add(1, Ordering::SeqCst)
            }
            Err(TransactionError::Aborted(reason)) => panic!("a record of the workload is missing: {reason}"),
            Err(_) => {
                tokio::time::sleep(AFTER_REFUSAL).await;
                continue;
            }
        };
    }
}
