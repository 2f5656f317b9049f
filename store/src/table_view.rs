//! One table at one log index, as this node holds it.

use std::borrow::Cow;
use std::ops::Bound;
use std::sync::Arc;

use tabularaft_schema::{CopyMode, IndexValues, Key, TableDef, TableId, TableKind, Upgrade};

use crate::copy::CopyChunk;
use crate::disc_records::DiscRecords;
use crate::error::StoreError;
use crate::indexes::{self, IndexReadError, IndexState, IndexView};
use crate::key_order;
use crate::memory::MemoryTable;
use crate::record_of::record_of;
use crate::row::{Row, RowRef};
use crate::stored_record::StoredRecord;
use crate::table_range::{ALL_KEYS, KeyBounds, TableRange};
use crate::{ContentDigest, Incarnation, LogIndex, TableDigest, bag};

/// An immutable state of one table. Reading it takes no lock and is never blocked by the writer.
pub struct TableView {
    pub(crate) id: TableId,
    pub(crate) def: Arc<TableDef>,
    pub(crate) mode: CopyMode,
    pub(crate) state: CopyState,
    pub(crate) records: Records,
    /// How records of former versions are read; there while there may be any.
    pub(crate) upgrade: Option<Arc<Upgrade>>,
    pub(crate) indexes: Vec<IndexView>,
}

/// Whether a copy can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyState {
    /// It holds every record of the table at the view's log index.
    Ready,
    /// Its records have not all arrived.
    Loading {
        /// A copy taken at this log index or later can be installed.
        floor: LogIndex,
        /// How much of the log is kept to be applied after the records have arrived.
        buffered_bytes: usize,
    },
}

/// Where the records are. Cloning shares everything.
#[derive(Clone)]
pub(crate) enum Records {
    Memory(MemoryTable),
    Disc(DiscRecords),
}

impl TableView {
    /// The table's id, which outlives its name.
    pub fn id(&self) -> TableId {
        self.id
    }

    /// The table's definition.
    pub fn def(&self) -> &Arc<TableDef> {
        &self.def
    }

    /// How this node holds the table.
    pub fn mode(&self) -> CopyMode {
        self.mode
    }

    /// Whether the copy can be read.
    pub fn state(&self) -> CopyState {
        self.state
    }

    /// Whether the copy can be read.
    pub fn is_ready(&self) -> bool {
        self.state == CopyState::Ready
    }

    /// Whether the copy's records have yet to arrive.
    pub fn is_loading(&self) -> bool {
        !self.is_ready()
    }

    /// How many records the copy holds.
    pub fn len(&self) -> u64 {
        self.records.len()
    }

    /// Whether iterating goes in key order; sets in memory have no order.
    pub fn is_ordered(&self) -> bool {
        match &self.records {
            Records::Memory(records) => records.as_ordered().is_some(),
            Records::Disc(_) => true,
        }
    }

    /// Whether the copy holds no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An estimate of what the records take: heap where they lie in memory, keys and values where they lie on disc.
    pub fn bytes(&self) -> u64 {
        match &self.records {
            Records::Memory(records) => records.heap_bytes() as u64,
            Records::Disc(records) => records.bytes,
        }
    }

    /// The secondary indexes, in the order of the definition, ready or not.
    pub fn indexes(&self) -> &[IndexView] {
        &self.indexes
    }

    /// A secondary index, to be read.
    ///
    /// # Errors
    /// There is none of this name, it is being built, this program lacks its function, or the table is still loading.
    pub fn index(&self, name: &str) -> Result<&IndexView, StoreError> {
        self.readable()?;
        Ok(self.readable_index(name)?)
    }

    fn readable_index(&self, name: &str) -> Result<&IndexView, IndexReadError> {
        let (table, index) = (|| self.def.name.clone(), || name.to_owned());
        let Some(found) = self.indexes.iter().find(|known| known.def().name == name) else {
            let known: Vec<&str> = self.indexes.iter().map(|known| known.def().name.as_str()).collect();
            return Err(IndexReadError::NoSuchIndex {
                table: table(),
                index: index(),
                known: known.join(", "),
            });
        };
        match found.state() {
            IndexState::Ready => Ok(found),
            IndexState::Building { records, records_total } => {
                Err(IndexReadError::Building { table: table(), index: index(), records, records_total })
            }
            IndexState::Unavailable { why } => Err(IndexReadError::Unavailable { why: why.to_string() }),
        }
    }

