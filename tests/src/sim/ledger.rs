//! What clients asked for and what they were told, as they saw it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tabularaft::WriteError;

/// Tells the microseconds since the beginning of a run, by one clock for all clients.
type Clock = dyn Fn() -> u64 + Send + Sync;

/// All operations of a run, shared by all clients.
#[derive(Clone)]
pub(crate) struct Ledger {
    clock: Arc<Clock>,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    operations: Vec<Operation>,
    /// Counts the losses of all copies of the ram tables; a write of before a loss may be gone after it.
    losses: u32,
}

/// One operation of one client. Clients do one thing at a time; one that dies, or is left in doubt, goes on under a new number.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) client: u64,
    pub(crate) table: &'static str,
    pub(crate) key: String,
    pub(crate) what: What,
    pub(crate) began_us: u64,
    /// `None`: the client died first, or the run ended.
    pub(crate) end: Option<End>,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// Put this value under the key.
    Write(u64),
    /// The same, if the record still has this version.
    Swap { expected: u64, value: u64 },
    /// Read what everybody has agreed on.
    Read,
    /// Add one to the counter.
    Count,
    /// Add this element to the set.
    Add(u64),
    /// Move an amount between two accounts.
    Transfer { from: u64, to: u64, amount: u64 },
}

/// How an operation ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) at_us: u64,
    pub(crate) told: Told,
}

/// What the client was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// It is done, and the record has this version.
    Version(u64),
    /// This is what the key holds: a version (0: no record) and a value.
    Value { version: u64, value: u64 },
    /// The counter stands here now.
    Sum(u64),
    /// It is done.
    Done,
    /// It did not happen and never will.
    No(String),
    /// It may happen, or may have happened.
    Unknown,
}

impl Told {
    /// What a failed write tells.
    pub(crate) fn error(error: &WriteError) -> Self {
        match error {
            WriteError::Unknown => Self::Unknown,
            other => Self::No(other.to_string()),
        }
    }

    /// Whether the operation took effect for certain.
    pub(crate) fn is_yes(&self) -> bool {
        !matches!(self, Self::No(_) | Self::Unknown)
    }
}

impl Ledger {
    /// An empty one; `clock` tells microseconds.
    pub(crate) fn new(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), book: Arc::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an operation before it is sent, and gives its number.
    pub(crate) fn begin(&self, client: u64, table: &'static str, key: &str, what: What) -> usize {
        let mut book = self.book();
        let began_us = (self.clock)();
        book.operations.push(Operation { client, table, key: key.to_owned(), what, began_us, end: None });
        book.operations.len() - 1
    }

    /// Notes its end.
    pub(crate) fn end(&self, number: usize, told: Told) {
        let mut book = self.book();
        let end = End { at_us: (self.clock)(), told };
        if let Some(operation) = book.operations.get_mut(number) {
            operation.end = Some(end);
        }
    }

    /// All copies of the ram tables are gone.
    pub(crate) fn lose_ram(&self) {
        self.book().losses += 1;
    }

    /// How often all copies of the ram tables were lost.
    pub(crate) fn losses(&self) -> u32 {
        self.book().losses
    }

    /// Everything so far.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.book().operations.clone()
    }

    /// How many operations are known to have taken effect.
    pub(crate) fn successes(&self) -> usize {
        self.book().operations.iter().filter(|op| op.is_done()).count()
    }
}

impl Operation {
    /// Whether it took effect for certain.
    pub(crate) fn is_done(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.told.is_yes())
    }

    /// Whether it certainly did not take effect.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(&self.end, Some(End { told: Told::No(_), .. }))
    }

    /// Whether its table is in memory alone.
    pub(crate) fn is_in_ram(&self) -> bool {
        self.table.starts_with("ram")
    }
}
