//! Migrations that the program brings along.

use std::fmt::Display;

use crate::record::Record;
use crate::value::Value;

/// How records of one version become records of a later one, as it stands in the program's list; made by
/// [`register_migration!`](crate::register_migration).
pub struct Migration {
    table: &'static str,
    from: fn() -> u32,
    to: fn() -> u32,
    pub(super) step: MigrationStep,
}

/// What is migrated.
#[derive(Clone, Copy)]
pub(super) enum MigrationStep {
    /// Encoded records of Rust types.
    Records(fn(&[u8]) -> Result<Vec<u8>, String>),
    /// The values of the fields, in the order of the two shapes.
    Values(fn(Vec<Value>) -> Result<Vec<Value>, String>),
}

impl Migration {
    /// A migration between two Rust types.
    #[must_use]
    pub const fn of_records(
        table: &'static str,
        from: fn() -> u32,
        to: fn() -> u32,
        migrate: fn(&[u8]) -> Result<Vec<u8>, String>,
    ) -> Self {
        Self { table, from, to, step: MigrationStep::Records(migrate) }
    }

    /// A migration of values, for shapes of which the program has no types.
    #[must_use]
    pub const fn of_values(
        table: &'static str,
        from: fn() -> u32,
        to: fn() -> u32,
        migrate: fn(Vec<Value>) -> Result<Vec<Value>, String>,
    ) -> Self {
        Self { table, from, to, step: MigrationStep::Values(migrate) }
    }

    /// The migrations of a table that lead from a version to a later one, the one that leads furthest first.
    pub(super) fn from_version(table: &str, from: u32, to_at_most: u32) -> Vec<(u32, MigrationStep)> {
        let of_table = inventory::iter::<Self>.into_iter().filter(|migration| migration.table == table);
        let mut found: Vec<_> = of_table
            .filter(|migration| (migration.from)() == from)
            .map(|migration| ((migration.to)(), migration.step))
            .filter(|(to, _)| (from + 1..=to_at_most).contains(to))
            .collect();
        found.sort_by_key(|(to, _)| std::cmp::Reverse(*to));
        found
    }
}

inventory::collect!(Migration);

/// Migrates an encoded record by its types, for the macro.
///
/// # Errors
/// What the conversion says, or that the bytes are no record of the old type.
pub fn migrate_records<Old, New>(record: &[u8]) -> Result<Vec<u8>, String>
where
    Old: Record,
    New: Record + TryFrom<Old>,
    New::Error: Display,
{
    let old = Old::decode(record).map_err(|error| error.to_string())?;
    let new = New::try_from(old).map_err(|error| error.to_string())?;
    new.encode().map_err(|error| error.to_string())
}

/// Registers a migration in every program this crate is linked into. Write the macro outside of functions.
///
/// Between two record types of one table, the later one is made `From` the earlier one, or `TryFrom` it if that may
/// fail. Without types, a function takes the values of the fields of the old shape and returns those of the new one.
///
/// A migration MUST be pure, MUST NOT panic, and MUST leave the key as it is: every node of the cluster reads records
/// of earlier versions through it, until they are written anew, and has to come to the same.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tabularaft_schema::{Record, Value, register_migration};
///
/// #[derive(Record, Serialize, Deserialize)]
/// #[record(table = "user", crate = "tabularaft_schema")]
/// struct UserV1 {
///     #[key]
///     name: String,
///     mail: String,
/// }
///
/// #[derive(Record, Serialize, Deserialize)]
/// #[record(table = "user", version = 2, crate = "tabularaft_schema")]
/// struct User {
///     #[key]
///     name: String,
///     mails: Vec<String>,
/// }
///
/// impl From<UserV1> for User {
///     fn from(old: UserV1) -> Self {
///         User { name: old.name, mails: vec![old.mail] }
///     }
/// }
///
/// register_migration!(UserV1 => User);
///
/// // The same without types, of another table.
/// fn to_millimetres(mut values: Vec<Value>) -> Result<Vec<Value>, String> {
///     match values.get_mut(1) {
///         Some(Value::U64(size)) => *size *= 1000,
///         _ => return Err("the second field is no number".into()),
///     }
///     Ok(values)
/// }
///
/// register_migration!("part", 1 => 2, to_millimetres);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! register_migration {
    ($old:ty => $new:ty $(,)?) => {
        const _: () = {
            $crate::__private::inventory::submit! {
                $crate::Migration::of_records(
                    <$new as $crate::Record>::TABLE,
                    || <$old as $crate::Record>::table_def().shape.version,
                    || <$new as $crate::Record>::table_def().shape.version,
                    |record| $crate::__private::migrate_records::<$old, $new>(record),
                )
            }
        };
    };
    ($table:literal, $from:literal => $to:literal, $function:path $(,)?) => {
        const _: () = {
            $crate::__private::inventory::submit! {
                $crate::Migration::of_values($table, || $from, || $to, $function)
            }
        };
    };
}
