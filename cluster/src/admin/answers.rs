//! What the answers to several requests share: finding the engine and the table, and saying why not.

use std::sync::Arc;

use tabularaft_schema::TableName;
use tabularaft_store::OpResult;

use super::AdminError;
use super::protocol::{AdminReply, TableRef};
use crate::engine::Engine;
use crate::error::{JoinError, LeaveError, ReadError, TableError, WriteError};
use crate::inner::NodeInner;
use crate::write::Committed;

/// How many records a committed request touched.
pub(super) fn written(committed: &Committed) -> AdminReply {
    let count = |result: &OpResult| match result {
        OpResult::Count(count) => *count,
        OpResult::Version(_) => 1,
        _ => 0,
    };
    AdminReply::Written { records: committed.results.iter().map(count).sum(), log_index: committed.index.0 }
}

pub(super) fn engine(node: &NodeInner) -> Result<Arc<Engine>, AdminError> {
    node.engine().ok_or_else(|| AdminError::not_ready("this node is between two lives; try again"))
}

pub(super) fn no_table(table: &TableName) -> AdminError {
    AdminError::not_found(format!("there is no table {table}; `store-admin table list` lists them"))
}

/// The table of a reference, if it is still the same one.
pub(super) fn same_table(
    engine: &Engine,
    table: &TableRef,
) -> Result<Arc<tabularaft_schema::Table>, AdminError> {
    let view = engine.store.view();
    view.schema().table_by_id(table.id).cloned().ok_or_else(|| no_table(&table.name))
}

impl From<WriteError> for AdminError {
    fn from(error: WriteError) -> Self {
        let message = error.to_string();
        match error {
            WriteError::Unknown => AdminError::unknown(message),
            WriteError::NoLeader | WriteError::Overloaded { .. } | WriteError::Stopped => {
                AdminError::not_ready(message)
            }
            WriteError::NoSuchTable(_) => AdminError::not_found(message),
            WriteError::Record(_) => AdminError::invalid(message),
            _ => AdminError::refused(message),
        }
    }
}

impl From<ReadError> for AdminError {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            ReadError::NoSuchTable(_) => AdminError::not_found(message),
            ReadError::NoCopy(_) => AdminError::refused(message),
            ReadError::Loading(_) | ReadError::NoLeader | ReadError::Behind { .. } | ReadError::Stopped => {
                AdminError::not_ready(message)
            }
            _ => AdminError::internal(message),
        }
    }
}

impl From<TableError> for AdminError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Write(error) => error.into(),
            other => AdminError::refused(other.to_string()),
        }
    }
}

impl From<JoinError> for AdminError {
    fn from(error: JoinError) -> Self {
        match &error {
            JoinError::NotReady(_) | JoinError::NodeDown { .. } => {
                AdminError::not_ready(with_sources(&error))
            }
            _ => AdminError::refused(with_sources(&error)),
        }
    }
}

impl From<LeaveError> for AdminError {
    fn from(error: LeaveError) -> Self {
        match &error {
            LeaveError::NoSuchMember(_) => AdminError::not_found(error.to_string()),
            LeaveError::NotDone(_) => AdminError::unknown(error.to_string()),
            _ => AdminError::refused(error.to_string()),
        }
    }
}

/// The whole chain of causes in one line, each said once.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !line.contains(&cause_text) {
            line = format!("{line}: {cause_text}");
        }
        source = cause.source();
    }
    line
}
