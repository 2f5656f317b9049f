//! What this crate refuses: one type for each family of operations, and [`Error`] for all of them.

mod index;
mod key;
mod migration;
mod module;
mod name;
mod record;
mod schema;
mod table_def;

pub use index::IndexError;
pub use key::KeyError;
pub use migration::MigrationError;
pub use module::{MissingModules, ModuleError};
pub use name::{InvalidFieldType, InvalidName};
pub use record::RecordError;
pub use schema::SchemaError;
pub use table_def::TableDefError;

use thiserror::Error;

use crate::difference::Difference;

/// Everything this crate refuses; what a module's hooks return.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A name breaks its rule.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A record does not fit its table.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A key does not fit its table.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A secondary index cannot be kept by this program.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A record of a former version cannot be read as one of the present version.
    #[error(transparent)]
    Migration(#[from] MigrationError),
    /// A table definition contradicts itself.
    #[error(transparent)]
    TableDef(#[from] TableDefError),
    /// A schema change is refused.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The linked modules contradict each other, or one of them failed.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// An expected module is not linked.
    #[error(transparent)]
    MissingModules(#[from] MissingModules),
}

/// The result of this crate's operations, and of a module's hooks.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Refused names are echoed, but one that was sent to fill the logs is not echoed in full.
pub(crate) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text.to_owned(),
    }
}
