//! The schema: all tables of a cluster, with a version.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::alter;
use crate::change::SchemaChange;
use crate::error::SchemaError;
use crate::mode::CopyMode;
use crate::name::{NodeName, TableName};
use crate::table::{Table, TableId};
use crate::table_def::TableDef;

/// All tables of a cluster, at one version. A schema never changes; [`apply`](Schema::apply) makes the next one.
///
/// ```
/// use tabularaft_schema::{CopyMode, FieldType, NodeName, Schema, SchemaChange, TableDef};
///
/// let def = TableDef::builder("session")?.field("client", FieldType::String).key("client").build()?;
/// let name = def.name.clone();
/// let create = SchemaChange::from(def);
/// let schema = Schema::default().apply(&create)?.expect("the table is new");
/// assert!(schema.apply(&create)?.is_none(), "creating the same table again changes nothing");
///
/// let node: NodeName = "n1@host".parse()?;
/// assert_eq!(schema.mode_on("session", &node), Some(CopyMode::Disc));
/// let without = schema.apply(&SchemaChange::DeleteCopy { table: name, node: node.clone() })?;
/// assert_eq!(without.expect("the node had a copy").mode_on("session", &node), None);
/// # Ok::<(), tabularaft_schema::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Schema {
    version: u64,
    /// Every table's id is less than this.
    next_table_id: u64,
    tables: BTreeMap<TableName, Arc<Table>>,
    /// The same tables by their ids.
    by_id: HashMap<TableId, Arc<Table>>,
}

impl Default for Schema {
    fn default() -> Self {
        Self { version: 0, next_table_id: 1, tables: BTreeMap::new(), by_id: HashMap::new() }
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        // `by_id` follows from `tables`.
        self.version == other.version
            && self.next_table_id == other.next_table_id
            && self.tables == other.tables
    }
}

impl Eq for Schema {}

impl Schema {
    /// The most tables a schema may hold.
    pub const TABLES_MAX: usize = 16_384;

    /// The number of changes that led to this schema.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The number the next table gets.
    #[must_use]
    pub const fn next_table_id(&self) -> TableId {
        TableId(self.next_table_id)
    }

    /// All tables, sorted by name.
    pub fn tables(&self) -> impl ExactSizeIterator<Item = &Arc<Table>> + DoubleEndedIterator {
        self.tables.values()
    }