    /// Gathers the encoded values under which a record with this storage key and value would stand in one of the
    /// table's indexes.
    pub fn index_values(
        &self,
        index: &IndexView,
        storage_key: &[u8],
        value: &[u8],
        values: &mut IndexValues,
    ) {
        let Some(keys) = index.keys() else { return values.clear() };
        let row = RowRef::new(0, None, value).with_record_version(self.record_version_at(storage_key));
        indexes::values_of(&self.def, self.upgrade.as_deref(), keys, storage_key, row, values);
    }

    /// The record version of a record that was read under a storage key: values were migrated when they were read, but
    /// the storage keys of bags hold the records themselves.
    fn record_version_at(&self, storage_key: &[u8]) -> u32 {
        let present = self.def.shape.version;
        match self.def.kind {
            TableKind::Bag if self.upgrade.is_some() => {
                let row = self.records.get(storage_key).ok().flatten();
                row.map_or(present, |row| row.record_version())
            }
            _ => present,
        }
    }

    /// Bytes of all keys and records, exactly, wherever they lie.
    pub fn payload_bytes(&self) -> u64 {
        match &self.records {
            Records::Memory(records) => records.payload_bytes() as u64,
            Records::Disc(records) => records.bytes,
        }
    }

    /// The row under a storage key.
    ///
    /// # Errors
    /// The table is still loading, or the disc cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.readable()?;
        self.records.get(key)
    }

    /// Calls `read` with the row under a storage key; the row of a table in memory is not copied.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_with<R>(
        &self,
        key: &[u8],
        read: impl FnOnce(RowRef<'_>) -> R,
    ) -> Result<Option<R>, StoreError> {
        self.readable()?;
        match &self.records {
            Records::Memory(records) => Ok(records.get(key).map(read)),
            Records::Disc(records) => Ok(records.get(key)?.map(|row| read(row.as_row_ref()))),
        }
    }

    /// All records under an encoded key: any number in a bag, at most one otherwise.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_all(&self, key: &[u8]) -> Result<Vec<StoredRecord<'_>>, StoreError> {
        if self.def.kind == TableKind::Bag {
            return self.prefix(key).collect();
        }
        let row = self.get(key)?;
        Ok(row.map(|row| StoredRecord::owned(key.to_vec(), row)).into_iter().collect())
    }

    /// The records whose storage keys begin with `prefix`.
    pub fn prefix(&self, prefix: &[u8]) -> TableRange<'_> {
        let end = Key::successor_of_prefix(prefix);
        let end = end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_bytes()));
        self.range((Bound::Included(prefix), end), false, None)
    }

    /// At most `limit` records between two bounds on storage keys, in key order or in reverse.
    ///
    /// A set that lies in memory has no order: all its records are looked at, those within the bounds are given in no
    /// particular order, and `reverse` means nothing. Errors come as items.
    pub fn range(&self, bounds: KeyBounds<'_>, reverse: bool, limit: Option<usize>) -> TableRange<'_> {
        if let Err(error) = self.readable() {
            return TableRange::failed(error);
        }
        self.records.range(bounds, reverse, limit)
    }

    /// As [`range`](Self::range), in key order or in reverse whatever the table's kind.
    ///
    /// Of a set in memory all records are looked at, unless the bounds are one key, and those within the bounds are put in order; with a limit, no
    /// more than twice as many as it are held at once.
    pub fn in_key_order(&self, bounds: KeyBounds<'_>, reverse: bool, limit: Option<usize>) -> TableRange<'_> {
        match &self.records {
            Records::Memory(records) if self.is_ready() && !self.is_ordered() => {
                if let Some(key) = only_key(bounds) {
                    let found = records.get(key).filter(|_| limit != Some(0));
                    return TableRange::one(found.map(|row| StoredRecord::owned(key.to_vec(), row.to_row())));
                }
                TableRange::sorted(key_order::first(records.iter(), bounds, reverse, limit))
            }
            _ => self.range(bounds, reverse, limit),
        }
    }

    /// The records that follow `key` in the view's own order, which is key order unless the table is a set in memory.
    /// Resumes an iteration over this view behind the last key it gave.
    pub fn rows_after(&self, key: Option<&[u8]>) -> TableRange<'_> {
        match self.readable() {
            Ok(()) => self.records.iter_after(key),
            Err(error) => TableRange::failed(error),
        }
    }

    /// All records, in key order unless the table is a set in memory.
    pub fn rows(&self) -> TableRange<'_> {
        self.range(ALL_KEYS, false, None)
    }

    /// The records that belong to an incarnation, found by looking at all.
    pub fn owned_by(&self, owner: Incarnation) -> impl Iterator<Item = Result<StoredRecord<'_>, StoreError>> {
        self.rows().filter(move |record| record.as_ref().map_or(true, |record| record.owner() == Some(owner)))
    }

    /// The bytes of the record itself, in the table's present shape: of a former version as its migration makes them, and
    /// in a bag what follows the encoded key in the storage key.
    ///
    /// # Errors
    /// The record is of a former version, and this program lacks the migration, or it refuses the record.
    pub fn record_bytes<'r>(&self, record: &'r StoredRecord<'_>) -> Result<Cow<'r, [u8]>, StoreError> {
        self.record_of(record.key(), record.row())
    }

    /// The bytes of the record as they are stored, in the shape of its own record version.
    pub fn stored_bytes<'r>(&self, record: &'r StoredRecord<'_>) -> &'r [u8] {
        match self.def.kind {
            TableKind::Bag => bag::split(&self.def, record.key()).1,
            _ => record.value(),
        }
    }

    /// As [`record_bytes`](Self::record_bytes), of a row and its storage key.
    ///
    /// # Errors
    /// As [`record_bytes`](Self::record_bytes).
    #[inline]
    pub fn record_of<'r>(&self, storage_key: &'r [u8], row: RowRef<'r>) -> Result<Cow<'r, [u8]>, StoreError> {
        Ok(record_of(&self.def, self.upgrade.as_deref(), storage_key, row)?)
    }

    /// How records of former versions are read; `None` if there are none.
    pub fn upgrade(&self) -> Option<&Upgrade> {
        self.upgrade.as_deref()
    }

    /// The encoded key of the record: in a bag it is only the beginning of the storage key.
    pub fn record_key<'r>(&self, record: &'r StoredRecord<'_>) -> &'r [u8] {
        match self.def.kind {
            TableKind::Bag => bag::split(&self.def, record.key()).0,
            _ => record.key(),
        }
    }

    /// The digest of all records, found by looking at all.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn digest(&self) -> Result<TableDigest, StoreError> {
        let mut digest = TableDigest::default();
        for record in self.rows() {
            let record = record?;
            digest.add_row(record.key(), record.row());
        }
        Ok(digest)
    }

    /// The digest of what all records say, whichever writes have led to them; found by looking at all.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn content_digest(&self) -> Result<ContentDigest, StoreError> {
        let mut digest = ContentDigest::default();
        for record in self.rows() {
            digest.add(&self.record_bytes(&record?)?);
        }
        Ok(digest)
    }

    /// The records that follow `cursor` (all, if there is none) in this view's own order, up to about `bytes_max`,
    /// packed to be sent. Nothing is kept between calls, so that a broken stream resumes from its last cursor as long
    /// as the view is held.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn chunk_after(&self, cursor: Option<&[u8]>, bytes_max: usize) -> Result<CopyChunk, StoreError> {
        self.readable()?;
        CopyChunk::take(self.id, cursor, bytes_max, self.records.iter_after(cursor))
    }

    fn readable(&self) -> Result<(), StoreError> {
        match self.state {
            CopyState::Ready => Ok(()),
            CopyState::Loading { .. } => Err(StoreError::TableLoading { table: self.def.name.clone() }),
        }
    }
}

