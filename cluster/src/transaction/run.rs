//! Attempts of a transaction, until one is accepted.

use std::sync::Arc;
use std::time::Instant;

use tabularaft_store::LogIndex;

use super::conflict::Conflict;
use super::error::{TransactionError, TxError};
use super::options::{Transacted, TransactionOptions};
use super::tx::Tx;
use crate::door;
use crate::error::WriteError;
use crate::inner::NodeInner;
use crate::write::{Guard, Op, Request};

/// What one run of the closure came to.
struct Attempt<T> {
    outcome: Result<T, TxError>,
    guards: Vec<Guard>,
    ops: Vec<Op>,
    /// The log index of the view that was read.
    index: LogIndex,
}

/// Runs the closure until what it read is what the cluster holds at the moment of its writes.
pub(super) async fn run<T>(
    node: &Arc<NodeInner>,
    options: TransactionOptions,
    mut body: impl FnMut(&Tx) -> Result<T, TxError>,
) -> Result<Transacted<T>, TransactionError> {
    let deadline = door::now() + options.timeout.unwrap_or(node.config.write_timeout());
    let attempts_max = options.attempts_max.unwrap_or(node.config.transaction_attempts_max);
    let mut attempts = 1;
    loop {
        let Attempt { outcome, guards, ops, index } = attempt(node, &mut body)?;
        let (value, ops) = match outcome {
            Ok(value) => (Ok(value), ops),
            // Whether to give up was decided on what was read, so that must have been true as well.
            Err(TxError::Aborted(reason)) => (Err(reason), Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let conflict = match submit(node, guards, ops, index, deadline).await? {
            Ok(index) => {
                let value = value.map_err(TransactionError::Aborted)?;
                return Ok(Transacted { value, index, attempts });
            }
            Err(conflict) => conflict,
        };
        let engine = node.engine().ok_or(WriteError::Stopped)?;
        if attempts >= attempts_max || door::now() >= deadline {
            return Err(conflict.error(&engine.store.view(), attempts));
        }
        conflict.wait(&engine, attempts, deadline).await;
        attempts += 1;
    }
}

/// Runs the closure once, against the newest view of this node.
fn attempt<T>(
    node: &Arc<NodeInner>,
    body: &mut impl FnMut(&Tx) -> Result<T, TxError>,
) -> Result<Attempt<T>, WriteError> {
    let engine = node.engine().ok_or(WriteError::Stopped)?;
    let tx = Tx::new(Arc::clone(node), engine.store.view());
    let index = tx.index();
    let outcome = body(&tx);
    let (guards, ops) = tx.into_request();
    Ok(Attempt { outcome, guards, ops, index })
}

/// Lets the leader decide. The inner error says that something read has changed.
async fn submit(
    node: &NodeInner,
    guards: Vec<Guard>,
    ops: Vec<Op>,
    index: LogIndex,
    deadline: Instant,
) -> Result<Result<LogIndex, Conflict>, WriteError> {
    if guards.is_empty() && ops.is_empty() {
        return Ok(Ok(index));
    }
    let reads_only = ops.is_empty();
    match node.write(Request::transaction(guards, ops), deadline).await {
        Ok(committed) => Ok(Ok(committed.index.max(index))),
        Err(WriteError::Rejected(rejection)) => {
            Conflict::of(rejection).map(Err).map_err(WriteError::Rejected)
        }
        // What only reads cannot have happened.
        Err(WriteError::Unknown) if reads_only => Err(WriteError::NoLeader),
        Err(error) => Err(error),
    }
}
