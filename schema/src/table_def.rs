//! Definitions of tables.

use crate::error::TableDefError;
use crate::field::{FieldDef, FieldType};
use crate::index_def::{IndexDef, IndexOn};
use crate::kind::TableKind;
use crate::mode::CopyMode;
use crate::name::{TableName, check_identifier};
use crate::shape::RecordShape;
use crate::table_options::TableOptions;

/// The definition of a table: what its records look like, what their key is, and how nodes hold it.
///
/// Programs get theirs from [`#[derive(Record)]`](crate::Record); definitions made at run time come from a
/// [builder](TableDef::builder).
///
/// ```
/// use tabularaft_schema::{CopyMode, FieldType, TableDef, TableKind};
///
/// let route = TableDef::builder("route")?
///     .kind(TableKind::Bag)
///     .copy(CopyMode::Ram)
///     .field("topic", FieldType::String)
///     .field("node", FieldType::String)
///     .key("topic")
///     .index("node")
///     .owned()
///     .build()?;
///
/// let record = route.shape.from_json(&serde_json::json!({"topic": "a/b", "node": "n1@host"}))?;
/// assert_eq!(route.key_of_record(&record)?, route.parse_key("a/b")?);
/// # Ok::<(), tabularaft_schema::Error>(())
/// ```
///
/// A definition is serialised in a versioned form (see `table_def_form`), and validated when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableDef {
    /// The table's name.
    pub name: TableName,
    /// How the table treats keys.
    pub kind: TableKind,
    /// The mode in which a node holds the table unless the schema says otherwise for it.
    pub copy: CopyMode,
    /// The fields of its records.
    pub shape: RecordShape,
    /// The names of the fields that form the key, in key order.
    pub key: Vec<String>,
    /// Its secondary indexes.
    pub indexes: Vec<IndexDef>,
    /// What else there is to say.
    pub options: TableOptions,
}

impl TableDef {
    /// The most fields a record may have.
    pub const FIELDS_MAX: usize = 1_024;
    /// The most secondary indexes a table may have.
    pub const INDEXES_MAX: usize = 64;
    /// The most fields a key may have.
    pub const KEY_FIELDS_MAX: usize = 8;

    /// Checks the definition against itself and the limits.
    ///
    /// # Errors
    /// [`TableDefError`] names what is wrong first.
    pub fn validate(&self) -> Result<(), TableDefError> {
        self.check_count("fields", self.shape.fields.len(), 1, Self::FIELDS_MAX)?;
        self.check_count("key fields", self.key.len(), 1, Self::KEY_FIELDS_MAX)?;
        self.check_count("secondary indexes", self.indexes.len(), 0, Self::INDEXES_MAX)?;
        self.check_fields()?;
        self.check_unique("key field", self.key.iter())?;
        for field in &self.key {
            self.check_key_type(field, || "key".to_owned())?;
        }
        self.check_unique("secondary index", self.indexes.iter().map(|index| &index.name))?;
        for index in &self.indexes {
            check_identifier("index name", &index.name)?;
            self.check_index(index)?;
        }
        self.check_options()
    }

