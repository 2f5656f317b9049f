//! A table's records on disc as of one commit.

use std::ops::RangeInclusive;
use std::sync::Arc;

use redb::{Range, ReadOnlyTable, ReadableTableMetadata};

use super::database::TablesFile;
use super::integrity;
use super::layout::{self, Bytes};
use crate::error::StoreError;
use crate::row::{Row, RowRef};
use crate::stored_record::StoredRecord;
use crate::table_range::{ALL_KEYS, KeyBounds};

/// Records in the database file, read as of the commit at which this was opened, however many follow.
pub(crate) struct DiscTable {
    table: ReadOnlyTable<Bytes, Bytes>,
    name: Arc<str>,
    file: Arc<TablesFile>,
}

impl DiscTable {
    pub(super) fn new(table: ReadOnlyTable<Bytes, Bytes>, name: Arc<str>, file: Arc<TablesFile>) -> Self {
        Self { table, name, file }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        integrity::guard(self.file.path(), "reading", || {
            let stored = self.table.get(key).map_err(|error| self.file.failed("reading", error))?;
            stored
                .map(|stored| Ok(layout::row(&self.file, &self.name, key, stored.value())?.to_row()))
                .transpose()
        })
    }

    pub(crate) fn len(&self) -> Result<u64, StoreError> {
        self.table.len().map_err(|error| self.file.failed("reading", error))
    }

    /// Calls `each` with every record between two bounds in key order, copying none.
    pub(crate) fn for_each(
        &self,
        bounds: KeyBounds<'_>,
        mut each: impl FnMut(&[u8], RowRef<'_>),
    ) -> Result<(), StoreError> {
        integrity::guard(self.file.path(), "reading", || {
            let range =
                self.table.range::<&[u8]>(bounds).map_err(|error| self.file.failed("reading", error))?;
            for stored in range {
                let (key, value) = stored.map_err(|error| self.file.failed("reading", error))?;
                each(key.value(), layout::row(&self.file, &self.name, key.value(), value.value())?);
            }
            Ok(())
        })
    }

    /// The first and the last key; `None` if there is no record.
    pub(crate) fn outermost_keys(&self) -> Result<Option<RangeInclusive<Vec<u8>>>, StoreError> {
        let mut range = self.range(ALL_KEYS)?;
        let Some(first) = range.next().transpose()? else { return Ok(None) };
        let last = range.next_back().transpose()?;
        let last = last.as_ref().unwrap_or(&first);
        Ok(Some(first.key().to_vec()..=last.key().to_vec()))
    }

    /// The records between two bounds, from both ends. Bounds that exclude each other give nothing.
    pub(crate) fn range(&self, bounds: KeyBounds<'_>) -> Result<DiscRange, StoreError> {
        let range = integrity::guard(self.file.path(), "reading", || {
            self.table.range::<&[u8]>(bounds).map_err(|error| self.file.failed("reading", error))
        })?;
        Ok(DiscRange { range, name: Arc::clone(&self.name), file: Arc::clone(&self.file), failed: false })
    }
}

/// Iterates over records on disc; each is checked against its checksum.
pub(crate) struct DiscRange {
    range: Range<'static, Bytes, Bytes>,
    name: Arc<str>,
    file: Arc<TablesFile>,
    failed: bool,
}

type Stored =
    Result<(redb::AccessGuard<'static, Bytes>, redb::AccessGuard<'static, Bytes>), redb::StorageError>;

impl DiscRange {
    /// The next record from one of the ends. After damage there is none: where an iterator that met it would go on, it
    /// might meet it again and again.
    fn take(
        &mut self,
        next: impl FnOnce(&mut Range<'static, Bytes, Bytes>) -> Option<Stored>,
    ) -> Option<Result<StoredRecord<'static>, StoreError>> {
        if self.failed {
            return None;
        }
        let range = &mut self.range;
        let stored = integrity::guard(self.file.path(), "reading", || Ok(next(range)));
        let record = stored.transpose()?.and_then(|stored| self.record(stored));
        self.failed = record.is_err();
        Some(record)
    }

    fn record(&self, stored: Stored) -> Result<StoredRecord<'static>, StoreError> {
        let (key, value) = stored.map_err(|error| self.file.failed("reading", error))?;
        let row = layout::row(&self.file, &self.name, key.value(), value.value())?;
        Ok(StoredRecord::owned(key.value().to_vec(), row.to_row()))
    }
}

impl Iterator for DiscRange {
    type Item = Result<StoredRecord<'static>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.take(Range::next)
    }
}

impl DoubleEndedIterator for DiscRange {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.take(Range::next_back)
    }
}
