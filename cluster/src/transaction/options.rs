//! How a transaction is run.

use std::time::Duration;

use tabularaft_store::LogIndex;

/// How often and how long a transaction is tried. What is not set is as the node's settings say.
///
/// ```
/// use std::time::Duration;
/// use tabularaft::TransactionOptions;
///
/// let impatient = TransactionOptions { attempts_max: Some(3), timeout: Some(Duration::from_millis(200)) };
/// assert_ne!(impatient, TransactionOptions::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TransactionOptions {
    /// How often the closure runs at most, at least once. Default: the setting `transaction_attempts_max`.
    pub attempts_max: Option<u32>,
    /// How long all attempts together may take. Default: the setting `write_timeout_ms`.
    pub timeout: Option<Duration>,
}

/// A committed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transacted<T> {
    /// What the closure returned at the attempt that was committed.
    pub value: T,
    /// A view at this log index or later has what was written, or, if nothing was, what was read.
    pub index: LogIndex,
    /// How often the closure ran.
    pub attempts: u32,
}
