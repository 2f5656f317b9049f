//! A table as the schema knows it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::mode::CopyMode;
use crate::name::NodeName;
use crate::table_def::TableDef;

/// The number of a table, given when it is created and never used again: a table that is dropped and created anew has
/// another number, so nothing addressed to the old one can reach the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableId(pub u64);

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A table in the [`Schema`](crate::Schema): its definition, and which nodes deviate from it in how they hold it.
// Persistent: encoded as part of the schema's form; see `schema_form` before changing a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The table's number.
    pub id: TableId,
    /// Its definition.
    pub def: Arc<TableDef>,
    /// The nodes that hold the table otherwise than the definition says: in another mode, or (`None`) not at all.
    pub copies: BTreeMap<NodeName, Option<CopyMode>>,
}

impl Table {
    /// How this node holds the table, or `None` if it does not.
    #[must_use]
    pub fn mode_on(&self, node: &NodeName) -> Option<CopyMode> {
        self.copies.get(node).copied().unwrap_or(Some(self.def.copy))
    }

    /// The table with `node` holding it in `mode`, or `None` if it does so already.
    pub(crate) fn with_copy(&self, node: &NodeName, mode: Option<CopyMode>) -> Option<Self> {
        if self.mode_on(node) == mode {
            return None;
        }
        let mut table = self.clone();
        // Only deviations are kept, so that equal holdings are equal schemas.
        if mode == Some(self.def.copy) {
            table.copies.remove(node);
        } else {
            table.copies.insert(node.clone(), mode);
        }
        Some(table)
    }
}
