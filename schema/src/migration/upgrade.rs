//! All former versions of a table's records, read as its present one.

use std::collections::BTreeMap;

use super::automatic::Automatic;
use super::registered::{Migration, MigrationStep};
use crate::error::MigrationError;
use crate::name::TableName;
use crate::shape::RecordShape;
use crate::table::Table;

/// Reads records of former versions of a table as records of its present version.
///
/// From one version to another lead the migrations that the program has registered, the one that leads furthest first,
/// and between neighbouring versions without any the changes that need none: fields that were dropped, reordered or
/// made optional, and new ones that are optional, lists or maps.
///
/// ```
/// use tabularaft_schema::{FieldType, RecordShape, Schema, SchemaChange, TableDef, Upgrade};
///
/// let def = TableDef::builder("upgraded_part")?.field("id", FieldType::U64).field("size", FieldType::U64).key("id").build()?;
/// let (name, record) = (def.name.clone(), def.shape.from_json(&serde_json::json!({"id": 1, "size": 2}))?);
/// let schema = Schema::default().apply(&def.into())?.expect("the table is new");
/// let shape = RecordShape::new(2, [("id", FieldType::U64), ("note", FieldType::optional(FieldType::String))]);
/// let schema = schema.apply(&SchemaChange::Transform { table: name, shape })?.expect("the shape is new");
///
/// let table = schema.table("upgraded_part").expect("it is there");
/// let upgraded = Upgrade::of(table).record(1, &record)?;
/// assert_eq!(table.def.shape.to_json(&upgraded)?.to_string(), r#"{"id":1,"note":null}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Upgrade {
    table: TableName,
    present: u32,
    /// The way from each former version, or what is missing on it.
    ways: BTreeMap<u32, Result<Vec<Step>, MigrationError>>,
}

/// From one version to a later one.
#[derive(Debug)]
struct Step {
    from: RecordShape,
    /// Unknown for a version that the table never had, through which migrations between types lead.
    to: Option<RecordShape>,
    to_version: u32,
    how: How,
}

enum How {
    Registered(MigrationStep),
    Automatic(Automatic),
}

impl std::fmt::Debug for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Registered(_) => "registered",
            Self::Automatic(_) => "automatic",
        })
    }
}

impl Upgrade {
    /// How the records of the table's former versions are read.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        let present = table.def.shape.version;
        let ways = table.former.iter().map(|shape| (shape.version, way(table, shape, present)));
        Self { table: table.def.name.clone(), present, ways: ways.collect() }
    }

    /// Checks that there is a way from every former version.
    ///
    /// # Errors
    /// [`MigrationError::Missing`] says between which versions there is none, and why it takes a migration.
    pub fn check(&self) -> Result<(), MigrationError> {
        let missing = self.ways.values().find_map(|way| way.as_ref().err());
        missing.map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Whether no migration has a part in it, so that every field which kept its name and type kept its values.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        let automatic = |step: &Step| matches!(step.how, How::Automatic(_));
        self.ways.values().all(|way| way.as_ref().is_ok_and(|steps| steps.iter().all(automatic)))
    }

    /// The record of an earlier version as one of the present version.
    ///
    /// # Errors
    /// There is no way from this version, or a migration refuses the record.
    pub fn record(&self, version: u32, record: &[u8]) -> Result<Vec<u8>, MigrationError> {
        let way = self.ways.get(&version).ok_or_else(|| MigrationError::UnknownVersion {
            table: self.table.clone(),
            version,
            present: self.present,
        })?;
        let mut record = record.to_vec();
        for step in way.as_ref().map_err(Clone::clone)? {
            record = step.migrate(&record).map_err(|problem| MigrationError::Refused {
                table: self.table.clone(),
                from: step.from.version,
                to: step.to_version,
                problem,
            })?;
        }
        Ok(record)
    }
}

impl Step {
    fn migrate(&self, record: &[u8]) -> Result<Vec<u8>, String> {
        let text = |error: crate::error::RecordError| error.to_string();
        let encode = |values: &[crate::value::Value]| match &self.to {
            Some(shape) => shape.encode(values).map_err(text),
            None => Err(format!("the table never had records of version {}", self.to_version)),
        };
        let migrated = match &self.how {
            How::Registered(MigrationStep::Records(migrate)) => migrate(record)?,
            How::Registered(MigrationStep::Values(migrate)) => {
                encode(&migrate(self.from.decode(record).map_err(text)?)?)?
            }
            How::Automatic(automatic) => {
                encode(&automatic.migrate(&self.from.decode(record).map_err(text)?))?
            }
        };
        if let Some(shape) = &self.to {
            shape
                .check(&migrated)
                .map_err(|error| format!("it makes no record of the new shape: {error}"))?;
        }
        Ok(migrated)
    }
}

