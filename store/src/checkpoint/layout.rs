//! What stands where in `tables.redb`.
//!
//! Persistent: add, never change or reuse.
//!
//! | redb table | key | value |
//! |---|---|---|
//! | `meta` | `format` | the format version of the file, sealed |
//! | | `cluster` | applied position, membership, schema, system state, windows and last version, sealed |
//! | | `tables` | which generation holds which table's records, sealed |
//! | `t<table>.<generation>` | storage key | CRC-32C of key and row (4 bytes, little-endian), then the row |
//!
//! The records of a table are those of the one generation that `tables` names; writing all of them anew goes into a
//! new generation, and the transaction that makes `tables` name it is the moment of the change.

use std::collections::{BTreeMap, BTreeSet};

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tabularaft_schema::TableId;

use super::database::TablesFile;
use crate::cluster_state::ClusterState;
use crate::error::StoreError;
use crate::row::RowRef;
use crate::sealed;

/// How redb sees keys and values: as bytes.
pub(crate) type Bytes = &'static [u8];

pub(crate) const FILE_NAME: &str = "tables.redb";

const META: TableDefinition<'_, &str, Bytes> = TableDefinition::new("meta");
const FORMAT: &str = "format";
const CLUSTER: &str = "cluster";
const TABLES: &str = "tables";

const FORMAT_VERSION: u64 = 1;
const META_VERSION: u8 = 1;
const CRC_BYTES: usize = 4;

/// Where a checkpoint has the records of one table. Persistent: the order of the fields is the format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedTable {
    pub(crate) generation: u64,
    /// Entries at lower log indexes are already in the records, which may be newer than the checkpoint's position.
    pub(crate) from: u64,
    /// Keys and values together, as counted when they were written.
    pub(crate) bytes: u64,
}

pub(crate) type SavedTables = BTreeMap<TableId, SavedTable>;

pub(crate) fn table_name(table: TableId, generation: u64) -> String {
    format!("t{}.{generation}", table.0)
}

pub(crate) fn generation_of(name: &str) -> Option<u64> {
    let (table, generation) = name.strip_prefix('t')?.split_once('.')?;
    table.parse::<u64>().ok()?;
    generation.parse().ok()
}

pub(crate) fn records(name: &str) -> TableDefinition<'_, Bytes, Bytes> {
    TableDefinition::new(name)
}

/// Writes the format version into a new file and checks it in an old one. True if the file was new.
pub(crate) fn check_format(file: &TablesFile, transaction: &WriteTransaction) -> Result<bool, StoreError> {
    let found = {
        let meta = transaction.open_table(META).map_err(|error| file.failed("reading", error))?;
        let stored = meta.get(FORMAT).map_err(|error| file.failed("reading", error))?;
        stored.map(|stored| unseal::<u64>(file, FORMAT, stored.value())).transpose()?
    };
    match found {
        Some(FORMAT_VERSION) => Ok(false),
        Some(found) => Err(StoreError::NewerFormat {
            file: file.path().to_owned(),
            what: "the file".to_owned(),
            found: u8::try_from(found).unwrap_or(u8::MAX),
            newest: FORMAT_VERSION as u8,
        }),
        None => {
            put(file, transaction, FORMAT, &FORMAT_VERSION)?;
            Ok(true)
        }
    }
}

/// Writes everything but records.
pub(crate) fn write_meta(
    file: &TablesFile,
    transaction: &WriteTransaction,
    cluster: &ClusterState,
    tables: &SavedTables,
) -> Result<(), StoreError> {
    put_sealed(file, transaction, CLUSTER, &cluster.seal())?;
    put(file, transaction, TABLES, tables)
}

/// Reads what [`write_meta`] wrote; `None` if there has been no checkpoint yet.
pub(crate) fn read_meta(
    file: &TablesFile,
    transaction: &ReadTransaction,
) -> Result<Option<(ClusterState, SavedTables)>, StoreError> {
    let meta = transaction.open_table(META).map_err(|error| file.failed("reading", error))?;
    let stored = meta.get(CLUSTER).map_err(|error| file.failed("reading", error))?;
    let Some(stored) = stored else { return Ok(None) };
    let cluster = ClusterState::unseal(stored.value())
        .map_err(|error| StoreError::seal(file.path(), "the value \"cluster\"", error))?;
    let tables = get(file, &meta, TABLES)?.unwrap_or_default();
    Ok(Some((cluster, tables)))
}

pub(crate) fn referred_generations(
    file: &TablesFile,
    transaction: &WriteTransaction,
) -> Result<BTreeSet<u64>, StoreError> {
    let meta = transaction.open_table(META).map_err(|error| file.failed("reading", error))?;
    let tables: SavedTables = get(file, &meta, TABLES)?.unwrap_or_default();
    Ok(tables.values().map(|saved| saved.generation).collect())
}

/// Puts one record into an open table.
pub(crate) fn insert_record(
    table: &mut Table<'_, Bytes, Bytes>,
    key: &[u8],
    row: RowRef<'_>,
    buffer: &mut Vec<u8>,
) -> Result<(), redb::StorageError> {
    buffer.clear();
    buffer.extend_from_slice(&[0; CRC_BYTES]);
    row.write_to(buffer);
    let crc = checksum(key, buffer.get(CRC_BYTES..).unwrap_or_default()).to_le_bytes();
    if let Some(room) = buffer.get_mut(..CRC_BYTES) {
        room.copy_from_slice(&crc);
    }
    table.insert(key, buffer.as_slice()).map(drop)
}

/// Reads back a row and checks that it belongs to `key`.
pub(crate) fn row<'r>(
    file: &TablesFile,
    table: &str,
    key: &[u8],
    stored: &'r [u8],
) -> Result<RowRef<'r>, StoreError> {
    let damaged = |why: &str| StoreError::Damaged {
        file: file.path().to_owned(),
        what: format!("a record of table {table}"),
        why: why.to_owned(),
    };
    let (crc, row) = stored.split_first_chunk::<CRC_BYTES>().ok_or_else(|| damaged("it ends early"))?;
    if u32::from_le_bytes(*crc) != checksum(key, row) {
        return Err(damaged("its checksum does not match"));
    }
    RowRef::from_bytes(row).ok_or_else(|| damaged("it is no row"))
}

fn checksum(key: &[u8], row: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), row)
}

fn put<T: Serialize>(
    file: &TablesFile,
    transaction: &WriteTransaction,
    key: &str,
    value: &T,
) -> Result<(), StoreError> {
    put_sealed(file, transaction, key, &sealed::seal(META_VERSION, value))
}

fn put_sealed(
    file: &TablesFile,
    transaction: &WriteTransaction,
    key: &str,
    sealed: &[u8],
) -> Result<(), StoreError> {
    let mut meta = transaction.open_table(META).map_err(|error| file.failed("writing", error))?;
    meta.insert(key, sealed).map_err(|error| file.failed("writing", error))?;
    Ok(())
}

fn get<T: DeserializeOwned>(
    file: &TablesFile,
    meta: &impl ReadableTable<&'static str, Bytes>,
    key: &str,
) -> Result<Option<T>, StoreError> {
    let stored = meta.get(key).map_err(|error| file.failed("reading", error))?;
    stored.map(|stored| unseal(file, key, stored.value())).transpose()
}

fn unseal<T: DeserializeOwned>(file: &TablesFile, key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let what = format!("the value {key:?}");
    sealed::unseal(META_VERSION, bytes).map_err(|error| StoreError::seal(file.path(), &what, error))
}
