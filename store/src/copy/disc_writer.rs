//! Writing many records into a new generation on disc, in bulk.

use std::sync::Arc;

use tabularaft_schema::TableId;

use crate::checkpoint::{DiscTable, Generation, TablesFile, layout};
use crate::error::StoreError;
use crate::memory::{MemoryTable, OrderedMap};
use crate::row::RowRef;

/// How much is gathered before it is written in one transaction, in key order: large enough that the sync at its end
/// costs little, small enough that a checkpoint never waits long for the file.
const TRANSACTION_BYTES: usize = 8 * 1024 * 1024;

/// Fills one generation. Each transaction is durable when it ends, but nothing refers to the generation yet.
pub(super) struct DiscWriter {
    file: Arc<TablesFile>,
    name: String,
    gathered: OrderedMap,
    gathered_bytes: usize,
    generation: Generation,
}

impl DiscWriter {
    pub(super) fn new(file: &Arc<TablesFile>, table: TableId) -> Self {
        let generation = file.new_generation();
        Self {
            file: Arc::clone(file),
            name: layout::table_name(table, generation.number()),
            gathered: OrderedMap::new(),
            gathered_bytes: 0,
            generation,
        }
    }

    /// Takes a record, in any order.
    pub(super) fn push(&mut self, key: &[u8], row: RowRef<'_>) -> Result<(), StoreError> {
        self.gathered_bytes += key.len() + row.encoded_bytes();
        self.gathered.insert(key, row);
        if self.gathered_bytes >= TRANSACTION_BYTES { self.flush() } else { Ok(()) }
    }

    /// Takes all records of a table in memory; in key order, which costs a tenth of any other.
    pub(super) fn push_all(&mut self, records: &MemoryTable) -> Result<(), StoreError> {
        let mut sorted: Vec<(&[u8], RowRef<'_>)> = records.iter().collect();
        if records.as_ordered().is_none() {
            sorted.sort_unstable_by_key(|(key, _)| *key);
        }
        let mut rest = sorted.as_slice();
        while !rest.is_empty() {
            let (bulk, after) = rest.split_at(bulk_len(rest));
            self.write(bulk.iter().copied())?;
            rest = after;
        }
        Ok(())
    }

    /// Writes what is left, and gives the records as they are on disc now.
    pub(super) fn finish(mut self) -> Result<(Generation, Arc<DiscTable>), StoreError> {
        self.flush()?;
        let table = self.file.disc_table(&self.file.read()?, &self.name)?;
        let table = table.expect("the last transaction has created the table and only its holder removes it");
        Ok((self.generation, Arc::new(table)))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let gathered = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        self.write(gathered.iter())
    }

    fn write<'r>(&self, records: impl Iterator<Item = (&'r [u8], RowRef<'r>)>) -> Result<(), StoreError> {
        let failed = |error| self.file.failed("writing", error);
        let transaction = self.file.write()?;
        let mut bytes = 0;
        {
            let mut table = transaction
                .open_table(layout::records(&self.name))
                .map_err(|error| self.file.failed("writing", error))?;
            let mut buffer = Vec::new();
            for (key, row) in records {
                bytes += key.len() + row.encoded_bytes();
                layout::insert_record(&mut table, key, row, &mut buffer).map_err(failed)?;
            }
        }
        self.file.commit(transaction, bytes)
    }
}

fn bulk_len(records: &[(&[u8], RowRef<'_>)]) -> usize {
    let mut bytes = 0;
    let fits = records.iter().take_while(|(key, row)| {
        bytes += key.len() + row.encoded_bytes();
        bytes <= TRANSACTION_BYTES
    });
    fits.count().max(1)
}
