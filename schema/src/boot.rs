//! What boot hooks declare.

use std::collections::BTreeMap;

use crate::error::{ModuleError, Result};
use crate::module::{self, registered_modules};
use crate::name::TableName;
use crate::record::Record;
use crate::table_def::TableDef;

/// The tables that the boot hooks of [modules](crate::Module) ask for.
#[derive(Debug, Default)]
pub struct Boot(BTreeMap<TableName, TableDef>);

impl Boot {
    /// Asks for the table of a record type.
    ///
    /// # Errors
    /// [`TableDefError`](crate::TableDefError) if the definition contradicts itself, [`ModuleError::TableDiffers`] if
    /// another hook has asked for the table with another definition.
    pub fn create_table<R: Record>(&mut self) -> Result<()> {
        self.create(R::table_def())
    }

    /// Asks for a table whose definition is made at run time.
    ///
    /// # Errors
    /// As [`create_table`](Self::create_table).
    pub fn create(&mut self, def: TableDef) -> Result<()> {
        def.validate()?;
        if let Some(earlier) = self.0.get(&def.name) {
            let differences = def.differences(earlier);
            if !differences.is_empty() {
                return Err(ModuleError::TableDiffers { table: def.name, differences }.into());
            }
        }
        self.0.insert(def.name.clone(), def);
        Ok(())
    }

    /// The tables asked for so far, sorted by name.
    pub fn tables(&self) -> impl Iterator<Item = &TableDef> {
        self.0.values()
    }
}

/// Runs the boot hooks of all linked modules, in the order of their names, and returns the tables they ask for,
/// sorted by name.
///
/// # Errors
/// [`Error::Module`](crate::Error::Module) if two modules contradict each other or a hook fails.
pub fn boot_modules() -> Result<Vec<TableDef>> {
    Ok(module::boot(&registered_modules())?.0.into_values().collect())
}
