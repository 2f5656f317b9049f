//! Typed tables: reads in the calling thread, writes through the log.

use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tabularaft_schema::{Difference, Key, KeyFor, Record, TableDef, TableId, TableKind, TableName};
use tabularaft_store::{LogIndex, OpResult, StoreError, StoredRecord, TableView, View};

use crate::door;
use crate::error::{ReadError, WriteError};
use crate::inner::NodeInner;
use crate::records::Records;
use crate::write::{Committed, Delta, Guard, Op, Request};

/// A record with the version under which it is stored. Versions grow with every write anywhere in the cluster and are
/// never used twice, so an equal version means that nothing was written in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<R> {
    /// The record.
    pub record: R,
    /// Its version, greater than zero.
    pub version: u64,
}

/// A table of records of type `R`.
///
/// Reads are local: they look at this node's newest view, cost no network, and see this node's own writes. Writes are
/// replicated, and return when they are committed *and* applied on this node. Every write waits for at most the node's
/// write timeout (see [`Table::with_timeout`]).
///
/// # Durability
///
/// A committed write survives the loss of any minority of nodes; in a table with a disc copy also power loss of all.
///
/// # Cancel safety
///
/// A write whose future is dropped may or may not happen.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use serde::{Deserialize, Serialize};
/// use tabularaft::{Node, Record};
///
/// #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
/// #[record(table = "session", kind = "set", copy = "ram", crate = "tabularaft::schema")]
/// struct Session { #[key] client: String, node: String, clean: bool }
///
/// let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
/// node.create_table::<Session>().await?;
/// let sessions = node.table::<Session>()?;
/// sessions.insert(&Session { client: "c1".into(), node: "n1".into(), clean: true }).await?;
/// assert_eq!(sessions.get("c1")?.unwrap().node, "n1");
/// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
/// ```
pub struct Table<R> {
    node: Arc<NodeInner>,
    name: TableName,
    def: Arc<TableDef>,
    /// The id under which the table was last found; checked at each use, since a dropped table's id is never reused.
    id: Arc<AtomicU64>,
    timeout: Duration,
    record: PhantomData<fn() -> R>,
}

impl<R> Clone for Table<R> {
    fn clone(&self) -> Self {
        Self {
            node: Arc::clone(&self.node),
            name: self.name.clone(),
            def: Arc::clone(&self.def),
            id: Arc::clone(&self.id),
            timeout: self.timeout,
            record: PhantomData,
        }
    }
}

impl<R: Record> Table<R> {
    pub(crate) fn open(node: Arc<NodeInner>, timeout: Duration) -> Result<Self, ReadError> {
        let def = Arc::new(R::table_def());
        let engine = node.engine().ok_or(ReadError::Stopped)?;
        let view = engine.store.view();
        let table =
            view.schema().table(def.name.as_str()).ok_or_else(|| ReadError::NoSuchTable(def.name.clone()))?;
        let differences = record_differences(&def, &table.def);
        if !differences.is_empty() {
            return Err(ReadError::Definition { table: def.name.clone(), differences });
        }
        let id = Arc::new(AtomicU64::new(table.id.0));
        Ok(Self { name: def.name.clone(), node, def, id, timeout, record: PhantomData })
    }

    /// The table's name.
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// The same table with another time limit for writes and waiting reads.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// Inserts the record, replacing the one under its key; a bag keeps one copy of each distinct record per key.
    /// Returns the record's version.
    ///
    /// # Errors
    ///
    /// [`WriteError::Unknown`] when it may have happened, any other when it did not.
    pub async fn insert(&self, record: &R) -> Result<u64, WriteError> {
        let (key, value) = parts(record)?;
        self.write(|table| Request::one(Op::Put { table, key: key.clone(), value: value.clone() }))
            .await
            .map(version)
    }

    /// Inserts the record if nothing is under its key.
    ///
    /// # Errors
    ///
    /// [`Rejection::KeyExists`](crate::Rejection::KeyExists) if the key is taken; else as [`Table::insert`].
    pub async fn insert_new(&self, record: &R) -> Result<u64, WriteError> {
        let (key, value) = parts(record)?;
        self.write(|table| Request::one(Op::InsertNew { table, key: key.clone(), value: value.clone() }))
            .await
            .map(version)
    }

