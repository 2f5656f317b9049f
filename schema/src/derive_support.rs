//! What the code made by `#[derive(Record)]` calls. Not public API.

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
pub fn index<T: KeyField>(builder: TableDefBuilder, name: &'static str, unique: bool) -> TableDefBuilder {
    if unique { builder.unique_index(name) } else { builder.index(name) }
}

/// Sets the options.
pub fn options(
    builder: TableDefBuilder,
    owned: bool,
    local_content: bool,
    load_order: i32,
    record_bytes_max: Option<u32>,
) -> TableDefBuilder {
    builder.options(TableOptions { owned, local_content, load_order, record_bytes_max, ..Default::default() })
}

/// The definition. It is validated when the table is created.
pub fn finish(builder: TableDefBuilder) -> TableDef {
    builder.build_unchecked()
}
