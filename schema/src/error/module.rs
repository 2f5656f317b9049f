//! What is wrong with the modules of a program.

use super::listed;
use crate::difference::Difference;
use crate::name::TableName;

/// What is wrong with the linked modules.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// Two modules have the same name.
    #[error("two linked modules are named `{name}`; rename one of them")]
    DuplicateName {
        /// The name.
        name: &'static str,
    },
    /// Two hooks define the same table differently.
    #[error("the linked modules define table `{table}` in two ways: {}", listed(differences))]
    TableDiffers {
        /// The table.
        table: TableName,
        /// Every difference: *ours* is the later definition, *theirs* the earlier one.
        differences: Vec<Difference>,
    },
    /// Two hooks ask for different copies of the same table.
    #[error("the linked modules ask for different copies of table `{table}`: {ours} and {theirs}")]
    CopyDiffers {
        /// The table.
        table: TableName,
        /// The later request.
        ours: String,
        /// The earlier request.
        theirs: String,
    },
    /// A module's hook failed.
    #[error("the {hook} hook of module `{module}` failed: {error}")]
    Hook {
        /// The module.
        module: &'static str,
        /// `boot` or `copy`.
        hook: &'static str,
        /// What the hook returned.
        #[source]
        error: Box<super::Error>,
    },
    /// A hook refused for a reason of its own; see [`ModuleError::other`].
    #[error("{0}")]
    Other(String),
}

impl ModuleError {
    /// An error of the application's own, for a hook to return.
    ///
    /// ```
    /// use tabularaft_schema::{Error, ModuleError};
    ///
    /// let error: Error = ModuleError::other("the licence does not cover retained messages").into();
    /// ```
    #[must_use]
    pub fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }
}

/// Modules that were expected but are not linked into the program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "modules not linked into this program: {}; linked are: {}. A crate that nothing refers to is left out by the \
     linker: write `use the_crate as _;` in the program",
    or_none(missing),
    or_none(linked)
)]
#[non_exhaustive]
pub struct MissingModules {
    /// The modules that are missing.
    pub missing: Vec<String>,
    /// The modules that are linked, sorted.
    pub linked: Vec<String>,
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