    /// Replaces the record if its version is still `expected` (0: if there is none). Returns the new version.
    ///
    /// # Errors
    ///
    /// [`Rejection::VersionDiffers`](crate::Rejection::VersionDiffers) with the version found; else as
    /// [`Table::insert`].
    pub async fn compare_and_swap(&self, expected: u64, record: &R) -> Result<u64, WriteError> {
        let (key, value) = parts(record)?;
        self.write(|table| {
            let guard = Guard::Version { table, key: key.clone(), version: expected };
            Request::guarded(guard, Op::Put { table, key: key.clone(), value: value.clone() })
        })
        .await
        .map(version)
    }

    /// Deletes the record (of a bag: all records) under the key. Returns how many there were.
    ///
    /// # Errors
    ///
    /// As [`Table::insert`].
    pub async fn delete(&self, key: impl KeyFor<R::Key>) -> Result<u64, WriteError> {
        let key = bytes(key.to_key());
        self.write(|table| Request::one(Op::Delete { table, key: key.clone() })).await.map(count)
    }

    /// Deletes the record under the key if its version is still `expected`.
    ///
    /// # Errors
    ///
    /// As [`Table::compare_and_swap`].
    pub async fn compare_and_delete(
        &self,
        expected: u64,
        key: impl KeyFor<R::Key>,
    ) -> Result<u64, WriteError> {
        let key = bytes(key.to_key());
        self.write(|table| {
            let guard = Guard::Version { table, key: key.clone(), version: expected };
            Request::guarded(guard, Op::Delete { table, key: key.clone() })
        })
        .await
        .map(count)
    }

    /// Deletes exactly this record, of a bag or a set. Returns whether it was there.
    ///
    /// # Errors
    ///
    /// As [`Table::insert`].
    pub async fn delete_object(&self, record: &R) -> Result<bool, WriteError> {
        let (key, value) = parts(record)?;
        let done = self
            .write(|table| Request::one(Op::DeleteObject { table, key: key.clone(), value: value.clone() }));
        done.await.map(|committed| count(committed) > 0)
    }

    /// Adds to a numeric field at the leader, so that concurrent additions never conflict. Without a record under the
    /// key, `otherwise` is inserted first. Returns the field's new value, integers as `f64` only beyond 2⁵³.
    ///
    /// # Errors
    ///
    /// [`Rejection::NotApplicable`](crate::Rejection::NotApplicable) if the field is no number or would overflow,
    /// [`Rejection::NoSuchRecord`](crate::Rejection::NoSuchRecord) without record and `otherwise`; else as
    /// [`Table::insert`].
    pub async fn add(
        &self,
        key: impl KeyFor<R::Key>,
        field: &str,
        delta: impl Into<Delta>,
        otherwise: Option<&R>,
    ) -> Result<Sum, WriteError> {
        let (key, delta) = (bytes(key.to_key()), delta.into());
        let field = self.field(field)?;
        let otherwise = otherwise.map(parts).transpose()?.map(|(_, value)| value);
        let add = |table| Op::Add { table, key: key.clone(), field, delta, otherwise: otherwise.clone() };
        self.write(|table| Request::one(add(table))).await.map(|committed| match committed.results.first() {
            Some(OpResult::Unsigned(value)) => Sum::Unsigned(*value),
            Some(OpResult::Integer(value)) => Sum::Integer(*value),
            Some(OpResult::Float(value)) => Sum::Float(*value),
            _ => Sum::Unsigned(0),
        })
    }

    /// Deletes every record. Returns how many there were.
    ///
    /// # Errors
    ///
    /// As [`Table::insert`].
    pub async fn clear(&self) -> Result<u64, WriteError> {
        self.write(|table| Request::one(Op::Clear { table })).await.map(count)
    }

    /// The record under the key; of a bag, the first one.
    ///
    /// # Errors
    ///
    /// When this node holds no loaded copy, or the stored record is not of this type.
    pub fn get(&self, key: impl KeyFor<R::Key>) -> Result<Option<R>, ReadError> {
        self.get_versioned(key).map(|found| found.map(|versioned| versioned.record))
    }