/// The one key between the bounds, if there is only one for certain.
fn only_key(bounds: KeyBounds<'_>) -> Option<&[u8]> {
    match bounds {
        (Bound::Included(low), Bound::Included(high)) if low == high => Some(low),
        _ => None,
    }
}

impl Records {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Records::Memory(records) => records.len() as u64,
            Records::Disc(records) => records.len,
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Row>, StoreError> {
        match self {
            Records::Memory(records) => Ok(records.get(key).map(|row| row.to_row())),
            Records::Disc(records) => records.get(key),
        }
    }

    pub(crate) fn range(&self, bounds: KeyBounds<'_>, reverse: bool, limit: Option<usize>) -> TableRange<'_> {
        match self {
            Records::Memory(records) => match records.range(bounds) {
                Some(range) => TableRange::ordered(range, reverse, limit),
                None => TableRange::filtered(records.iter(), bounds, limit),
            },
            Records::Disc(records) => match records.merged(bounds, reverse) {
                Ok(merged) => TableRange::merged(merged, limit),
                Err(error) => TableRange::failed(error),
            },
        }
    }

    fn iter_after(&self, cursor: Option<&[u8]>) -> TableRange<'_> {
        match self {
            Records::Memory(records) => TableRange::filtered(records.iter_after(cursor), ALL_KEYS, None),
            Records::Disc(_) => {
                let low = cursor.map_or(Bound::Unbounded, Bound::Excluded);
                self.range((low, Bound::Unbounded), false, None)
            }
        }
    }
}

impl std::fmt::Debug for TableView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableView")
            .field("table", &self.def.name)
            .field("mode", &self.mode)
            .field("state", &self.state)
            .field("records", &self.len())
            .finish_non_exhaustive()
    }
}
