//! What a node holds, so that it can be compared with what another one holds.

use std::collections::BTreeMap;

use tabularaft::Node;
use tabularaft::store::TableDigest;

/// The digests of all tables of a node at one log index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copies {
    /// The index.
    pub applied: u64,
    /// The digest of each table, by name. Tables with local content are left out.
    pub tables: BTreeMap<String, TableDigest>,
}

impl Copies {
    /// How many records the table holds.
    ///
    /// # Panics
    ///
    /// When there is no such table.
    pub fn records(&self, table: &str) -> u64 {
        self.tables.get(table).unwrap_or_else(|| panic!("there is no table {table}")).records
    }
}

/// What a node holds at this moment; an error says what is missing.
///
/// # Errors
///
/// The node is between two lives, or a table is loading.
pub fn copies_of(node: &Node) -> Result<Copies, String> {
    let view = node.store_view().ok_or_else(|| format!("{} is between two lives", node.name()))?;
    let tables = view.tables().filter(|copy| !copy.def().options.local_content).map(|copy| {
        let digest =
            copy.digest().map_err(|error| format!("{} of {}: {error}", copy.def().name, node.name()))?;
        Ok((copy.def().name.to_string(), digest))
    });
    let tables = tables.collect::<Result<_, String>>()?;
    Ok(Copies { applied: view.applied_index().0, tables })
}
