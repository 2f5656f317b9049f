//! What an administrative request may answer instead of a result.

use serde::{Deserialize, Serialize};

/// Why an administrative request was not done, in words for the operator.
///
/// The message is one line, names the thing it is about, and says the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct AdminError {
    /// Which family of failure this is; programs branch on it.
    pub kind: AdminErrorKind,
    /// One line for a human.
    pub message: String,
}

/// The families of failure of an administrative request.
///
/// Persistent: add, never change or reuse.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminErrorKind {
    /// The state of the cluster forbids it; nothing was changed.
    Refused,
    /// The node cannot serve it now (no majority, a table still loading); trying again later may help.
    NotReady,
    /// The node, table, operation or cursor that was named does not exist.
    NotFound,
    /// The request itself is wrong: a record that does not fit its table, a definition that contradicts
    /// itself.
    Invalid,
    /// The outcome is not known: the change may have happened or may still happen.
    Unknown,
    /// The node failed in a way it should not have.
    Internal,
    /// The node could not be reached or did not let us in; nothing was asked of it.
    Unreachable,
}

impl AdminError {
    /// An error of `kind` with `message`.
    pub fn new(kind: AdminErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The state of the cluster forbids it; nothing was changed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(AdminErrorKind::Refused, message)
    }

    /// The node cannot serve it now.
    pub fn not_ready(message: impl Into<String>) -> Self {
        Self::new(AdminErrorKind::NotReady, message)
    }

    /// What was named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(AdminErrorKind::NotFound, message)
    }

    /// The request itself is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(AdminErrorKind::Invalid, message)
    }

    /// The change may have happened or may still happen.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(AdminErrorKind::Unknown, message)
    }

    /// The node failed in a way it should not have.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(AdminErrorKind::Internal, message)
    }

    /// The node could not be reached.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(AdminErrorKind::Unreachable, message)
    }
}
