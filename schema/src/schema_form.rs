//! The serialised form of the schema; tagged as that of a table definition, for the same reason.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::schema::Schema;
use crate::table::Table;

// Persistent: add a variant at the end, never change or reuse one.
#[derive(Serialize, Deserialize)]
enum Form<T> {
    V1(FormV1<T>),
}

// Persistent: the fields and their order are the encoding, including those of `Table`. Never change.
#[derive(Serialize, Deserialize)]
struct FormV1<T> {
    version: u64,
    next_table_id: u64,
    tables: T,
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = FormV1 {
            version: self.version(),
            next_table_id: self.next_table_id().0,
            tables: self.tables().collect::<Vec<_>>(),
        };
        if serializer.is_human_readable() {
            form.serialize(serializer)
        } else {
            Form::V1(form).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let FormV1::<Vec<Table>> { version, next_table_id, tables } = if deserializer.is_human_readable() {
            FormV1::deserialize(deserializer)?
        } else {
            let Form::V1(form) = Form::deserialize(deserializer)?;
            form
        };
        Self::from_parts(version, next_table_id, tables).map_err(D::Error::custom)
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
