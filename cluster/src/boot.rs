//! Boot hooks: the tables that the linked modules declare exist once the node has a leader.

use std::sync::Arc;

use tabularaft_schema::TableDef;

use crate::door;
use crate::error::{StartError, TableError, WriteError};
use crate::inner::NodeInner;
use crate::write::Rejection;

/// The tables of all boot hooks, checked against the schema that this node has: a table with another definition is an
/// error, whoever has a leader.
pub(crate) fn check_tables(node: &NodeInner) -> Result<Vec<TableDef>, StartError> {
    let defs = tabularaft_schema::boot_modules()
        .map_err(|error| StartError::Boot { module: "boot".to_owned(), why: error.to_string() })?;
    let Some(engine) = node.engine() else { return Ok(defs) };
    let view = engine.store.view();
    for def in &defs {
        let Some(existing) = view.schema().table(def.name.as_str()) else { continue };
        let differences = def.missing_in(&existing.def);
        if !differences.is_empty() {
            let all: Vec<String> = differences.iter().map(ToString::to_string).collect();
            return Err(failed(def, &format!("it exists with another definition: {}", all.join("; "))));
        }
    }
    Ok(defs)
}

/// Creates them now: the node leads, or there is a leader.
pub(crate) async fn create_tables(node: &Arc<NodeInner>) -> Result<(), StartError> {
    for def in check_tables(node)? {
        ensure_table(node, def.clone()).await.map_err(|error| failed(&def, &error.to_string()))?;
    }
    Ok(())
}

/// Creates them as soon as there is a leader, without making the start wait for it.
pub(crate) async fn create_tables_later(node: std::sync::Weak<NodeInner>, mut defs: Vec<TableDef>) {
    while let Some(def) = defs.pop() {
        loop {
            let Some(node) = node.upgrade() else { return };
            match ensure_table(&node, def.clone()).await {
                Ok(_) => break,
                Err(TableError::Write(WriteError::Rejected(Rejection::Schema(why)))) => {
                    tracing::error!(table = %def.name, why, "a table of a boot hook was not created");
                    break;
                }
                Err(error) => tracing::debug!(%error, "a table of a boot hook is not created yet"),
            }
            drop(node);
            door::sleep(door::ms(500)).await;
        }
    }
}

/// Creates the table unless there is one that does for a program which declares this definition: what may change while
/// a table is in use, such as its options and how nodes hold it, is as it was changed. Returns whether it is new.
pub(crate) async fn ensure_table(node: &NodeInner, def: TableDef) -> Result<bool, TableError> {
    let exists = |node: &NodeInner| {
        let view = node.engine()?.store.view();
        let existing = view.schema().table(def.name.as_str())?;
        Some(def.missing_in(&existing.def).is_empty())
    };
    if exists(node) == Some(true) {
        return Ok(false);
    }
    match node.create(def.clone()).await {
        // It came to be, or to differ, after this node's view; the refusal says of the table as it is.
        Err(TableError::Write(WriteError::Rejected(Rejection::Schema(_)))) if exists(node) == Some(true) => {
            Ok(false)
        }
        outcome => outcome,
    }
}

fn failed(def: &TableDef, why: &str) -> StartError {
    StartError::Boot { module: format!("table {}", def.name), why: why.to_owned() }
}