    /// The secondary index of this name.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<&IndexDef> {
        self.indexes.iter().find(|index| index.name == name)
    }

    /// The definitions of the key's fields, in key order. Empty places do not occur in a valid definition.
    pub fn key_fields(&self) -> impl Iterator<Item = &FieldDef> {
        self.key.iter().filter_map(|name| self.shape.field(name))
    }

    fn check_count(
        &self,
        what: &'static str,
        found: usize,
        min: usize,
        max: usize,
    ) -> Result<(), TableDefError> {
        if (min..=max).contains(&found) {
            Ok(())
        } else {
            Err(TableDefError::Count { table: self.name.clone(), what, found, min, max })
        }
    }

    fn check_fields(&self) -> Result<(), TableDefError> {
        self.check_unique("field", self.shape.fields.iter().map(|field| &field.name))?;
        for field in &self.shape.fields {
            field.check_name()?;
            field.field_type.validate().map_err(|error| TableDefError::FieldType {
                table: self.name.clone(),
                field: field.name.clone(),
                error,
            })?;
        }
        Ok(())
    }

    fn check_unique<'a>(
        &self,
        what: &'static str,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<(), TableDefError> {
        let mut seen = std::collections::BTreeSet::new();
        for name in names {
            if !seen.insert(name) {
                return Err(TableDefError::Duplicate { table: self.name.clone(), what, name: name.clone() });
            }
        }
        Ok(())
    }

    fn check_index(&self, index: &IndexDef) -> Result<(), TableDefError> {
        let what = || format!("secondary index `{}`", index.name);
        match &index.on {
            IndexOn::Field(field) => self.check_key_type(field, what),
            IndexOn::Each(field) => match &self.require_field(field, what)?.field_type {
                FieldType::List(element) if element.is_key_type() => Ok(()),
                other => Err(TableDefError::NoList {
                    table: self.name.clone(),
                    index: index.name.clone(),
                    field: field.clone(),
                    field_type: other.to_string(),
                }),
            },
            IndexOn::Function(function) => Ok(check_identifier("function name", function)?),
        }
    }

    fn check_key_type(&self, field: &str, what: impl Fn() -> String) -> Result<(), TableDefError> {
        let found = self.require_field(field, &what)?;
        if found.field_type.is_key_type() {
            return Ok(());
        }
        Err(TableDefError::NoKeyType {
            table: self.name.clone(),
            what: what(),
            field: field.to_owned(),
            field_type: found.field_type.to_string(),
        })
    }

    fn require_field(&self, field: &str, what: impl Fn() -> String) -> Result<&FieldDef, TableDefError> {
        self.shape.field(field).ok_or_else(|| TableDefError::NoSuchField {
            table: self.name.clone(),
            what: what(),
            field: field.to_owned(),
            known: self.shape.field_names(),
        })
    }

    fn check_options(&self) -> Result<(), TableDefError> {
        let problem = match self.options.problem() {
            Some(problem) => problem,
            None if self.shape.version == 0 => "the record version is 0: versions start at 1",
            None => return Ok(()),
        };
        Err(TableDefError::Options { table: self.name.clone(), problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldType;

    fn message(change: impl FnOnce(&mut TableDef)) -> String {
        let mut def = TableDef::builder("t")
            .unwrap()
            .field("id", FieldType::U64)
            .field("tags", FieldType::list(FieldType::String))
            .field("note", FieldType::optional(FieldType::String))
            .key("id")
            .index("note")
            .build()
            .unwrap();
        change(&mut def);
        def.validate().unwrap_err().to_string()
    }

    #[test]
    fn contradictions_are_refused_and_named() {
        let no_field =
            "table `t`: the key names the field `x`, which does not exist; fields are id, tags, note";
        assert_eq!(message(|def| def.key = vec!["x".into()]), no_field);
        assert_eq!(
            message(|def| def.key = vec!["tags".into()]),
            "table `t`: the key uses the field `tags` of type list<string>; lists and maps cannot be keys"
        );
        assert_eq!(
            message(|def| def.indexes[0].on = IndexOn::Field("tags".into())),
            "table `t`: the secondary index `note` uses the field `tags` of type list<string>; lists and maps cannot be keys"
        );
        assert_eq!(message(|def| def.key.clear()), "table `t` has 0 key fields, allowed are 1 to 8");
        assert_eq!(message(|def| def.key.push("id".into())), "table `t` names the key field `id` twice");
        assert_eq!(
            message(|def| def.shape.fields[1].name = "id".into()),
            "table `t` names the field `id` twice"
        );
        assert_eq!(
            message(|def| def.indexes.push(def.indexes[0].clone())),
            "table `t` names the secondary index `note` twice"
        );
        assert!(message(|def| def.shape.fields[1].name = "a b".into()).starts_with("invalid field name"));
        assert!(
            message(|def| def.options =
                TableOptions { owned: true, local_content: true, ..TableOptions::default() })
            .contains("exclude each other")
        );
        assert!(message(|def| def.shape.version = 0).contains("start at 1"));
        let twice = FieldType::optional(FieldType::optional(FieldType::U64));
        assert!(message(|def| def.shape.fields[2].field_type = twice).contains("field `note`"));
    }

    #[test]
    fn the_limits_on_fields_and_indexes_hold() {
        let mut def = TableDef::builder("t").unwrap().key("f0");
        for place in 0..TableDef::FIELDS_MAX {
            def = def.field(format!("f{place}"), FieldType::U64);
        }
        for place in 0..TableDef::INDEXES_MAX {
            def = def.index(format!("f{place}"));
        }
        assert!(def.clone().build().is_ok());
        assert!(def.clone().index("f70").build().is_err());
        assert!(def.field("one_more", FieldType::U64).build().is_err());
    }

    #[test]
    fn optional_and_float_keys_are_allowed() {
        let def = TableDef::builder("t").unwrap();
        let def = def.field("at", FieldType::F64).field("by", FieldType::optional(FieldType::Bytes));
        assert!(def.key("by").key("at").build().is_ok());
    }
}
