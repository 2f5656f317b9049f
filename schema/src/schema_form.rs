//! The serialised form of the schema; tagged as that of a table definition, for the same reason, and likewise written
//! in the oldest form that can say all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::mode::CopyMode;
use crate::name::NodeName;
use crate::schema::Schema;
use crate::shape::RecordShape;
use crate::table::{Table, TableId};
use crate::table_def::TableDef;

// Persistent: add a variant at the end, never change or reuse one.
#[derive(Serialize, Deserialize)]
enum Form {
    V1(Parts<TableV1>),
    V2(Parts<TableV2>),
}

// Persistent: the fields and their order are the encoding, including those of the tables. Never change.
#[derive(Serialize, Deserialize)]
struct Parts<T> {
    version: u64,
    next_table_id: u64,
    tables: Vec<T>,
}

// Persistent, as `Parts`.
#[derive(Serialize, Deserialize)]
struct TableV1 {
    id: TableId,
    def: Arc<TableDef>,
    copies: BTreeMap<NodeName, Option<CopyMode>>,
}

// Persistent, as `Parts`.
#[derive(Serialize, Deserialize)]
struct TableV2 {
    v1: TableV1,
    former: Vec<RecordShape>,
    building: BTreeSet<String>,
}

/// A table in JSON: what came after the first version is left out unless it says something.
#[derive(Serialize, Deserialize)]
struct TableJson {
    id: TableId,
    def: Arc<TableDef>,
    copies: BTreeMap<NodeName, Option<CopyMode>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<RecordShape>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    building: BTreeSet<String>,
}

impl<T: From<Table>> Parts<T> {
    fn of(schema: &Schema) -> Self {
        Self {
            version: schema.version(),
            next_table_id: schema.next_table_id().0,
            tables: schema.tables().map(|table| Table::clone(table).into()).collect(),
        }
    }
}

impl<T: Into<Table>> Parts<T> {
    fn into_schema(self) -> Result<Schema, &'static str> {
        let tables = self.tables.into_iter().map(Into::into).collect();
        Schema::from_parts(self.version, self.next_table_id, tables)
    }
}

impl From<&Schema> for Form {
    fn from(schema: &Schema) -> Self {
        if schema.tables().all(|table| table.former.is_empty() && table.building.is_empty()) {
            Self::V1(Parts::of(schema))
        } else {
            Self::V2(Parts::of(schema))
        }
    }
}

impl From<Table> for TableV1 {
    fn from(Table { id, def, copies, .. }: Table) -> Self {
        Self { id, def, copies }
    }
}

impl From<TableV1> for Table {
    fn from(TableV1 { id, def, copies }: TableV1) -> Self {
        Self { copies, ..Self::new(id, def) }
    }
}

impl From<Table> for TableV2 {
    fn from(Table { id, def, copies, former, building }: Table) -> Self {
        Self { v1: TableV1 { id, def, copies }, former, building }
    }
}

impl From<TableV2> for Table {
    fn from(TableV2 { v1, former, building }: TableV2) -> Self {
        Self { former, building, ..v1.into() }
    }
}

impl From<Table> for TableJson {
    fn from(Table { id, def, copies, former, building }: Table) -> Self {
        Self { id, def, copies, former, building }
    }
}

impl From<TableJson> for Table {
    fn from(TableJson { id, def, copies, former, building }: TableJson) -> Self {
        Self { id, def, copies, former, building }
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Parts::<TableJson>::of(self).serialize(serializer)
        } else {
            Form::from(self).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let schema = if deserializer.is_human_readable() {
            Parts::<TableJson>::deserialize(deserializer)?.into_schema()
        } else {
            match Form::deserialize(deserializer)? {
                Form::V1(parts) => parts.into_schema(),
                Form::V2(parts) => parts.into_schema(),
            }
        };
        schema.map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::SchemaChange;
    use crate::field::FieldType;
    use crate::name::{NodeName, TableName};
    use crate::table_def::TableDef;

    fn schema() -> Schema {
        let def = TableDef::builder("t").unwrap().field("id", FieldType::U64).key("id").build().unwrap();
        let schema = Schema::default().apply(&def.into()).unwrap().unwrap();
        let (table, node) = (TableName::new("t").unwrap(), NodeName::new("a@b").unwrap());
        schema.apply(&SchemaChange::DeleteCopy { table, node }).unwrap().unwrap()
    }

    #[test]
    fn the_first_form_is_written_and_read_for_ever() {
        let golden = b"\x00\x02\x02\x01\x01\x00\x01t\x00\x01\x01\x01\x02id\x03u64\x01\x02id\x00\x00\x00\x00\x00\x01\x03a@b\x00";
        let bytes = postcard::to_stdvec(&schema()).unwrap();
        assert_eq!(bytes.escape_ascii().to_string(), golden.escape_ascii().to_string());
        let read: Schema = postcard::from_bytes(golden).unwrap();
        assert_eq!(read, schema());
        assert_eq!(read.table_by_id(crate::TableId(1)), read.table("t"));
    }

    #[test]
    fn a_change_under_way_is_written_in_the_second_form() {
        let table = TableName::new("t").unwrap();
        let index = crate::IndexDef::on_field("id");
        let building = schema().apply(&SchemaChange::AddIndex { table, index }).unwrap().unwrap();
        let bytes = postcard::to_stdvec(&building).unwrap();
        assert_eq!(bytes[0], 1);
        assert_eq!(postcard::from_bytes::<Schema>(&bytes).unwrap(), building);
        let json = serde_json::to_value(&building).unwrap();
        assert_eq!(json["tables"][0]["building"][0], "id");
        assert_eq!(serde_json::from_value::<Schema>(json).unwrap(), building);
    }

    #[test]
    fn a_schema_goes_to_json_and_back() {
        let json = serde_json::to_value(schema()).unwrap();
        assert_eq!(json["tables"][0]["def"]["name"], "t");
        assert_eq!(serde_json::from_value::<Schema>(json).unwrap(), schema());
    }

    #[test]
    fn parts_that_contradict_each_other_are_refused() {
        let changed = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut json = serde_json::to_value(schema()).unwrap();
            change(&mut json);
            serde_json::from_value::<Schema>(json).unwrap_err().to_string()
        };
        assert!(changed(&|json| json["next_table_id"] = 1.into()).contains("not yet given"));
        assert!(
            changed(&|json| {
                let table = json["tables"][0].clone();
                json["tables"].as_array_mut().unwrap().push(table);
            })
            .contains("same name or number")
        );
    }
}
