//! The tables of a view as the bytes of a backup, made as they are asked for.

use std::sync::Arc;

use tabularaft_schema::TableName;

use super::error::BackupError;
use super::item::{BackupHeader, BackupSummary, BackupTable, TableSummary};
use super::writer::BackupWriter;
use crate::error::StoreError;
use crate::view::View;

/// What the names of tables begin with that a restore is filling. They are left out of backups of all tables.
pub const RESTORING_PREFIX: &str = "_restoring.";

/// A backup of a held view. It blocks nobody who writes; what they overwrite is kept until this is dropped.
pub struct BackupSource {
    view: Arc<View>,
    writer: BackupWriter<Vec<u8>>,
    tables: Vec<BackupTable>,
    /// The table that is next, and after which of its records.
    at: usize,
    cursor: Option<Vec<u8>>,
    records_total: u64,
    records: u64,
    end: Option<BackupSummary>,
}

/// Some bytes of a backup, and how far it is.
#[derive(Debug, Clone)]
pub struct BackupPart {
    /// The bytes that follow those of the part before.
    pub bytes: Vec<u8>,
    /// Records so far.
    pub records: u64,
    /// Present in the last part.
    pub end: Option<BackupSummary>,
}

impl BackupSource {
    /// A backup of these tables, or of all if none is named. Of tables with local content only the definition is
    /// written: each node has its own records, and none of them are the cluster's.
    ///
    /// # Errors
    /// A table does not exist, or this node holds no loaded copy of it.
    pub fn new(view: Arc<View>, header: &BackupHeader, only: &[TableName]) -> Result<Self, BackupError> {
        let tables = chosen(&view, only)?;
        let mut records_total = 0;
        for table in tables.iter().filter(|table| table.has_records) {
            let copy = view.table(table.id).ok_or(StoreError::NotHeld { table: table.id })?;
            if copy.is_loading() {
                return Err(StoreError::TableLoading { table: table.def.name.clone() }.into());
            }
            records_total += copy.len();
        }
        let writer = BackupWriter::new("the backup", Vec::new(), header, tables.clone())?;
        Ok(Self { view, writer, tables, at: 0, cursor: None, records_total, records: 0, end: None })
    }

    /// How many records the tables hold.
    pub fn records_total(&self) -> u64 {
        self.records_total
    }

    /// The tables, in the order of the backup.
    pub fn tables(&self) -> &[BackupTable] {
        &self.tables
    }

    /// What the records of the tables that are complete come to, in the order of the backup.
    pub fn summaries(&self) -> &[TableSummary] {
        self.writer.summaries()
    }

    /// The next bytes, about `bytes_wanted` and at most one chunk of records more; `None` behind the end.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn next_part(&mut self, bytes_wanted: usize) -> Result<Option<BackupPart>, BackupError> {
        if self.end.is_some() {
            return Ok(None);
        }
        while self.writer.out_mut().len() < bytes_wanted && self.end.is_none() {
            match self.tables.get(self.at) {
                Some(table) if table.has_records => self.some_records(bytes_wanted)?,
                Some(_) => self.next_table()?,
                None => self.end = Some(self.writer.end()?),
            }
        }
        let bytes = std::mem::take(self.writer.out_mut());
        Ok(Some(BackupPart { bytes, records: self.records, end: self.end }))
    }

    fn next_table(&mut self) -> Result<(), BackupError> {
        (self.at, self.cursor) = (self.at + 1, None);
        self.writer.end_table()
    }

    fn some_records(&mut self, bytes_wanted: usize) -> Result<(), BackupError> {
        let view = Arc::clone(&self.view);
        let id = self.tables.get(self.at).map(|table| table.id);
        let Some(copy) = id.and_then(|id| view.table(id)) else { return self.next_table() };
        let cursor = self.cursor.take();
        for stored in copy.rows_after(cursor.as_deref()) {
            let stored = stored?;
            let record = copy.record_bytes(&stored)?;
            self.writer.record(self.at, stored.version(), stored.owner(), &record)?;
            self.records += 1;
            if self.writer.out_mut().len() >= bytes_wanted {
                self.cursor = Some(stored.key().to_vec());
                return Ok(());
            }
        }
        self.next_table()
    }
}

fn chosen(view: &View, only: &[TableName]) -> Result<Vec<BackupTable>, BackupError> {
    let schema = view.schema();
    if let Some(missing) = only.iter().find(|name| schema.table(name.as_str()).is_none()) {
        let known = schema.tables().map(|table| table.def.name.to_string()).collect::<Vec<_>>().join(", ");
        return Err(BackupError::NoSuchTable { table: missing.to_string(), known });
    }
    let wanted = schema.tables().filter(|table| {
        let name = &table.def.name;
        if only.is_empty() { !name.as_str().starts_with(RESTORING_PREFIX) } else { only.contains(name) }
    });
    let tables = wanted.map(|table| BackupTable {
        id: table.id,
        def: Arc::clone(&table.def),
        has_records: !table.def.options.local_content,
    });
    Ok(tables.collect())
}
