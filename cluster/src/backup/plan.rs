//! What a restore is going to do with each table. Pure: the backup's tables and those of the cluster go in.

use std::collections::{BTreeMap, BTreeSet};

use tabularaft_schema::{TableDef, TableId, TableName};
use tabularaft_store::BackupTable;

use super::error::BackupFailure;
use super::options::{OnExisting, RestoreOptions};

/// A table of the cluster.
#[derive(Debug, Clone)]
pub(super) struct Existing {
    pub(super) id: TableId,
    pub(super) def: TableDef,
    /// How many records it holds, if the asked node knows.
    pub(super) records: Option<u64>,
}

/// What is to be done with one table of the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    /// Its place in the backup.
    pub(super) place: usize,
    /// Its definition under its new name.
    pub(super) def: TableDef,
    pub(super) how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Filled under a hidden name, then put in the place of the table of this id, if there is one.
    Load { replaces: Option<TableId> },
    /// As `Load`, in the place of a table that holds no record, and only if it still holds none by then.
    LoadIfEmpty { replaces: TableId },
    /// Its records are added to the table of this id.
    Merge { to: TableId },
    /// Created empty, unless it exists.
    DefinitionOnly { exists: bool },
}

impl How {
    /// Whether a hidden table is filled.
    pub(super) fn loads(self) -> bool {
        matches!(self, How::Load { .. } | How::LoadIfEmpty { .. })
    }

    /// The table that goes.
    pub(super) fn replaces(self) -> Option<TableId> {
        match self {
            How::Load { replaces } => replaces,
            How::LoadIfEmpty { replaces } => Some(replaces),
            How::Merge { .. } | How::DefinitionOnly { .. } => None,
        }
    }
}

/// Decides on every table that was asked for, or refuses all.
pub(super) fn plan(
    tables: &[BackupTable],
    existing: &BTreeMap<TableName, Existing>,
    options: &RestoreOptions,
) -> Result<Vec<Planned>, BackupFailure> {
    for name in options.tables.iter().chain(options.into.keys()) {
        if tables.iter().all(|table| table.def.name != *name) {
            let known: Vec<&str> = tables.iter().map(|table| table.def.name.as_str()).collect();
            return Err(BackupFailure::NotInBackup { table: name.clone(), known: known.join(", ") });
        }
    }
    let mut names = BTreeSet::new();
    let wanted = |name: &TableName| options.tables.is_empty() || options.tables.contains(name);
    let mut planned = Vec::new();
    for (place, table) in tables.iter().enumerate().filter(|(_, table)| wanted(&table.def.name)) {
        let name = options.into.get(&table.def.name).unwrap_or(&table.def.name).clone();
        if !names.insert(name.clone()) {
            return Err(BackupFailure::SameName { table: name });
        }
        let def = TableDef { name, ..TableDef::clone(&table.def) };
        let how = how(table, &def, existing.get(&def.name), options.on_existing)?;
        planned.push(Planned { place, def, how });
    }
    Ok(planned)
}

fn how(
    table: &BackupTable,
    def: &TableDef,
    existing: Option<&Existing>,
    on_existing: OnExisting,
) -> Result<How, BackupFailure> {
    // Records that belong to single nodes or incarnations belong to nobody here.
    if !table.has_records || def.options.owned {
        return Ok(How::DefinitionOnly { exists: existing.is_some() });
    }
    let Some(existing) = existing else { return Ok(How::Load { replaces: None }) };
    match on_existing {
        OnExisting::Replace => Ok(How::Load { replaces: Some(existing.id) }),
        OnExisting::Merge => {
            refuse_if(def, existing, |property| {
                property.starts_with("field ") || matches!(property, "kind" | "key" | "record version")
            })?;
            Ok(How::Merge { to: existing.id })
        }
        OnExisting::Refuse if existing.records == Some(0) => {
            refuse_if(def, existing, |_| true)?;
            Ok(How::LoadIfEmpty { replaces: existing.id })
        }
        OnExisting::Refuse => Err(BackupFailure::Exists {
            table: def.name.clone(),
            records: existing
                .records
                .map_or("an unknown number of".to_owned(), |records| records.to_string()),
        }),
    }
}

