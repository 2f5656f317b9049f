//! Definitions made at run time.

use crate::error::{InvalidName, TableDefError};
use crate::field::{FieldDef, FieldType};
use crate::index_def::IndexDef;
use crate::kind::TableKind;
use crate::mode::CopyMode;
use crate::name::TableName;
use crate::shape::RecordShape;
use crate::table_def::TableDef;
use crate::table_options::TableOptions;

/// Builds a [`TableDef`]; see there for an example.
///
/// | property | default |
/// |---|---|
/// | kind | set |
/// | copy | disc |
/// | record version | 1 |
/// | options | [`TableOptions::default`] |
///
/// The defaults are those of `#[derive(Record)]`. Fields and at least one key field must be given.
#[derive(Clone, Debug)]
#[must_use]
pub struct TableDefBuilder(TableDef);

impl TableDef {
    /// Starts a definition of the table `name`.
    ///
    /// # Errors
    /// [`InvalidName`] if a table cannot be named so.
    pub fn builder(name: &str) -> Result<TableDefBuilder, InvalidName> {
        Ok(TableDefBuilder(Self {
            name: TableName::new(name)?,
            kind: TableKind::Set,
            copy: CopyMode::Disc,
            shape: RecordShape { version: 1, fields: Vec::new() },
            key: Vec::new(),
            indexes: Vec::new(),
            options: TableOptions::default(),
        }))
    }
}

impl TableDefBuilder {
    /// Sets how the table treats keys.
    pub fn kind(mut self, kind: TableKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Sets how nodes hold the table unless told otherwise.
    pub fn copy(mut self, mode: CopyMode) -> Self {
        self.0.copy = mode;
        self
    }

    /// Sets the record version.
    pub fn record_version(mut self, version: u32) -> Self {
        self.0.shape.version = version;
        self
    }

    /// Adds a field after those added before.
    pub fn field(mut self, name: impl Into<String>, field_type: FieldType) -> Self {
        self.0.shape.fields.push(FieldDef::new(name, field_type));
        self
    }

    /// Adds a field to the key, after those added before.
    pub fn key(mut self, field: impl Into<String>) -> Self {
        self.0.key.push(field.into());
        self
    }

    /// Adds a secondary index over a field, named as the field.
    pub fn index(self, field: impl Into<String>) -> Self {
        self.add_index(IndexDef::on_field(field))
    }

    /// Adds a secondary index over a field of which no two records may have the same value.
    pub fn unique_index(self, field: impl Into<String>) -> Self {
        self.add_index(IndexDef::on_field(field).unique())
    }

    /// Adds a secondary index.
    pub fn add_index(mut self, index: IndexDef) -> Self {
        self.0.indexes.push(index);
        self
    }

    /// Makes each record belong to the incarnation that wrote it.
    pub fn owned(mut self) -> Self {
        self.0.options.owned = true;
        self
    }

    /// Gives each node a private content.
    pub fn local_content(mut self) -> Self {
        self.0.options.local_content = true;
        self
    }

    /// Sets all options at once.
    pub fn options(mut self, options: TableOptions) -> Self {
        self.0.options = options;
        self
    }

    /// The definition, checked.
    ///
    /// # Errors
    /// [`TableDefError`] as of [`TableDef::validate`].
    pub fn build(self) -> Result<TableDef, TableDefError> {
        self.0.validate()?;
        Ok(self.0)
    }

    /// The definition as the derive macro makes it: what the macro cannot see (the nesting of types) is checked when
    /// the table is created.
    pub(crate) fn build_unchecked(self) -> TableDef {
        self.0
    }
}
