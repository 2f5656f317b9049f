//! Writes of single records of a typed table.

use bytes::Bytes;
use tabularaft_schema::{Key, KeyFor, Record, TableId};
use tabularaft_store::OpResult;

use super::Table;
use crate::door;
use crate::error::{ReadError, WriteError};
use crate::write::{Combine, Committed, Delta, Guard, Op, Request};

impl<R: Record> Table<R> {
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
        self.combine(key, field, Combine::Add, delta.into(), otherwise).await
    }

    /// Deletes every record. Returns how many there were.
    ///
    /// # Errors
    ///
    /// As [`Table::insert`].
    pub async fn clear(&self) -> Result<u64, WriteError> {
        self.write(|table| Request::one(Op::Clear { table })).await.map(count)
    }

    pub(super) fn field(&self, name: &str) -> Result<u32, WriteError> {
        let at = self.def.shape.fields.iter().position(|field| field.name == name);
        let unknown = || crate::Rejection::NotApplicable {
            table: self.name.to_string(),
            why: format!("it has no field {name}"),
        };
        at.map(|at| at as u32).ok_or_else(|| WriteError::Rejected(unknown()))
    }

    pub(super) async fn write(
        &self,
        request: impl FnOnce(TableId) -> Request,
    ) -> Result<Committed, WriteError> {
        let engine = self.node.engine().ok_or(WriteError::Stopped)?;
        let id = self.id_in(&engine.store.read()).map_err(not_writable)?;
        drop(engine);
        let request = request(id).with_record_version(id, self.def.shape.version);
        self.node.write(request, door::now() + self.timeout).await
    }
}

pub(super) fn parts<R: Record>(record: &R) -> Result<(Bytes, Bytes), WriteError> {
    Ok((bytes(record.key()), record.encode()?.into()))
}

pub(super) fn bytes(key: Key) -> Bytes {
    key.into_bytes().into()
}

pub(super) fn version(committed: Committed) -> u64 {
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

/// What a number has come to.
pub(super) fn sum(result: Option<OpResult>) -> Sum {
    match result {
        Some(OpResult::Unsigned(value)) => Sum::Unsigned(value),
        Some(OpResult::Integer(value)) => Sum::Integer(value),
        Some(OpResult::Float(value)) => Sum::Float(value),
        _ => Sum::Unsigned(0),
    }
}

/// Why a table cannot be written to, in the words of writes.
pub(super) fn not_writable(error: ReadError) -> WriteError {
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
