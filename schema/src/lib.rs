//! Table definitions, records, order-preserving keys, copy modes, node names and module hooks of the Tabularaft table
//! store. Everything here is pure: no files, no sockets, no clocks, no threads.
//!
//! | to … | see |
//! |---|---|
//! | make a Rust struct a table's record | [`Record`] and `#[derive(Record)]` |
//! | define a table at run time | [`TableDef::builder`], [`FieldType`], [`Value`] |
//! | read and write records without their Rust type | [`RecordShape`] |
//! | find records | [`Key`], [`KeyFor`], [`TableDef::parse_key`] |
//! | know and change all tables of a cluster | [`Schema`], [`SchemaChange`] |
//! | find records by other fields | [`IndexDef`], [`IndexKeys`], [`register_index_function!`] |
//! | bring tables along with a part of an application | [`Module`], [`register_module!`] |
//! | compare what two programs know | [`Fingerprint`], [`TableDef::differences`] |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod alter;
mod boot;
mod change;
mod copy;
mod derive_support;
mod difference;
mod error;
mod field;
mod field_shape;
mod fingerprint;
mod index_def;
mod index_function;
mod index_keys;
mod index_values;
mod json;
mod key;
mod key_codec;
mod key_field;
mod key_for;
mod key_value;
mod kind;
mod migration;
mod mode;
mod module;
mod name;
mod record;
mod schema;
mod schema_form;
mod shape;
mod table;
mod table_def;
mod table_def_builder;
mod table_def_form;
mod table_key;
mod table_options;
mod value;
mod value_codec;

#[cfg(test)]
mod testing;

pub use boot::{Boot, boot_modules};
pub use change::SchemaChange;
pub use copy::{Copy, copy_modules};
pub use difference::Difference;
pub use error::{
    Error, IndexError, InvalidFieldType, InvalidName, KeyError, MigrationError, MissingModules, ModuleError,
    RecordError, Result, SchemaError, TableDefError,
};
pub use field::{FieldDef, FieldType};
pub use field_shape::FieldShape;
pub use fingerprint::{Fingerprint, fingerprint};
pub use index_def::{IndexDef, IndexOn};
pub use index_function::IndexFunction;
pub use index_keys::IndexKeys;
pub use index_values::IndexValues;
pub use key::Key;
pub use key_field::KeyField;
pub use key_for::KeyFor;
pub use kind::TableKind;
pub use migration::{Migration, Upgrade};
pub use mode::CopyMode;
pub use module::{Module, registered_modules, require_modules};
pub use name::{NodeName, TableName};
pub use record::Record;
pub use schema::Schema;
pub use shape::RecordShape;
pub use table::{Table, TableId};
pub use table_def::TableDef;
pub use table_def_builder::TableDefBuilder;
pub use table_options::{TableOption, TableOptions};
pub use value::Value;

/// Makes a struct the record of a table; see [the trait](trait@Record).
pub use tabularaft_derive::Record;

/// The number Raft knows a node by: another one for each of its incarnations.
pub type NodeId = u64;

/// For the macros of this crate. Not public API.
#[doc(hidden)]
pub mod __private {
    pub use crate::derive_support::{each_index, finish, function_index, index, options, table};
    pub use crate::index_function::{gather as gather_index_values, value_type as index_value_type};
    pub use crate::migration::migrate_records;
    pub use crate::module::Registration;
    pub use inventory;
}
