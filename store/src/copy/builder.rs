//! Building a copy of a table from the chunks that arrive.

use std::sync::Arc;

use tabularaft_schema::{CopyMode, TableDef, TableId, TableKind, TableName};

use super::chunk::{ChunkError, WireChunk};
use super::disc_writer::DiscWriter;
use crate::checkpoint::{DiscTable, Generation, TablesFile};
use crate::error::StoreError;
use crate::memory::{HashedBuilder, MemoryTable, OrderedBuilder};
use crate::{Store, TableDigest};

/// Gathers the chunks of one table in order. Nothing of it is visible until it is finished and installed; dropping it
/// unfinished removes what it has written.
pub struct TableBuilder {
    id: TableId,
    def: Arc<TableDef>,
    mode: CopyMode,
    file: Option<Arc<TablesFile>>,
    target: Target,
    progress: Progress,
    digest: TableDigest,
}

/// How far a copy has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many records have arrived.
    pub records: u64,
    /// Their keys and values together.
    pub bytes: u64,
    /// The cursor to ask for the next chunk with, also after a broken stream; `None` before the first chunk.
    pub cursor: Option<Vec<u8>>,
    /// Whether the last chunk has arrived.
    pub complete: bool,
}

/// Where the records go.
enum Target {
    /// An ordered table in memory; they come in key order.
    Ordered(OrderedBuilder),
    /// A set in memory; they come in any order.
    Hashed(HashedBuilder),
    /// The disc alone.
    Disc(DiscWriter),
}

/// A copy that has arrived whole, ready to be installed.
pub struct LoadedTable {
    pub(crate) id: TableId,
    pub(crate) mode: CopyMode,
    pub(crate) records: LoadedRecords,
    pub(crate) digest: TableDigest,
    /// Keys and values together.
    pub(crate) bytes: u64,
    /// Where they are on disc, in the modes that keep them there.
    pub(crate) generation: Option<Generation>,
}

/// A copy that has arrived, and that nobody has compared with its source yet.
pub struct UncheckedTable {
    name: TableName,
    table: LoadedTable,
}

pub(crate) enum LoadedRecords {
    Memory(MemoryTable),
    Disc(Arc<DiscTable>),
}

impl TableBuilder {
    /// A builder for a copy of the table in this mode.
    ///
    /// In mode `disc` the records are gathered in memory and written to disc by [`finish`](Self::finish), in key order,
    /// since that costs a tenth of the order in which a set arrives. In mode `disc-only` they are written as they
    /// come, in transactions of some megabytes.
    pub fn new(id: TableId, def: Arc<TableDef>, mode: CopyMode, store: &Store) -> Self {
        Self::with_file(id, def, mode, store.tables_file())
    }

    pub(crate) fn with_file(
        id: TableId,
        def: Arc<TableDef>,
        mode: CopyMode,
        file: Option<&Arc<TablesFile>>,
    ) -> Self {
        let target = match (mode, file) {
            (CopyMode::DiscOnly, Some(file)) => Target::Disc(DiscWriter::new(file, id)),
            _ if def.kind == TableKind::Set => Target::Hashed(HashedBuilder::new()),
            _ => Target::Ordered(OrderedBuilder::new()),
        };
        let (progress, digest) = (Progress::default(), TableDigest::default());
        Self { id, def, mode, file: file.cloned(), target, progress, digest }
    }

    /// The table this builds a copy of.
    pub fn table(&self) -> TableId {
        self.id
    }

    /// How far the copy has come, and where it resumes.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes the chunk that follows the last one.
    ///
    /// # Errors
    /// A chunk that is damaged, of another table or out of order is refused, and the builder is as it was. After any
    /// other error the builder is of no more use.
    pub fn push(&mut self, chunk: &[u8]) -> Result<&Progress, StoreError> {
        let chunk = WireChunk::read(chunk).map_err(|error| self.refused(error))?;
        if chunk.table != self.id {
            return Err(self.refused(ChunkError::OtherTable { found: chunk.table }));
        }
        if self.progress.complete {
            return Err(self.refused(ChunkError::Completeness { complete: true }));
        }
        if chunk.after != self.progress.cursor.as_deref() {
            return Err(self.refused(ChunkError::OutOfOrder));
        }
        self.take(&chunk)?;
        chunk.digest_into(&mut self.digest);
        self.progress.records += chunk.records.len() as u64;
        self.progress.complete = chunk.next.is_none();
        if let Some(next) = chunk.next {
            self.progress.cursor = Some(next.to_vec());
        }
        Ok(&self.progress)
    }