    /// The table of this name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.get(name)
    }

    /// The table of this number.
    #[must_use]
    pub fn table_by_id(&self, id: TableId) -> Option<&Arc<Table>> {
        self.by_id.get(&id)
    }

    /// The table of this name, or the error that says it is missing.
    ///
    /// # Errors
    /// [`SchemaError::NoSuchTable`].
    pub fn require(&self, name: &TableName) -> Result<&Arc<Table>, SchemaError> {
        self.table(name).ok_or_else(|| SchemaError::NoSuchTable { table: name.clone() })
    }

    /// How a node holds a table: `None` if it holds no copy, or there is no such table.
    #[must_use]
    pub fn mode_on(&self, table: &str, node: &NodeName) -> Option<CopyMode> {
        self.table(table)?.mode_on(node)
    }

    /// The schema after a change, or `None` if all is already as the change wants it.
    ///
    /// The outcome depends on the schema and the change alone, so every node that applies the same changes in the
    /// same order has the same schema.
    ///
    /// # Errors
    /// [`SchemaError`] if the change is refused.
    pub fn apply(&self, change: &SchemaChange) -> Result<Option<Self>, SchemaError> {
        match change {
            SchemaChange::CreateTable(def) => self.create(def),
            SchemaChange::DropTable(name) => self.drop_table(name).map(Some),
            SchemaChange::SetCopy { table, node, mode } => self.set_copy(table, node, Some(*mode)),
            SchemaChange::DeleteCopy { table, node } => self.set_copy(table, node, None),
            SchemaChange::ForgetNode(node) => Ok(self.forget(node)),
            SchemaChange::RenameNode { from, to } => self.rename(from, to),
            SchemaChange::RenameTable { from, to } => self.rename_table(from, to),
            SchemaChange::ReplaceTable { table, replaces } => self.replace_table(table, replaces).map(Some),
            _ => self.alter(change),
        }
    }

    fn create(&self, def: &TableDef) -> Result<Option<Self>, SchemaError> {
        def.validate()?;
        if let Some(existing) = self.table(&def.name) {
            let mut differences = def.differences(&existing.def);
            // Indexes may be added while the table is in use, and the program that declares it need not know.
            differences.retain(|difference| !(difference.is_of_index() && difference.ours == "none"));
            if differences.is_empty() {
                return Ok(None);
            }
            return Err(SchemaError::DefinitionDiffers { table: def.name.clone(), differences });
        }
        if self.tables.len() >= Self::TABLES_MAX {
            return Err(SchemaError::TooManyTables { tables_max: Self::TABLES_MAX });
        }
        let table = Table::new(self.next_table_id(), Arc::new(def.clone()));
        let mut next = self.next_version();
        next.next_table_id += 1;
        next.insert(table);
        Ok(Some(next))
    }

    fn drop_table(&self, name: &TableName) -> Result<Self, SchemaError> {
        let id = self.require(name)?.id;
        let mut next = self.next_version();
        next.tables.remove(name);
        next.by_id.remove(&id);
        Ok(next)
    }

    fn rename_table(&self, from: &TableName, to: &TableName) -> Result<Option<Self>, SchemaError> {
        let table = self.require(from)?;
        if from == to {
            return Ok(None);
        }
        if self.table(to).is_some() {
            return Err(SchemaError::TableNameTaken { from: from.clone(), to: to.clone() });
        }
        require_one_version(table)?;
        Ok(Some(self.with_name(table, to)))
    }

    fn replace_table(&self, name: &TableName, replaces: &TableName) -> Result<Self, SchemaError> {
        let table = self.require(name)?;
        if name == replaces {
            return Err(SchemaError::ReplacesItself { table: name.clone() });
        }
        self.require(replaces)?;
        require_one_version(table)?;
        Ok(self.drop_table(replaces)?.with_name(table, replaces))
    }

    fn with_name(&self, table: &Table, name: &TableName) -> Self {
        let def = TableDef { name: name.clone(), ..TableDef::clone(&table.def) };
        let mut next = self.with_tables([Table { def: Arc::new(def), ..table.clone() }]);
        next.tables.remove(&table.def.name);
        next
    }

    fn alter(&self, change: &SchemaChange) -> Result<Option<Self>, SchemaError> {
        let Some(name) = alter::table_of(change) else { return Ok(None) };
        let altered = alter::table(self.require(name)?, change)?;
        Ok(altered.map(|table| self.with_tables([table])))
    }

    fn set_copy(
        &self,
        name: &TableName,
        node: &NodeName,
        mode: Option<CopyMode>,
    ) -> Result<Option<Self>, SchemaError> {
        let table = self.require(name)?;
        if mode.is_none() && table.def.options.local_content {
            return Err(SchemaError::LocalContent { table: name.clone(), node: node.clone() });
        }
        Ok(table.with_copy(node, mode).map(|table| self.with_tables([table])))
    }

    fn forget(&self, node: &NodeName) -> Option<Self> {
        let changed: Vec<_> = self
            .tables_mentioning(node)
            .map(|table| {
                let mut table = table.clone();
                table.copies.remove(node);
                table
            })
            .collect();
        (!changed.is_empty()).then(|| self.with_tables(changed))
    }

    fn rename(&self, from: &NodeName, to: &NodeName) -> Result<Option<Self>, SchemaError> {
        if from == to {
            return Ok(None);
        }
        if self.tables_mentioning(to).next().is_some() {
            return Err(SchemaError::NodeNameTaken { from: from.clone(), to: to.clone() });
        }
        let changed: Vec<_> = self
            .tables_mentioning(from)
            .map(|table| {
                let mut table = table.clone();
                if let Some(mode) = table.copies.remove(from) {
                    table.copies.insert(to.clone(), mode);
                }
                table
            })
            .collect();
        Ok((!changed.is_empty()).then(|| self.with_tables(changed)))
    }

    fn tables_mentioning(&self, node: &NodeName) -> impl Iterator<Item = &Table> {
        self.tables.values().map(Arc::as_ref).filter(|table| table.copies.contains_key(node))
    }

    fn with_tables(&self, tables: impl IntoIterator<Item = Table>) -> Self {
        let mut next = self.next_version();
        tables.into_iter().for_each(|table| next.insert(table));
        next
    }

    fn next_version(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    fn insert(&mut self, table: Table) {
        let table = Arc::new(table);
        self.by_id.insert(table.id, Arc::clone(&table));
        self.tables.insert(table.def.name.clone(), table);
    }

    /// A schema read from its serialised form, if the parts agree with each other.
    pub(crate) fn from_parts(
        version: u64,
        next_table_id: u64,
        tables: Vec<Table>,
    ) -> Result<Self, &'static str> {
        let count = tables.len();
        let mut schema = Self { version, next_table_id, ..Self::default() };
        for table in tables {
            if table.id.0 >= next_table_id {
                return Err("a table has a number that is not yet given");
            }
            if table.def.options.local_content && table.copies.values().any(Option::is_none) {
                return Err("a node is without its copy of a table with local content");
            }
            schema.insert(table);
        }
        if schema.tables.len() == count && schema.by_id.len() == count {
            Ok(schema)
        } else {
            Err("two tables have the same name or number")
        }
    }
}

