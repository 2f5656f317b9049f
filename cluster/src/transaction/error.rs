//! Why a transaction was not committed.

use tabularaft_schema::RecordError;

use crate::error::{ReadError, WriteError};
use crate::write::Rejection;

/// A reason that the application gives for giving up a transaction.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// What goes wrong inside a transaction's closure. Returning it gives the transaction up: nothing is written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TxError {
    /// The closure gave the transaction up, for a reason of its own.
    #[error("aborted: {0}")]
    Aborted(Reason),
    /// A read brought nothing.
    #[error(transparent)]
    Read(ReadError),
    /// The record does not fit its table.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An operation does not fit the record or the table.
    #[error(transparent)]
    Refused(#[from] Rejection),
    /// The transaction reads or writes more than one request may hold.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl TxError {
    /// Gives the transaction up for this reason: a text, or an error of the application, which the caller finds again
    /// in [`TransactionError::Aborted`].
    pub fn abort(reason: impl Into<Reason>) -> Self {
        Self::Aborted(reason.into())
    }
}

impl From<ReadError> for TxError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TooLarge(limit) => Self::TooLarge(limit),
            ReadError::Refused(rejection) => Self::Refused(rejection),
            other => Self::Read(other),
        }
    }
}

/// A transaction over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the transaction has {found} {what}, the limit {setting} is {limit}; split the transaction or raise the limit"
)]
pub struct TooLarge {
    /// What there is too much of.
    pub what: &'static str,
    /// How much there is.
    pub found: usize,
    /// The setting of [`NodeConfig`](crate::NodeConfig) that limits it.
    pub setting: &'static str,
    /// Its value.
    pub limit: usize,
}

/// Why a transaction was not committed, or, for [`WriteError::Unknown`] alone, may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The closure gave the transaction up with [`Tx::abort`](crate::Tx::abort): nothing was written. What it had read
    /// was what the cluster held, as for a transaction that commits.
    #[error("aborted: {0}")]
    Aborted(Reason),
    /// Others changed what the transaction had read at every attempt: nothing was written.
    #[error(
        "conflict: the record {key} of table {table} was changed by others at each of {attempts} attempts; read it with get_for_update, or do less in one transaction"
    )]
    Conflict {
        /// The table of the record that had changed at the last attempt.
        table: String,
        /// The record's key as JSON; `*` if any record of the table may have been.
        key: String,
        /// How often the closure ran.
        attempts: u32,
    },
    /// The closure returned an error: nothing was written.
    #[error(transparent)]
    Closure(TxError),
    /// What became of the request; only [`WriteError::Unknown`] leaves open whether it happened.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl TransactionError {
    /// The reason as the closure gave it, if it gave the transaction up with an error of this type.
    pub fn aborted_with<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Aborted(reason) => reason.downcast_ref(),
            _ => None,
        }
    }

    /// Whether the same transaction may succeed when it is tried again. One with an unknown outcome is not retryable
    /// without care: it could happen twice.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } => true,
            Self::Write(error) => error.is_retryable(),
            Self::Closure(TxError::Read(ReadError::Loading(_) | ReadError::Stopped)) => true,
            _ => false,
        }
    }
}

impl From<TxError> for TransactionError {
    fn from(error: TxError) -> Self {
        match error {
            TxError::Aborted(reason) => Self::Aborted(reason),
            other => Self::Closure(other),
        }
    }
}
