//! How requests name a table.

use serde::{Deserialize, Serialize};
use tabularaft_schema::{TableId, TableName};

/// A table by name and id. The id is never given to another table, so a table that was dropped and created
/// anew with another shape while a client was at work answers "not found" instead of misread records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRef {
    /// Its name, for messages.
    pub name: TableName,
    /// Its id, which decides.
    pub id: TableId,
}