    /// As [`Table::get`], with the record's version for [`Table::compare_and_swap`].
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn get_versioned(&self, key: impl KeyFor<R::Key>) -> Result<Option<Versioned<R>>, ReadError> {
        let key = key.to_key();
        self.read(|copy| {
            if copy.def().kind == TableKind::Bag {
                return copy.prefix(key.as_bytes()).next().map(|stored| found(copy, stored)).transpose();
            }
            let row = copy
                .get_with(key.as_bytes(), |row| versioned(row.value(), row.version()))
                .map_err(store_error)?;
            row.transpose()
        })
    }

    /// All records under the key: of a bag any number, otherwise one or none.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn get_all(&self, key: impl KeyFor<R::Key>) -> Result<Vec<R>, ReadError> {
        let key = key.to_key();
        self.read(|copy| {
            let stored = copy.get_all(key.as_bytes()).map_err(store_error)?;
            stored.into_iter().map(|stored| Ok(R::decode(copy.record_bytes(&stored))?)).collect()
        })
    }

    /// Whether there is a record under the key.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn contains(&self, key: impl KeyFor<R::Key>) -> Result<bool, ReadError> {
        let key = key.to_key();
        self.read(|copy| match copy.def().kind {
            TableKind::Bag => {
                copy.prefix(key.as_bytes()).next().transpose().map(|f| f.is_some()).map_err(store_error)
            }
            _ => copy.get_with(key.as_bytes(), |_| ()).map(|row| row.is_some()).map_err(store_error),
        })
    }

    /// How many records this node's copy holds.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn count(&self) -> Result<u64, ReadError> {
        self.read(|copy| Ok(copy.len()))
    }

    /// Every record of one view: in key order, except for sets held in memory.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn iter(&self) -> Result<Records<R>, ReadError> {
        self.records(Bound::Unbounded, Bound::Unbounded)
    }

    /// The records whose keys lie in the range, in key order. Of a set the whole table is looked at.
    ///
    /// # Errors
    ///
    /// As [`Table::get`].
    pub fn range<K: KeyFor<R::Key>>(&self, range: impl RangeBounds<K>) -> Result<Records<R>, ReadError> {
        // Keys are prefix-free, so everything that starts with a key, as a bag's records do, is under that key.
        let low = match range.start_bound() {
            Bound::Included(key) => Bound::Included(key.to_key().into_bytes()),
            Bound::Excluded(key) => end_of(key.to_key()).map_or(Bound::Unbounded, Bound::Included),
            Bound::Unbounded => Bound::Unbounded,
        };
        let high = match range.end_bound() {
            Bound::Excluded(key) => Bound::Excluded(key.to_key().into_bytes()),
            Bound::Included(key) => end_of(key.to_key()).map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Unbounded => Bound::Unbounded,
        };
        self.records(low, high)
    }

    /// The records whose first key field, a string, starts with `prefix`, in key order.
    ///
    /// # Errors
    ///
    /// As [`Table::get`]; also if the first key field is no string.
    pub fn prefix(&self, prefix: &str) -> Result<Records<R>, ReadError> {
        let prefix = self.def.key_prefix(prefix)?;
        let high = Key::successor_of_prefix(prefix.as_bytes()).map(Key::into_bytes);
        self.records(Bound::Included(prefix.into_bytes()), high.map_or(Bound::Unbounded, Bound::Excluded))
    }

    /// Waits until this node has applied everything that was acknowledged anywhere before the call, so that the reads
    /// after it are linearizable.
    ///
    /// # Errors
    ///
    /// [`ReadError::NoLeader`] when no leader with a majority answers in time.
    pub async fn linearize(&self) -> Result<LogIndex, ReadError> {
        let engine = self.node.engine().ok_or(ReadError::Stopped)?;
        let read_index = engine.read_index().ok_or(ReadError::NoLeader)?;
        read_index.wait(door::now() + self.timeout).await
    }

    fn records(&self, low: Bound<Vec<u8>>, high: Bound<Vec<u8>>) -> Result<Records<R>, ReadError> {
        let engine = self.node.engine().ok_or(ReadError::Stopped)?;
        let view = engine.store.view();
        let copy = Arc::clone(self.copy_in(&view)?);
        Ok(Records::new(view, &copy, low, high))
    }

    fn read<T>(&self, read: impl FnOnce(&TableView) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let engine = self.node.engine_guard();
        let view = engine.as_ref().ok_or(ReadError::Stopped)?.store.read();
        read(self.copy_in(&view)?)
    }

    fn copy_in<'v>(&self, view: &'v View) -> Result<&'v Arc<TableView>, ReadError> {
        let id = self.id_in(view)?;
        let copy = view.table(id).ok_or_else(|| ReadError::NoCopy(self.name.clone()))?;
        if copy.is_ready() { Ok(copy) } else { Err(ReadError::Loading(self.name.clone())) }
    }

    /// The table's id in this view. A table that was dropped and created again, or met again in another cluster, has
    /// another id.
    fn id_in(&self, view: &View) -> Result<TableId, ReadError> {
        let known = TableId(self.id.load(Ordering::Relaxed));
        if view.table(known).is_some_and(|copy| copy.def().name == self.name) {
            return Ok(known);
        }
        let table = view
            .schema()
            .table(self.name.as_str())
            .ok_or_else(|| ReadError::NoSuchTable(self.name.clone()))?;
        let differences = record_differences(&self.def, &table.def);
        if !differences.is_empty() {
            return Err(ReadError::Definition { table: self.name.clone(), differences });
        }
        self.id.store(table.id.0, Ordering::Relaxed);
        Ok(table.id)
    }

    fn field(&self, name: &str) -> Result<u32, WriteError> {
        let at = self.def.shape.fields.iter().position(|field| field.name == name);
        let unknown = || crate::Rejection::NotApplicable {
            table: self.name.to_string(),
            why: format!("it has no field {name}"),
        };
        at.map(|at| at as u32).ok_or_else(|| WriteError::Rejected(unknown()))
    }

    async fn write(&self, request: impl FnOnce(TableId) -> Request) -> Result<Committed, WriteError> {
        let engine = self.node.engine().ok_or(WriteError::Stopped)?;
        let id = self.id_in(&engine.store.read()).map_err(not_writable)?;
        drop(engine);
        self.node.write(request(id), door::now() + self.timeout).await
    }
}

