//! Transactions on lists, as clients saw them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::anomaly::Anomaly;

/// One operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mop {
    /// Appends a value that nobody else appends to this list.
    Append(String, u64),
    /// Reads a whole list; `None` before it was read.
    Read(String, Option<Vec<u64>>),
}

/// What a client was told about a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It happened.
    Ok,
    /// It did not and never will.
    Fail,
    /// It may have happened, or may still happen.
    Info,
}

/// A transaction as a client saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn {
    /// The client.
    pub process: u64,
    /// What it did, with the lists that it read.
    pub mops: Vec<Mop>,
    /// What the client was told.
    pub outcome: Outcome,
    /// When it began.
    pub invoked: u64,
    /// When it was acknowledged; `None` unless it was.
    pub completed: Option<u64>,
}

impl Mop {
    /// As histories write it.
    pub fn to_json(&self) -> Json {
        match self {
            Mop::Append(key, value) => json!(["append", key, value]),
            Mop::Read(key, list) => json!(["r", key, list]),
        }
    }
}

impl Txn {
    /// The values it appended, in order.
    pub(super) fn appends(&self) -> impl Iterator<Item = (&str, u64)> {
        self.mops.iter().filter_map(|mop| match mop {
            Mop::Append(key, value) => Some((key.as_str(), *value)),
            Mop::Read(..) => None,
        })
    }

    /// The lists as they were before the transaction: what it read of them, without what it appended itself.
    pub(super) fn external_reads(&self) -> HashMap<&str, Vec<u64>> {
        let mut appended: HashMap<&str, usize> = HashMap::new();
        let mut reads = HashMap::new();
        for mop in &self.mops {
            match mop {
                Mop::Append(key, _) => *appended.entry(key).or_default() += 1,
                Mop::Read(key, Some(list)) => {
                    let own = appended.get(key.as_str()).copied().unwrap_or(0);
                    let before = list.iter().take(list.len().saturating_sub(own)).copied().collect();
                    reads.entry(key.as_str()).or_insert(before);
                }
                Mop::Read(_, None) => {}
            }
        }
        reads
    }

    /// Checks that it saw one state and its own appends.
    pub(super) fn check_internally(&self) -> Result<(), Anomaly> {
        let mut known: HashMap<&str, Vec<u64>> = HashMap::new();
        let mut own: HashMap<&str, Vec<u64>> = HashMap::new();
        for mop in &self.mops {
            match mop {
                Mop::Append(key, value) => {
                    own.entry(key).or_default().push(*value);
                    known.entry(key).and_modify(|list| list.push(*value));
                }
                Mop::Read(key, Some(list)) => {
                    let contradiction = |expected: String| Anomaly::Internal {
                        txn: Box::new(self.clone()),
                        key: key.clone(),
                        expected,
                        read: list.clone(),
                    };
                    if let Some(known) = known.get(key.as_str()).filter(|known| *known != list) {
                        return Err(contradiction(format!("{known:?}")));
                    }
                    if let Some(own) = own.get(key.as_str()).filter(|own| !list.ends_with(own)) {
                        return Err(contradiction(format!("a list ending in {own:?}")));
                    }
                    known.insert(key, list.clone());
                }
                Mop::Read(_, None) => {}
            }
        }
        Ok(())
    }
}