fn require_one_version(table: &Table) -> Result<(), SchemaError> {
    match table.former.is_empty() {
        true => Ok(()),
        false => Err(SchemaError::BeingTransformed { table: table.def.name.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::FieldType;
    use crate::kind::TableKind;

    fn def(name: &str) -> TableDef {
        TableDef::builder(name).unwrap().field("id", FieldType::U64).key("id").build().unwrap()
    }

    fn with(names: &[&str]) -> Schema {
        let create = |schema: Schema, name: &&str| schema.apply(&def(name).into()).unwrap().unwrap();
        names.iter().fold(Schema::default(), create)
    }

    fn node(name: &str) -> NodeName {
        NodeName::new(&format!("{name}@host")).unwrap()
    }

    fn table(name: &str) -> TableName {
        TableName::new(name).unwrap()
    }

    fn set_copy(name: &str, on: &str, mode: CopyMode) -> SchemaChange {
        SchemaChange::SetCopy { table: table(name), node: node(on), mode }
    }

    fn delete_copy(name: &str, on: &str) -> SchemaChange {
        SchemaChange::DeleteCopy { table: table(name), node: node(on) }
    }

    #[test]
    fn a_table_number_is_never_used_again() {
        let schema = with(&["a", "b"]);
        assert_eq!(schema.table("b").unwrap().id, TableId(2));
        let schema = schema.apply(&SchemaChange::DropTable(table("b"))).unwrap().unwrap();
        assert!(schema.table("b").is_none() && schema.table_by_id(TableId(2)).is_none());
        let schema = schema.apply(&def("b").into()).unwrap().unwrap();
        assert_eq!(schema.table("b").unwrap().id, TableId(3));
        assert_eq!(schema.table_by_id(TableId(3)).unwrap().def.name, "b");
        assert_eq!(schema.version(), 4);
    }

    #[test]
    fn creating_an_existing_table_changes_nothing_and_another_definition_is_refused() {
        let schema = with(&["a"]);
        assert_eq!(schema.apply(&def("a").into()).unwrap(), None);
        let mut other = def("a");
        other.kind = TableKind::Bag;
        assert_eq!(
            schema.apply(&other.into()).unwrap_err().to_string(),
            "table `a` exists with another definition: kind is bag here and set there; \
             use the same definition, or drop the table first"
        );
    }

    #[test]
    fn an_invalid_definition_is_refused() {
        let mut invalid = def("a");
        invalid.key.clear();
        assert!(matches!(Schema::default().apply(&invalid.into()), Err(SchemaError::InvalidTable(_))));
    }

    #[test]
    fn nodes_hold_tables_as_defined_unless_told_otherwise() {
        let schema = with(&["a"]);
        assert_eq!(schema.mode_on("a", &node("n1")), Some(CopyMode::Disc));
        assert_eq!(schema.mode_on("x", &node("n1")), None);

        let schema = schema.apply(&set_copy("a", "n1", CopyMode::Ram)).unwrap().unwrap();
        assert_eq!(schema.mode_on("a", &node("n1")), Some(CopyMode::Ram));
        assert_eq!(schema.mode_on("a", &node("n2")), Some(CopyMode::Disc));
        assert_eq!(schema.apply(&set_copy("a", "n1", CopyMode::Ram)).unwrap(), None);

        let schema = schema.apply(&delete_copy("a", "n1")).unwrap().unwrap();
        assert_eq!(schema.mode_on("a", &node("n1")), None);
        assert_eq!(schema.apply(&delete_copy("a", "n1")).unwrap(), None);

        let schema = schema.apply(&set_copy("a", "n1", CopyMode::Disc)).unwrap().unwrap();
        assert!(schema.table("a").unwrap().copies.is_empty(), "only deviations are kept");
        assert_eq!(schema.table_by_id(TableId(1)), schema.table("a"), "both look-ups see the same table");
    }

    #[test]
    fn every_node_holds_a_table_with_local_content() {
        let mut def = def("a");
        def.options.local_content = true;
        let schema = Schema::default().apply(&def.into()).unwrap().unwrap();
        assert!(matches!(schema.apply(&delete_copy("a", "n1")), Err(SchemaError::LocalContent { .. })));
        assert!(schema.apply(&set_copy("a", "n1", CopyMode::Ram)).unwrap().is_some());
    }

    #[test]
    fn a_forgotten_node_leaves_no_trace_and_a_renamed_one_keeps_its_copies() {
        let schema = with(&["a", "b"]);
        assert_eq!(schema.apply(&SchemaChange::ForgetNode(node("n1"))).unwrap(), None);
        let schema = schema.apply(&delete_copy("a", "n1")).unwrap().unwrap();
        let schema = schema.apply(&set_copy("b", "n1", CopyMode::DiscOnly)).unwrap().unwrap();

        let rename = |from, to| SchemaChange::RenameNode { from: node(from), to: node(to) };
        assert_eq!(schema.apply(&rename("n1", "n1")).unwrap(), None);
        let renamed = schema.apply(&rename("n1", "n2")).unwrap().unwrap();
        assert_eq!(renamed.mode_on("a", &node("n2")), None);
        assert_eq!(renamed.mode_on("b", &node("n2")), Some(CopyMode::DiscOnly));
        assert_eq!(renamed.mode_on("a", &node("n1")), Some(CopyMode::Disc));
        assert_eq!(renamed.version(), schema.version() + 1);
        assert!(matches!(schema.apply(&rename("n3", "n1")), Err(SchemaError::NodeNameTaken { .. })));

        let forgotten = renamed.apply(&SchemaChange::ForgetNode(node("n2"))).unwrap().unwrap();
        assert!(forgotten.tables().all(|table| table.copies.is_empty()));
    }

    #[test]
    fn changes_to_missing_tables_are_refused() {
        for change in
            [SchemaChange::DropTable(table("x")), delete_copy("x", "n"), set_copy("x", "n", CopyMode::Ram)]
        {
            assert_eq!(
                with(&["a"]).apply(&change).unwrap_err().to_string(),
                "table `x` does not exist; create it first"
            );
        }
    }
}
