//! Changes of the schema.

use serde::{Deserialize, Serialize};

use crate::index_def::IndexDef;
use crate::mode::CopyMode;
use crate::name::{NodeName, TableName};
use crate::shape::RecordShape;
use crate::table_def::TableDef;
use crate::table_options::TableOption;

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
    /// Gives a table another name; its number and its records stay.
    RenameTable {
        /// The old name.
        from: TableName,
        /// The new name, which no table has.
        to: TableName,
    },
    /// Gives a table the name of another one, which is dropped: from one log index to the next the name means the
    /// other records.
    ReplaceTable {
        /// The table that takes the name.
        table: TableName,
        /// The table that is dropped.
        replaces: TableName,
    },
    /// Changes how all nodes hold a table of which nothing else is said.
    SetDefaultCopy {
        /// The table.
        table: TableName,
        /// How nodes hold it from now on.
        mode: CopyMode,
    },
    /// Changes one option.
    SetOption {
        /// The table.
        table: TableName,
        /// The option with its new value.
        option: TableOption,
    },
    /// Adds a secondary index, which every node builds from its records. It counts once it is
    /// [activated](SchemaChange::ActivateIndex).
    AddIndex {
        /// The table.
        table: TableName,
        /// The index.
        index: IndexDef,
    },
    /// Declares an index complete on every node.
    ActivateIndex {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
    },
    /// Drops a secondary index.
    DropIndex {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
    },
    /// Gives the records of a table another shape, of a greater record version. Records that were written before keep
    /// their bytes until they are written anew.
    Transform {
        /// The table.
        table: TableName,
        /// The new shape.
        shape: RecordShape,
    },
    /// Declares that no record of an older version is left.
    ForgetFormerShapes {
        /// The table.
        table: TableName,
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
            SchemaChange::DeleteCopy { table: table.clone(), node: node.clone() },
            SchemaChange::ForgetNode(node.clone()),
            SchemaChange::RenameNode { from: node, to },
            SchemaChange::RenameTable { from: table.clone(), to: table.clone() },
            SchemaChange::ReplaceTable { table: table.clone(), replaces: table.clone() },
            SchemaChange::SetDefaultCopy { table: table.clone(), mode: CopyMode::Ram },
            SchemaChange::SetOption { table: table.clone(), option: TableOption::ReadOnly(true) },
            SchemaChange::AddIndex { table: table.clone(), index: IndexDef::on_field("id") },
            SchemaChange::ActivateIndex { table: table.clone(), index: "id".into() },
            SchemaChange::DropIndex { table: table.clone(), index: "id".into() },
            SchemaChange::Transform {
                table: table.clone(),
                shape: RecordShape::new(2, [("id", FieldType::U64)]),
            },
            SchemaChange::ForgetFormerShapes { table },
        ];
        let golden: [&[u8]; 15] = [
            b"\x00\x00\x01t\x00\x01\x01\x01\x02id\x03u64\x01\x02id\x00\x00\x00\x00\x00",
            b"\x01\x01t",
            b"\x02\x01t\x03a@b\x01",
            b"\x03\x01t\x03a@b",
            b"\x04\x03a@b",
            b"\x05\x03a@b\x03c@d",
            b"\x06\x01t\x01t",
            b"\x07\x01t\x01t",
            b"\x08\x01t\x00",
            b"\t\x01t\x00\x01",
            b"\n\x01t\x02id\x00\x02id\x00",
            b"\x0b\x01t\x02id",
            b"\x0c\x01t\x02id",
            b"\r\x01t\x02\x01\x02id\x03u64",
            b"\x0e\x01t",
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
