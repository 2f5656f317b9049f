//! Changes of one table's definition while the table is in use.

use std::sync::Arc;

use crate::change::SchemaChange;
use crate::error::SchemaError;
use crate::index_def::IndexDef;
use crate::mode::CopyMode;
use crate::name::TableName;
use crate::shape::RecordShape;
use crate::table::Table;
use crate::table_def::TableDef;
use crate::table_options::TableOption;

/// The table that the change alters; `None` if it is a change of another kind.
pub(crate) fn table_of(change: &SchemaChange) -> Option<&TableName> {
    match change {
        SchemaChange::SetDefaultCopy { table, .. }
        | SchemaChange::SetOption { table, .. }
        | SchemaChange::AddIndex { table, .. }
        | SchemaChange::ActivateIndex { table, .. }
        | SchemaChange::DropIndex { table, .. }
        | SchemaChange::Transform { table, .. }
        | SchemaChange::ForgetFormerShapes { table } => Some(table),
        _ => None,
    }
}

/// The altered table, or `None` if all is already as the change wants it.
pub(crate) fn table(table: &Table, change: &SchemaChange) -> Result<Option<Table>, SchemaError> {
    match change {
        SchemaChange::SetDefaultCopy { mode, .. } => Ok(set_default_copy(table, *mode)),
        SchemaChange::SetOption { option, .. } => set_option(table, *option),
        SchemaChange::AddIndex { index, .. } => add_index(table, index),
        SchemaChange::ActivateIndex { index, .. } => activate_index(table, index),
        SchemaChange::DropIndex { index, .. } => drop_index(table, index).map(Some),
        SchemaChange::Transform { shape, .. } => transform(table, shape),
        SchemaChange::ForgetFormerShapes { .. } => Ok(forget_former(table)),
        _ => Ok(None),
    }
}

fn set_default_copy(table: &Table, mode: CopyMode) -> Option<Table> {
    if table.def.copy == mode && table.copies.is_empty() {
        return None;
    }
    let mut next = with_def(table, |def| def.copy = mode);
    // A node that was told to hold no copy still holds none; one in a mode of its own follows the table.
    next.copies.retain(|_, mode| mode.is_none());
    Some(next)
}

fn set_option(table: &Table, option: TableOption) -> Result<Option<Table>, SchemaError> {
    let options = table.def.options.with(option);
    if options == table.def.options {
        return Ok(None);
    }
    let next = with_def(table, |def| def.options = options);
    next.def.validate()?;
    Ok(Some(next))
}

fn add_index(table: &Table, index: &IndexDef) -> Result<Option<Table>, SchemaError> {
    match table.def.index(&index.name) {
        Some(existing) if existing == index => return Ok(None),
        Some(existing) => {
            return Err(SchemaError::IndexDiffers {
                table: table.def.name.clone(),
                index: index.name.clone(),
                exists: existing.on.to_string(),
            });
        }
        None => {}
    }
    let mut next = with_def(table, |def| def.indexes.push(index.clone()));
    next.def.validate()?;
    next.building.insert(index.name.clone());
    Ok(Some(next))
}

fn activate_index(table: &Table, name: &str) -> Result<Option<Table>, SchemaError> {
    require_index(table, name)?;
    let mut next = table.clone();
    Ok(next.building.remove(name).then_some(next))
}

fn drop_index(table: &Table, name: &str) -> Result<Table, SchemaError> {
    require_index(table, name)?;
    let mut next = with_def(table, |def| def.indexes.retain(|index| index.name != name));
    next.building.remove(name);
    Ok(next)
}

fn require_index(table: &Table, name: &str) -> Result<(), SchemaError> {
    let missing = || SchemaError::NoSuchIndex {
        table: table.def.name.clone(),
        index: name.to_owned(),
        known: table.def.indexes.iter().map(|index| index.name.as_str()).collect::<Vec<_>>().join(", "),
    };
    table.def.index(name).map(|_| ()).ok_or_else(missing)
}

fn transform(table: &Table, shape: &RecordShape) -> Result<Option<Table>, SchemaError> {
    let present = &table.def.shape;
    if present == shape {
        return Ok(None);
    }
    if shape.version <= present.version {
        return Err(SchemaError::VersionNotRaised {
            table: table.def.name.clone(),
            present: present.version,
            asked: shape.version,
        });
    }
    if table.def.options.local_content {
        return Err(SchemaError::LocalTransform { table: table.def.name.clone() });
    }
    let next = with_def(table, |def| def.shape = shape.clone());
    next.def.validate()?;
    for key in table.def.key_fields() {
        if next.def.shape.field(&key.name) != Some(key) {
            return Err(SchemaError::KeyChanged {
                table: table.def.name.clone(),
                field: key.name.clone(),
                field_type: key.field_type.to_string(),
            });
        }
    }
    let mut former = next.former.clone();
    former.push(present.clone());
    Ok(Some(Table { former, ..next }))
}

fn forget_former(table: &Table) -> Option<Table> {
    (!table.former.is_empty()).then(|| Table { former: Vec::new(), ..table.clone() })
}

