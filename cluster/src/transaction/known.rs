//! Which record types have been compared with which definitions, so that it is done once and not per transaction.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tabularaft_schema::{Record, TableDef, TableName};
use tabularaft_store::{TableView, View};

use crate::error::ReadError;
use crate::table::check_records;

/// The definition that each record type was last found to fit.
#[derive(Default)]
pub(crate) struct KnownTypes {
    fitting: Mutex<HashMap<TypeId, Arc<TableDef>>>,
}

impl KnownTypes {
    /// The copy of the type's table in this view.
    pub(super) fn copy_of<'v, R: Record>(&self, view: &'v View) -> Result<&'v Arc<TableView>, ReadError> {
        let Some(table) = view.schema().table(R::TABLE) else {
            return Err(ReadError::NoSuchTable(R::table_def().name));
        };
        let mut fitting = self.fitting.lock().unwrap_or_else(PoisonError::into_inner);
        if !fitting.get(&TypeId::of::<R>()).is_some_and(|def| Arc::ptr_eq(def, &table.def)) {
            check_records(&R::table_def(), table)?;
            fitting.insert(TypeId::of::<R>(), Arc::clone(&table.def));
        }
        drop(fitting);
        copy_in(view.table(table.id), &table.def.name)
    }
}

/// The copy, if there is one that can be read.
pub(super) fn copy_in<'v>(
    copy: Option<&'v Arc<TableView>>,
    name: &TableName,
) -> Result<&'v Arc<TableView>, ReadError> {
    let copy = copy.ok_or_else(|| ReadError::NoCopy(name.clone()))?;
    if copy.is_ready() { Ok(copy) } else { Err(ReadError::Loading(name.clone())) }
}