    /// Ends the copy, if all of it has arrived and it is what the source holds.
    ///
    /// # Errors
    /// Chunks are missing, the digest differs, or the disc cannot be written.
    ///
    /// # Durability
    /// In the disc modes all records are on disc when this returns.
    pub fn finish(self, expected: TableDigest) -> Result<LoadedTable, StoreError> {
        self.build()?.check(expected)
    }

    /// The same in two steps: the records can be put in place while the source still works the digest out.
    ///
    /// # Errors
    /// Chunks are missing, or the disc cannot be written.
    pub fn build(self) -> Result<UncheckedTable, StoreError> {
        if !self.progress.complete {
            return Err(self.refused(ChunkError::Completeness { complete: false }));
        }
        let name = self.def.name.clone();
        Ok(UncheckedTable { name, table: self.finish_unchecked()? })
    }

    /// An empty copy: what a table in memory starts with when no node has a copy of it any more.
    pub fn finish_empty(self) -> Result<LoadedTable, StoreError> {
        if self.progress != Progress::default() {
            return Err(self.refused(ChunkError::Completeness { complete: false }));
        }
        self.finish_unchecked()
    }

    fn finish_unchecked(self) -> Result<LoadedTable, StoreError> {
        let (records, generation) = match self.target {
            Target::Disc(writer) => {
                let (generation, table) = writer.finish()?;
                (LoadedRecords::Disc(table), Some(generation))
            }
            Target::Ordered(builder) => {
                saved(MemoryTable::Ordered(builder.finish()), self.mode, self.id, self.file)?
            }
            Target::Hashed(builder) => {
                saved(MemoryTable::Hashed(builder.finish()), self.mode, self.id, self.file)?
            }
        };
        let (digest, bytes) = (self.digest, self.progress.bytes);
        Ok(LoadedTable { id: self.id, mode: self.mode, records, digest, bytes, generation })
    }

    fn take(&mut self, chunk: &WireChunk<'_>) -> Result<(), StoreError> {
        for record in &chunk.records {
            self.progress.bytes += record.bytes();
            match &mut self.target {
                Target::Disc(writer) => writer.push(record.key, record.row())?,
                Target::Hashed(builder) => builder.push(record.key, record.row()),
                Target::Ordered(builder) => {
                    if builder.push(record.key, record.row()).is_err() {
                        return Err(self.refused(ChunkError::OutOfOrder));
                    }
                }
            }
        }
        Ok(())
    }

    fn refused(&self, source: ChunkError) -> StoreError {
        StoreError::Chunk { table: self.def.name.clone(), source }
    }
}

fn saved(
    records: MemoryTable,
    mode: CopyMode,
    id: TableId,
    file: Option<Arc<TablesFile>>,
) -> Result<(LoadedRecords, Option<Generation>), StoreError> {
    let Some(file) = file.filter(|_| mode.is_on_disc()) else {
        return Ok((LoadedRecords::Memory(records), None));
    };
    let mut writer = DiscWriter::new(&file, id);
    writer.push_all(&records)?;
    let (generation, _) = writer.finish()?;
    Ok((LoadedRecords::Memory(records), Some(generation)))
}

impl UncheckedTable {
    /// The digest of the records that have arrived.
    pub fn digest(&self) -> TableDigest {
        self.table.digest
    }

    /// The copy, if it is what the source holds. Otherwise it is thrown away, what was written of it too.
    ///
    /// # Errors
    /// The digest differs.
    pub fn check(self, expected: TableDigest) -> Result<LoadedTable, StoreError> {
        let found = self.table.digest;
        if found == expected {
            Ok(self.table)
        } else {
            Err(StoreError::CopyDiffers { table: self.name, expected, found })
        }
    }
}

impl LoadedTable {
    /// The table this is a copy of.
    pub fn table(&self) -> TableId {
        self.id
    }

    /// The mode it was built for.
    pub fn mode(&self) -> CopyMode {
        self.mode
    }

    /// The digest of its records.
    pub fn digest(&self) -> TableDigest {
        self.digest
    }
}
