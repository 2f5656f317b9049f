//! What the code made by `#[derive(Record)]` calls. Not public API.

use crate::index_def::{IndexDef, IndexOn};
use crate::key_field::KeyField;
use crate::kind::TableKind;
use crate::mode::CopyMode;
use crate::table_def::TableDef;
use crate::table_def_builder::TableDefBuilder;
use crate::table_options::TableOptions;

/// Starts the definition of a table whose name the macro has checked.
pub fn table(name: &'static str, kind: TableKind, copy: CopyMode, version: u32) -> TableDefBuilder {
    let builder = TableDef::builder(name).expect("the derive macro accepts only valid table names");
    builder.kind(kind).copy(copy).record_version(version)
}

/// Adds a secondary index over a field of a type that can be indexed.
pub fn index<T: KeyField>(
    builder: TableDefBuilder,
    name: &'static str,
    field: &'static str,
    unique: bool,
) -> TableDefBuilder {
    add_index(builder, name, IndexOn::Field(field.to_owned()), unique)
}

/// Adds a secondary index over the items of a list.
pub fn each_index<T: ListOfKeys>(
    builder: TableDefBuilder,
    name: &'static str,
    field: &'static str,
    unique: bool,
) -> TableDefBuilder {
    add_index(builder, name, IndexOn::Each(field.to_owned()), unique)
}

/// Adds a secondary index over what a registered function makes of a record.
pub fn function_index(
    builder: TableDefBuilder,
    name: &'static str,
    function: &'static str,
    unique: bool,
) -> TableDefBuilder {
    add_index(builder, name, IndexOn::Function(function.to_owned()), unique)
}

fn add_index(builder: TableDefBuilder, name: &'static str, on: IndexOn, unique: bool) -> TableDefBuilder {
    builder.add_index(IndexDef { name: name.to_owned(), on, unique })
}

/// A list whose items can be indexed one by one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no list whose items can be indexed",
    label = "not a list of a key type",
    note = "#[index(each)] is for Vec<T>, where T may be part of a key; Vec<u8> is a value of its own: write #[index]"
)]
pub trait ListOfKeys {}

impl<T: KeyField> ListOfKeys for Vec<T> {}

/// Sets the options.
pub fn options(builder: TableDefBuilder, options: TableOptions) -> TableDefBuilder {
    builder.options(options)
}

/// The definition. It is validated when the table is created.
pub fn finish(builder: TableDefBuilder) -> TableDef {
    builder.build_unchecked()
}
