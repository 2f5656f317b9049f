//! Why changes cannot be followed.

use tabularaft_schema::TableName;
use tabularaft_store::{HistoryError, LogIndex};

use crate::error::ReadError;

/// Why a subscription did not begin, or cannot go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The changes from here on are not all kept any more: the subscriber was too slow, was away for too long, or the
    /// node has got its copy only later. Take a new view with [`Subscription::resync`](super::Subscription::resync).
    #[error(
        "the changes after log index {wanted} are not kept any more, the oldest ones are those after {oldest}: \
         take a new view (resync), or raise history_bytes"
    )]
    Compacted {
        /// After which index changes were wanted.
        wanted: LogIndex,
        /// The lowest index after which all changes are still there.
        oldest: LogIndex,
    },
    /// The node keeps no history.
    #[error("this node keeps no history of changes: set history_bytes to more than 0")]
    Off,
    /// Content that is private to a node has no place in the log.
    #[error("table {0} has local content, whose changes are not in the log and cannot be followed")]
    LocalContent(TableName),
    /// The table cannot be read here, a record cannot be read as the record type, or the node is between two lives:
    /// after a new life began, subscribe anew.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl SubscribeError {
    pub(super) fn of(error: HistoryError, wanted: Option<LogIndex>) -> Self {
        match error {
            HistoryError::Compacted { oldest } => {
                Self::Compacted { wanted: wanted.unwrap_or_default(), oldest }
            }
            _ => Self::Off,
        }
    }
}
