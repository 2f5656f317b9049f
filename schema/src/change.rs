//! Changes of the schema.

use serde::{Deserialize, Serialize};

use crate::mode::CopyMode;
use crate::name::{NodeName, TableName};
use crate::table_def::TableDef;

/// One change of the schema, as it is decided, logged and applied; see [`Schema::apply`](crate::Schema::apply).
// Persistent: the order of the variants is their tag. Add at the end, never change or reuse.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaChange {
    /// Creates a table. Nothing changes if a table of this very definition exists.
    CreateTable(Box<TableDef>),
    /// Drops a table and all its records.
    DropTable(TableName),
    /// Makes a node hold a table in a mode.
    SetCopy {
        /// The table.
        table: TableName,
        /// The node.
        node: NodeName,
        /// How the node is to hold the table.
        mode: CopyMode,
    },
    /// Makes a node give up its copy of a table. Whether another node still holds one is for the caller to know:
    /// the schema does not list the nodes.
    DeleteCopy {
        /// The table.
        table: TableName,
        /// The node.
        node: NodeName,
    },
    /// Forgets what was said of a node that is no longer a member.
    ForgetNode(NodeName),
    /// Transfers what was said of a node to another name.
    RenameNode {
        /// The old name.
        from: NodeName,
        /// The new name.
        to: NodeName,
    },
}

impl From<TableDef> for SchemaChange {
    fn from(def: TableDef) -> Self {
        Self::CreateTable(Box::new(def))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldType;

    #[test]
    fn changes_keep_their_tags() {
        let def = TableDef::builder("t").unwrap().field("id", FieldType::U64).key("id").build().unwrap();
        let table = TableName::new("t").unwrap();
        let (node, to) = (NodeName::new("a@b").unwrap(), NodeName::new("c@d").unwrap());
        let changes = [
            def.into(),
            SchemaChange::DropTable(table.clone()),
            SchemaChange::SetCopy { table: table.clone(), node: node.clone(), mode: CopyMode::Disc },
            SchemaChange::DeleteCopy { table, node: node.clone() },
            SchemaChange::ForgetNode(node.clone()),
            SchemaChange::RenameNode { from: node, to },
        ];
        let golden: [&[u8]; 6] = [
            b"\x00\x00\x01t\x00\x01\x01\x01\x02id\x03u64\x01\x02id\x00\x00\x00\x00\x00",
            b"\x01\x01t",
            b"\x02\x01t\x03a@b\x01",
            b"\x03\x01t\x03a@b",
            b"\x04\x03a@b",
            b"\x05\x03a@b\x03c@d",
        ];
        for (change, golden) in changes.into_iter().zip(golden) {
            assert_eq!(
                postcard::to_stdvec(&change).unwrap().escape_ascii().to_string(),
                golden.escape_ascii().to_string()
            );
            assert_eq!(postcard::from_bytes::<SchemaChange>(golden).unwrap(), change);
            let json = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<SchemaChange>(&json).unwrap(), change);
        }
    }
}
