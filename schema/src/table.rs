//! A table as the schema knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::mode::CopyMode;
use crate::name::NodeName;
use crate::shape::RecordShape;
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

/// A table in the [`Schema`](crate::Schema): its definition, which nodes deviate from it in how they hold it, and what
/// of a change of the definition is still under way.
///
/// Its serialised form is part of the schema's; see `schema_form` before changing a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The table's number.
    pub id: TableId,
    /// Its definition.
    pub def: Arc<TableDef>,
    /// The nodes that hold the table otherwise than the definition says: in another mode, or (`None`) not at all.
    pub copies: BTreeMap<NodeName, Option<CopyMode>>,
    /// The shapes that records may still have which were written before the last changes of the record version, by
    /// ascending version. All are older than the definition's.
    pub former: Vec<RecordShape>,
    /// The names of the indexes of the definition that were added at run time and are not known to be complete on
    /// every node: nothing may rest on them yet.
    pub building: BTreeSet<String>,
}

impl Table {
    /// A table that all nodes hold as defined.
    #[must_use]
    pub fn new(id: TableId, def: Arc<TableDef>) -> Self {
        Self { id, def, copies: BTreeMap::new(), former: Vec::new(), building: BTreeSet::new() }
    }

    /// The shape of records of a version, if records of that version may exist.
    #[must_use]
    pub fn shape(&self, version: u32) -> Option<&RecordShape> {
        std::iter::once(&self.def.shape).chain(&self.former).find(|shape| shape.version == version)
    }

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