/// Where two definitions differ so that records of one cannot be read as the other's. How nodes hold the table is for
/// the operator to change.
fn record_differences(ours: &TableDef, theirs: &TableDef) -> Vec<Difference> {
    let mut all = ours.differences(theirs);
    all.retain(|difference| difference.field != "copy");
    all
}

fn parts<R: Record>(record: &R) -> Result<(Bytes, Bytes), WriteError> {
    Ok((bytes(record.key()), record.encode()?.into()))
}

fn bytes(key: Key) -> Bytes {
    key.into_bytes().into()
}

/// The first byte string behind everything that is under the key.
fn end_of(key: Key) -> Option<Vec<u8>> {
    Key::successor_of_prefix(key.as_bytes()).map(Key::into_bytes)
}

fn version(committed: Committed) -> u64 {
    match committed.results.first() {
        Some(OpResult::Version(version)) => *version,
        _ => 0,
    }
}

fn count(committed: Committed) -> u64 {
    match committed.results.first() {
        Some(OpResult::Count(count)) => *count,
        _ => 0,
    }
}

fn versioned<R: Record>(record: &[u8], version: u64) -> Result<Versioned<R>, ReadError> {
    Ok(Versioned { record: R::decode(record)?, version })
}

fn found<R: Record>(
    copy: &TableView,
    stored: Result<StoredRecord<'_>, StoreError>,
) -> Result<Versioned<R>, ReadError> {
    let stored = stored.map_err(store_error)?;
    versioned(copy.record_bytes(&stored), stored.version())
}

fn store_error(error: StoreError) -> ReadError {
    ReadError::Store(error.to_string())
}

/// Why a table cannot be written to, in the words of writes.
fn not_writable(error: ReadError) -> WriteError {
    match error {
        ReadError::NoSuchTable(name) => WriteError::NoSuchTable(name),
        ReadError::Definition { table, differences } => WriteError::Definition { table, differences },
        _ => WriteError::Stopped,
    }
}

/// A value that a counter came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sum {
    /// Of an unsigned field.
    Unsigned(u64),
    /// Of a signed field.
    Integer(i64),
    /// Of a floating-point field.
    Float(f64),
}
