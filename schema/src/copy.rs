//! What copy hooks declare.

use std::collections::BTreeMap;

use crate::error::{ModuleError, Result};
use crate::mode::CopyMode;
use crate::module::{self, registered_modules};
use crate::name::TableName;
use crate::record::Record;

/// The copies that the copy hooks of [modules](crate::Module) ask for on a joining node.
#[derive(Debug, Default)]
pub struct Copy(BTreeMap<TableName, Option<CopyMode>>);

impl Copy {
    /// Asks that the node hold the table of a record type in this mode.
    ///
    /// # Errors
    /// [`ModuleError::CopyDiffers`] if another hook has asked for something else.
    pub fn copy_table<R: Record>(&mut self, mode: CopyMode) -> Result<()> {
        self.set(TableName::new(R::TABLE)?, Some(mode))
    }

    /// Asks that the node hold no copy of the table of a record type.
    ///
    /// # Errors
    /// As [`copy_table`](Self::copy_table).
    pub fn skip_table<R: Record>(&mut self) -> Result<()> {
        self.set(TableName::new(R::TABLE)?, None)
    }

    /// Asks that the node hold a table in this mode, or not at all.
    ///
    /// # Errors
    /// As [`copy_table`](Self::copy_table).
    pub fn set(&mut self, table: TableName, mode: Option<CopyMode>) -> Result<()> {
        let said = |mode: Option<CopyMode>| mode.map_or("none".to_owned(), |mode| mode.to_string());
        match self.0.get(&table) {
            Some(earlier) if *earlier != mode => {
                let (ours, theirs) = (said(mode), said(*earlier));
                Err(ModuleError::CopyDiffers { table, ours, theirs }.into())
            }
            _ => {
                self.0.insert(table, mode);
                Ok(())
            }
        }
    }

    /// The copies asked for so far, sorted by table; `None` means no copy.
    pub fn copies(&self) -> impl Iterator<Item = (&TableName, Option<CopyMode>)> {
        self.0.iter().map(|(table, mode)| (table, *mode))
    }
}

/// Runs the copy hooks of all linked modules, in the order of their names, and returns how a joining node is to hold
/// tables; `None` means no copy, and tables that are absent are held as their definitions say.
///
/// # Errors
/// [`Error::Module`](crate::Error::Module) if two modules contradict each other or a hook fails.
pub fn copy_modules() -> Result<BTreeMap<TableName, Option<CopyMode>>> {
    Ok(module::copy(&registered_modules())?.0)
}