/// The steps from a shape to the present version.
fn way(table: &Table, from: &RecordShape, present: u32) -> Result<Vec<Step>, MigrationError> {
    if from.version == present {
        return Ok(Vec::new());
    }
    for (to_version, how) in Migration::from_version(table.def.name.as_str(), from.version, present) {
        let to = table.shape(to_version).cloned();
        let next = to.clone().unwrap_or_else(|| RecordShape { version: to_version, fields: Vec::new() });
        if let Ok(rest) = way(table, &next, present) {
            let first = Step { from: from.clone(), to, to_version, how: How::Registered(how) };
            return Ok(std::iter::once(first).chain(rest).collect());
        }
    }
    let missing = |to: u32, why: String| MigrationError::Missing {
        table: table.def.name.clone(),
        from: from.version,
        to,
        why,
    };
    let known = table.former.iter().chain([&table.def.shape]);
    let next = known.filter(|shape| shape.version > from.version).min_by_key(|shape| shape.version);
    let next = next.ok_or_else(|| missing(present, "the present shape is older".to_owned()))?;
    if from.fields.is_empty() {
        return Err(missing(
            next.version,
            format!("the table never had records of version {}", from.version),
        ));
    }
    let automatic = Automatic::between(from, next).map_err(|why| missing(next.version, why))?;
    let first = Step {
        from: from.clone(),
        to: Some(next.clone()),
        to_version: next.version,
        how: How::Automatic(automatic),
    };
    Ok(std::iter::once(first).chain(way(table, next, present)?).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::SchemaChange;
    use crate::field::FieldType;
    use crate::schema::Schema;
    use crate::table_def::TableDef;
    use crate::value::Value;

    fn doubled(mut values: Vec<Value>) -> Result<Vec<Value>, String> {
        match values.get_mut(1) {
            Some(Value::U64(size)) if *size < 100 => *size *= 2,
            _ => return Err("the size is 100 or more".to_owned()),
        }
        Ok(values)
    }

    crate::register_migration!("migrated", 1 => 2, doubled);

    /// A table whose shapes were these, from version 1 on.
    fn table(name: &str, shapes: &[&[(&str, &str)]]) -> std::sync::Arc<Table> {
        let shape = |version: usize, fields: &[(&str, &str)]| {
            RecordShape::new(version as u32, fields.iter().map(|(name, of)| (*name, of.parse().unwrap())))
        };
        let mut def = TableDef::builder(name).unwrap().field("id", FieldType::U64).key("id").build().unwrap();
        def.shape = shape(1, shapes[0]);
        let mut schema = Schema::default().apply(&def.into()).unwrap().unwrap();
        for (at, fields) in shapes.iter().enumerate().skip(1) {
            let change =
                SchemaChange::Transform { table: name.parse().unwrap(), shape: shape(at + 1, fields) };
            schema = schema.apply(&change).unwrap().unwrap();
        }
        std::sync::Arc::clone(schema.table(name).unwrap())
    }

    fn upgraded(table: &Table, version: u32, json: &str) -> Result<String, MigrationError> {
        let shape = table.shape(version).unwrap();
        let record = shape.from_json(&serde_json::from_str(json).unwrap()).unwrap();
        let record = Upgrade::of(table).record(version, &record)?;
        Ok(table.def.shape.to_json(&record).unwrap().to_string())
    }

    #[test]
    fn fields_are_dropped_reordered_made_optional_and_added_without_a_migration() {
        let table = table(
            "plain",
            &[
                &[("id", "u64"), ("a", "string"), ("b", "u64")],
                &[("b", "u64?"), ("id", "u64"), ("tags", "list<string>"), ("c", "bool?"), ("m", "map<u64>")],
            ],
        );
        Upgrade::of(&table).check().unwrap();
        assert!(Upgrade::of(&table).is_automatic());
        assert_eq!(
            upgraded(&table, 1, r#"{"id":1,"a":"x","b":2}"#).unwrap(),
            r#"{"b":2,"id":1,"tags":[],"c":null,"m":{}}"#
        );
    }

    #[test]
    fn what_needs_a_migration_is_named_with_both_versions() {
        let new: &[(&str, &str)] = &[("id", "u64"), ("size", "u64")];
        let message = |shapes: &[&[(&str, &str)]]| {
            Upgrade::of(&table("missing", shapes)).check().unwrap_err().to_string()
        };
        let told = message(&[&[("id", "u64")], new]);
        assert!(
            told.contains("`size` of type u64 is new") && told.contains("from record version 1 to 2"),
            "{told}"
        );
        let told = message(&[&[("id", "u64"), ("size", "string")], new]);
        assert!(told.contains("`size` was string and is to be u64"), "{told}");
    }

    #[test]
    fn a_registered_migration_comes_first_and_the_rest_of_the_way_may_be_automatic() {
        let old: &[(&str, &str)] = &[("id", "u64"), ("size", "u64")];
        let table = table("migrated", &[old, old, &[("id", "u64"), ("size", "u64"), ("note", "string?")]]);
        Upgrade::of(&table).check().unwrap();
        assert!(!Upgrade::of(&table).is_automatic());
        let json = r#"{"id":1,"size":7}"#;
        assert_eq!(upgraded(&table, 1, json).unwrap(), r#"{"id":1,"size":14,"note":null}"#);
        assert_eq!(upgraded(&table, 2, json).unwrap(), r#"{"id":1,"size":7,"note":null}"#);
        let refused = upgraded(&table, 1, r#"{"id":1,"size":100}"#).unwrap_err().to_string();
        assert!(
            refused.contains("from record version 1 to 2") && refused.contains("100 or more"),
            "{refused}"
        );
        let unknown = Upgrade::of(&table).record(9, b"").unwrap_err().to_string();
        assert!(unknown.contains("record version 9"), "{unknown}");
    }

    #[test]
    fn a_field_that_was_dropped_and_came_back_is_empty() {
        let with: &[(&str, &str)] = &[("id", "u64"), ("a", "string?")];
        let table = table("back", &[with, &[("id", "u64")], with]);
        assert_eq!(upgraded(&table, 1, r#"{"id":1,"a":"old"}"#).unwrap(), r#"{"id":1,"a":null}"#);
    }
}
