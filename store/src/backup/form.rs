//! The bytes of a backup. Persistent: add, never change or reuse; `tests/fixtures/backup-v1` is opened by every build.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tabularaft_schema::{TableDef, TableId};

use crate::{ContentDigest, Incarnation};

pub(super) const MAGIC: &[u8; 8] = b"TABRBAK\n";
pub(super) const FORMAT_VERSION: u32 = 1;
pub(super) const PREAMBLE_BYTES: usize = 16;
pub(super) const FRAME_HEAD_BYTES: usize = 9;

/// No frame's payload is longer; the largest record is an eighth of it.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A chunk of records ends with the record that reaches this.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// What a frame holds. Persistent: add, never change or reuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    Header = 1,
    Table = 2,
    Records = 3,
    TableEnd = 4,
    End = 5,
}

impl FrameKind {
    pub(super) fn of(byte: u8) -> Option<Self> {
        [Self::Header, Self::Table, Self::Records, Self::TableEnd, Self::End]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Persistent: the order of the fields is the format. Later versions of the header are further variants.
#[derive(Serialize, Deserialize)]
pub(super) enum HeaderForm<'a> {
    V1 {
        cluster_name: Cow<'a, str>,
        cluster_id: u128,
        node: Cow<'a, str>,
        log_index: u64,
        schema_version: u64,
        created_unix_ms: u64,
        written_by: Cow<'a, str>,
        /// So many definitions follow.
        tables: u32,
    },
}

/// Persistent: the order of the fields is the format.
#[derive(Serialize, Deserialize)]
pub(super) enum TableForm<'a> {
    V1 { id: TableId, def: Cow<'a, TableDef>, has_records: bool },
}

/// What stands before the records of a chunk.
#[derive(Serialize, Deserialize)]
pub(super) struct ChunkHead {
    /// The place of the table among the definitions.
    pub(super) table: u32,
    pub(super) records: u32,
}

/// Persistent: the order of the fields is the format.
#[derive(Serialize, Deserialize)]
pub(super) struct RecordForm<'a> {
    pub(super) version: u64,
    pub(super) owner: Option<Incarnation>,
    #[serde(borrow, with = "serde_bytes")]
    pub(super) record: &'a [u8],
}

/// Persistent: the order of the fields is the format.
#[derive(Serialize, Deserialize)]
pub(super) enum TableEndForm {
    V1 { table: u32, content: ContentDigest, bytes: u64 },
}

/// Persistent: the order of the fields is the format.
#[derive(Serialize, Deserialize)]
pub(super) enum EndForm {
    V1 {
        records: u64,
        /// XXH3-128 of every byte of the file before this frame.
        digest: u128,
    },
}

/// The first bytes of a backup of this version.
pub(super) fn preamble(version: u32) -> [u8; PREAMBLE_BYTES] {
    let mut bytes = [0; PREAMBLE_BYTES];
    let (magic, rest) = bytes.split_at_mut(8);
    let (number, crc) = rest.split_at_mut(4);
    magic.copy_from_slice(MAGIC);
    number.copy_from_slice(&version.to_le_bytes());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(MAGIC), &version.to_le_bytes());
    crc.copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The head of a frame with this payload.
pub(super) fn frame_head(kind: FrameKind, payload: &[u8]) -> [u8; FRAME_HEAD_BYTES] {
    let length = (payload.len() as u32).to_le_bytes();
    let crc = checksum(kind as u8, length, payload).to_le_bytes();
    let [a, b, c, d] = length;
    let [e, f, g, h] = crc;
    [kind as u8, a, b, c, d, e, f, g, h]
}

/// The checksum of a frame, over everything but itself.
pub(super) fn checksum(kind: u8, length: [u8; 4], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&[kind]), &length), payload)
}

/// Postcard of a form.
pub(super) fn encode(form: &impl Serialize) -> Vec<u8> {
    postcard::to_stdvec(form).expect("forms have only types that postcard encodes")
}