/// Refuses definitions that differ in a property that matters.
fn refuse_if(
    def: &TableDef,
    existing: &Existing,
    matters: impl Fn(&str) -> bool,
) -> Result<(), BackupFailure> {
    let mut differences = def.differences(&existing.def);
    differences.retain(|difference| matters(&difference.field));
    if differences.is_empty() {
        return Ok(());
    }
    Err(BackupFailure::Definition { table: def.name.clone(), differences })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tabularaft_schema::{CopyMode, FieldType};

    use super::*;

    fn name(text: &str) -> TableName {
        text.parse().unwrap()
    }

    fn def(text: &str) -> TableDef {
        TableDef::builder(text).unwrap().field("id", FieldType::U64).key("id").build().unwrap()
    }

    fn backed_up(names: &[&str]) -> Vec<BackupTable> {
        let table = |text: &&str| BackupTable { id: TableId(7), def: Arc::new(def(text)), has_records: true };
        names.iter().map(table).collect()
    }

    fn holding(text: &str, records: u64) -> BTreeMap<TableName, Existing> {
        let existing = Existing { id: TableId(3), def: def(text), records: Some(records) };
        BTreeMap::from([(name(text), existing)])
    }

    fn how_of(
        existing: &BTreeMap<TableName, Existing>,
        on_existing: OnExisting,
    ) -> Result<How, BackupFailure> {
        let options = RestoreOptions { on_existing, ..RestoreOptions::default() };
        plan(&backed_up(&["t"]), existing, &options).map(|planned| planned[0].how)
    }

    #[test]
    fn a_table_that_holds_records_is_refused_unless_told_otherwise() {
        let refused = how_of(&holding("t", 5), OnExisting::Refuse).unwrap_err().to_string();
        assert!(
            refused.contains("table t exists with 5 records") && refused.contains("--replace"),
            "{refused}"
        );
        let replaces = How::Load { replaces: Some(TableId(3)) };
        assert_eq!(how_of(&holding("t", 5), OnExisting::Replace).unwrap(), replaces);
        assert_eq!(how_of(&holding("t", 5), OnExisting::Merge).unwrap(), How::Merge { to: TableId(3) });
        let if_empty = How::LoadIfEmpty { replaces: TableId(3) };
        assert_eq!(how_of(&holding("t", 0), OnExisting::Refuse).unwrap(), if_empty, "nothing is lost");
        assert_eq!(how_of(&BTreeMap::new(), OnExisting::Refuse).unwrap(), How::Load { replaces: None });
    }

    #[test]
    fn another_definition_is_refused_where_it_matters() {
        let mut existing = holding("t", 0);
        existing.get_mut("t").unwrap().def.copy = CopyMode::Ram;
        let refused = how_of(&existing, OnExisting::Refuse).unwrap_err().to_string();
        assert!(refused.contains("copy is disc here and ram there"), "{refused}");
        assert!(how_of(&existing, OnExisting::Merge).is_ok(), "a record is the same in every copy mode");
        existing.get_mut("t").unwrap().def.shape.version = 2;
        assert!(how_of(&existing, OnExisting::Merge).is_err());
    }

    #[test]
    fn tables_are_chosen_and_renamed_by_their_names_in_the_backup() {
        let mut options = RestoreOptions { tables: vec![name("b")], ..RestoreOptions::default() };
        options.into.insert(name("b"), name("c"));
        let planned = plan(&backed_up(&["a", "b"]), &holding("b", 5), &options).unwrap();
        assert_eq!((planned.len(), planned[0].place, planned[0].def.name.as_str()), (1, 1, "c"));

        options.tables.push(name("x"));
        let refused = plan(&backed_up(&["a", "b"]), &BTreeMap::new(), &options).unwrap_err();
        assert_eq!(refused.to_string(), "there is no table x in the backup; it holds a, b");

        let into = BTreeMap::from([(name("a"), name("b"))]);
        let options = RestoreOptions { into, ..RestoreOptions::default() };
        let refused = plan(&backed_up(&["a", "b"]), &BTreeMap::new(), &options).unwrap_err();
        assert!(matches!(refused, BackupFailure::SameName { table } if table == name("b")));
    }

    #[test]
    fn of_tables_whose_records_belong_to_nodes_only_the_definition_is_restored() {
        let mut tables = backed_up(&["local", "owned"]);
        tables[0].has_records = false;
        Arc::make_mut(&mut tables[1].def).options.owned = true;
        let options = RestoreOptions { on_existing: OnExisting::Replace, ..RestoreOptions::default() };
        let planned = plan(&tables, &holding("owned", 5), &options).unwrap();
        let hows: Vec<How> = planned.iter().map(|planned| planned.how).collect();
        let wanted = [How::DefinitionOnly { exists: false }, How::DefinitionOnly { exists: true }];
        assert_eq!(hows, wanted);
    }
}
