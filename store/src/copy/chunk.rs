//! Chunks of a table copy.
//!
//! Persistent: add, never change or reuse. A chunk is sealed (version, checksum, content); its content is the postcard
//! of the wire form below.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::TableId;

use crate::error::StoreError;
use crate::row::RowRef;
use crate::sealed::{self, SealError};
use crate::stored_record::StoredRecord;
use crate::table_range::TableRange;
use crate::{Incarnation, TableDigest};

/// Of chunks whose records all have record version 1.
const PLAIN_VERSION: u8 = 1;
/// Of chunks that say the record version of each record.
const RESHAPED_VERSION: u8 = 2;

/// What a record takes in a chunk besides key and value, at most.
const RECORD_OVERHEAD_BYTES: usize = 40;

/// Some records of a table, packed to be sent.
#[derive(Debug, Clone)]
pub struct CopyChunk {
    /// How many records are in it.
    pub records: u64,
    /// What travels.
    pub bytes: Bytes,
    /// The cursor for the next chunk; `None` if this was the last.
    pub next: Option<Vec<u8>>,
}

/// Why a chunk cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// The bytes are no chunk that this build reads.
    #[error("{0}")]
    Unreadable(SealError),
    /// The chunk is of another table.
    #[error("it belongs to table {found:?}")]
    OtherTable {
        /// Whose it is.
        found: TableId,
    },
    /// The chunk does not follow the one before it: one was lost, or came twice.
    #[error("it does not follow the chunk before it: resume from the builder's cursor")]
    OutOfOrder,
    /// The last chunk has been taken already, or has not arrived yet.
    #[error("the copy is {}complete", if *.complete { "already " } else { "not " })]
    Completeness {
        /// Whether the last chunk had been taken.
        complete: bool,
    },
}

/// Persistent: the order of the fields is the format.
#[derive(Serialize, Deserialize)]
pub(crate) struct WireChunk<'a> {
    pub(super) table: TableId,
    /// The cursor that this chunk follows.
    #[serde(borrow)]
    pub(super) after: Option<&'a [u8]>,
    /// The cursor that the next chunk follows; `None` in the last chunk.
    #[serde(borrow)]
    pub(super) next: Option<&'a [u8]>,
    #[serde(borrow)]
    pub(super) records: Vec<WireRecord<'a>>,
}

/// As [`WireChunk`], with the record version of each record.
///
/// Persistent: the order of the fields is the format.
#[derive(Serialize, Deserialize)]
struct ReshapedChunk<'a> {
    #[serde(borrow)]
    chunk: WireChunk<'a>,
    record_versions: Vec<u32>,
}

/// Persistent: the order of the fields is the format.
#[derive(Serialize, Deserialize)]
pub(super) struct WireRecord<'a> {
    #[serde(borrow, with = "serde_bytes")]
    pub(super) key: &'a [u8],
    version: u64,
    owner: Option<Incarnation>,
    #[serde(borrow, with = "serde_bytes")]
    value: &'a [u8],
    /// Not written: see [`ReshapedChunk`].
    #[serde(skip, default = "first_record_version")]
    record_version: u32,
}

fn first_record_version() -> u32 {
    1
}

impl CopyChunk {
    /// Packs what `records` gives, up to about `bytes_max`, but at least one record if there is any.
    pub(crate) fn take(
        table: TableId,
        after: Option<&[u8]>,
        bytes_max: usize,
        mut records: TableRange<'_>,
    ) -> Result<Self, StoreError> {
        let mut taken: Vec<StoredRecord<'_>> = Vec::new();
        let mut bytes = 0;
        let mut more = false;
        for record in &mut records {
            let record = record?;
            bytes += record.key().len() + record.value().len() + RECORD_OVERHEAD_BYTES;
            if bytes > bytes_max && !taken.is_empty() {
                more = true;
                break;
            }
            taken.push(record);
        }
        let next = taken.last().filter(|_| more).map(|record| record.key().to_vec());
        let wire = WireChunk {
            table,
            after,
            next: next.as_deref(),
            records: taken.iter().map(WireRecord::of).collect(),
        };
        let bytes = wire.seal().into();
        Ok(Self { records: taken.len() as u64, bytes, next })
    }
}

impl CopyChunk {
    /// The same without its last record, and sealed as if that had never been: what a source with a damaged memory
    /// would send. Only the digest of the whole table tells.
    #[doc(hidden)]
    #[must_use]
    pub fn without_last_record(self) -> Self {
        let Ok(mut wire) = WireChunk::read(&self.bytes) else { return self };
        let lost = u64::from(wire.records.pop().is_some());
        let bytes = wire.seal().into();
        Self { records: self.records - lost, bytes, next: self.next }
    }
}

impl<'a> WireChunk<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ChunkError> {
        let content = sealed::content(RESHAPED_VERSION, bytes).map_err(ChunkError::Unreadable)?;
        if bytes.first() == Some(&PLAIN_VERSION) {
            return sealed::decode(content).map_err(ChunkError::Unreadable);
        }
        let ReshapedChunk { mut chunk, record_versions } =
            sealed::decode(content).map_err(ChunkError::Unreadable)?;
        if chunk.records.len() != record_versions.len() {
            let why = "it has not as many record versions as records".to_owned();
            return Err(ChunkError::Unreadable(SealError::Content { why }));
        }
        for (record, record_version) in chunk.records.iter_mut().zip(record_versions) {
            record.record_version = record_version;
        }
        Ok(chunk)
    }

    /// In the older form if that can say everything.
    fn seal(self) -> Vec<u8> {
        if self.records.iter().all(|record| record.record_version == 1) {
            return sealed::seal(PLAIN_VERSION, &self);
        }
        let record_versions = self.records.iter().map(|record| record.record_version).collect();
        sealed::seal(RESHAPED_VERSION, &ReshapedChunk { chunk: self, record_versions })
    }

    pub(crate) fn digest_into(&self, digest: &mut TableDigest) {
        for record in &self.records {
            digest.add_row(record.key, record.row());
        }
    }
}

impl<'a> WireRecord<'a> {
    fn of(record: &'a StoredRecord<'_>) -> Self {
        let row = record.row();
        Self {
            key: record.key(),
            version: row.version(),
            owner: row.owner(),
            value: row.value(),
            record_version: row.record_version(),
        }
    }

    pub(super) fn row(&self) -> RowRef<'a> {
        RowRef::new(self.version, self.owner, self.value).with_record_version(self.record_version)
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }
}