fn with_def(table: &Table, change: impl FnOnce(&mut TableDef)) -> Table {
    let mut def = TableDef::clone(&table.def);
    change(&mut def);
    Table { def: Arc::new(def), ..table.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldType;
    use crate::name::NodeName;
    use crate::schema::Schema;

    fn schema() -> Schema {
        let def = TableDef::builder("t").unwrap().field("id", FieldType::U64).field("a", FieldType::String);
        Schema::default().apply(&def.key("id").build().unwrap().into()).unwrap().unwrap()
    }

    fn name(name: &str) -> TableName {
        TableName::new(name).unwrap()
    }

    fn apply(schema: &Schema, changes: &[SchemaChange]) -> Schema {
        changes.iter().fold(schema.clone(), |schema, change| schema.apply(change).unwrap().unwrap())
    }

    fn refusal(schema: &Schema, change: SchemaChange) -> String {
        schema.apply(&change).unwrap_err().to_string()
    }

    #[test]
    fn an_index_is_built_before_it_counts_and_may_be_dropped() {
        let add = SchemaChange::AddIndex { table: name("t"), index: IndexDef::on_field("a") };
        let activate = SchemaChange::ActivateIndex { table: name("t"), index: "a".into() };
        let drop = SchemaChange::DropIndex { table: name("t"), index: "a".into() };
        let building = apply(&schema(), std::slice::from_ref(&add));
        assert!(building.table("t").unwrap().building.contains("a"));
        assert!(building.apply(&add).unwrap().is_none());
        let active = apply(&building, std::slice::from_ref(&activate));
        assert!(active.table("t").unwrap().building.is_empty());
        assert!(active.apply(&activate).unwrap().is_none());
        let other = IndexDef::on_field("a").unique();
        assert!(
            refusal(&active, SchemaChange::AddIndex { table: name("t"), index: other }).contains("drop it")
        );
        let without = apply(&active, std::slice::from_ref(&drop));
        assert!(without.table("t").unwrap().def.indexes.is_empty());
        assert!(refusal(&without, drop).contains("no secondary index `a`"));
        let missing = IndexDef::on_field("x");
        assert!(
            refusal(&without, SchemaChange::AddIndex { table: name("t"), index: missing })
                .contains("does not exist")
        );
    }

    #[test]
    fn a_table_changes_its_name_and_may_take_the_place_of_another() {
        let def = TableDef::builder("u").unwrap().field("id", FieldType::U64).key("id").build().unwrap();
        let two = apply(&schema(), &[def.into()]);
        let id = two.table("u").unwrap().id;
        let rename = |from, to| SchemaChange::RenameTable { from: name(from), to: name(to) };
        assert!(refusal(&two, rename("t", "u")).contains("is taken"));
        let renamed = apply(&two, &[rename("u", "v")]);
        assert_eq!(renamed.table("v").unwrap().id, id);
        assert_eq!(renamed.table_by_id(id).unwrap().def.name, "v");
        assert!(renamed.table("u").is_none());
        let replace = SchemaChange::ReplaceTable { table: name("v"), replaces: name("t") };
        let replaced = apply(&renamed, &[replace]);
        assert_eq!(replaced.tables().len(), 1);
        assert_eq!(replaced.table("t").unwrap().id, id);
        let itself = SchemaChange::ReplaceTable { table: name("t"), replaces: name("t") };
        assert!(refusal(&replaced, itself).contains("itself"));
    }

    #[test]
    fn options_change_one_by_one_and_must_not_contradict_each_other() {
        let set = |option| SchemaChange::SetOption { table: name("t"), option };
        let changed = apply(&schema(), &[set(TableOption::ReadOnly(true)), set(TableOption::TtlMs(Some(5)))]);
        let options = &changed.table("t").unwrap().def.options;
        assert!(options.read_only && options.ttl_ms == Some(5));
        assert!(changed.apply(&set(TableOption::ReadOnly(true))).unwrap().is_none());
        assert!(refusal(&changed, set(TableOption::RecordsMax(Some(0)))).contains("records_max is 0"));
    }

    #[test]
    fn a_new_default_mode_replaces_modes_of_single_nodes_but_not_missing_copies() {
        let node = |text: &str| NodeName::new(text).unwrap();
        let changed = apply(
            &schema(),
            &[
                SchemaChange::SetCopy { table: name("t"), node: node("a@h"), mode: CopyMode::DiscOnly },
                SchemaChange::DeleteCopy { table: name("t"), node: node("b@h") },
                SchemaChange::SetDefaultCopy { table: name("t"), mode: CopyMode::Ram },
            ],
        );
        assert_eq!(changed.mode_on("t", &node("a@h")), Some(CopyMode::Ram));
        assert_eq!(changed.mode_on("t", &node("b@h")), None);
    }

    #[test]
    fn a_new_shape_needs_a_greater_version_and_the_same_key() {
        let transform = |shape| SchemaChange::Transform { table: name("t"), shape };
        let wider = RecordShape::new(
            2,
            [("id", FieldType::U64), ("a", FieldType::String), ("b", FieldType::optional(FieldType::Bool))],
        );
        let changed = apply(&schema(), &[transform(wider.clone())]);
        let table = changed.table("t").unwrap();
        assert_eq!(table.former.len(), 1);
        assert_eq!(table.shape(1).unwrap().fields.len(), 2);
        assert_eq!(table.shape(2).unwrap().fields.len(), 3);
        assert!(changed.apply(&transform(wider)).unwrap().is_none());
        let same_version = RecordShape::new(2, [("id", FieldType::U64)]);
        assert!(refusal(&changed, transform(same_version)).contains("record version 2"));
        let other_key = RecordShape::new(3, [("id", FieldType::String)]);
        assert!(refusal(&changed, transform(other_key)).contains("key field `id`"));
        let forgotten = apply(&changed, &[SchemaChange::ForgetFormerShapes { table: name("t") }]);
        assert!(forgotten.table("t").unwrap().former.is_empty());
    }
}
