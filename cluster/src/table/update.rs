//! Changes of single records that the leader works out, and writes under a condition.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tabularaft_schema::{KeyFor, Record};
use tabularaft_store::OpResult;

use super::Table;
use super::write::{Sum, bytes, parts, sum, version};
use crate::error::WriteError;
use crate::functions::Function;
use crate::write::{Change, Combine, Delta, Guard, Op, Rejection, Request};

impl<R: Record> Table<R> {
    /// Lowers a numeric field to `number` unless it is lower, at the leader. Otherwise as [`Table::add`].
    ///
    /// # Errors
    ///
    /// As [`Table::add`].
    pub async fn min(
        &self,
        key: impl KeyFor<R::Key>,
        field: &str,
        number: impl Into<Delta>,
        otherwise: Option<&R>,
    ) -> Result<Sum, WriteError> {
        self.combine(key, field, Combine::Min, number.into(), otherwise).await
    }

    /// Raises a numeric field to `number` unless it is higher, at the leader. Otherwise as [`Table::add`].
    ///
    /// # Errors
    ///
    /// As [`Table::add`].
    pub async fn max(
        &self,
        key: impl KeyFor<R::Key>,
        field: &str,
        number: impl Into<Delta>,
        otherwise: Option<&R>,
    ) -> Result<Sum, WriteError> {
        self.combine(key, field, Combine::Max, number.into(), otherwise).await
    }

    /// Appends an item to a list, at the leader, so that concurrent appends never conflict. Without a record under the
    /// key, `otherwise` is inserted first. Returns the list's new length.
    ///
    /// # Errors
    ///
    /// [`Rejection::NotApplicable`] if the field is no list of such items, [`Rejection::NoSuchRecord`] without record
    /// and `otherwise`; else as [`Table::insert`].
    pub async fn append<I: Serialize>(
        &self,
        key: impl KeyFor<R::Key>,
        field: &str,
        item: &I,
        otherwise: Option<&R>,
    ) -> Result<u64, WriteError> {
        let otherwise = otherwise.map(parts).transpose()?.map(|(_, value)| value);
        let change = append(self.field(field)?, item, otherwise).map_err(|why| self.not_applicable(why))?;
        match self.change(key, change).await? {
            Some(OpResult::Count(length)) => Ok(length),
            _ => Ok(0),
        }
    }

    /// Runs a registered function on the record, at the leader. Returns what it returns.
    ///
    /// # Errors
    ///
    /// [`Rejection::Function`] with what the function says when it refuses, [`Rejection::NoSuchFunction`] if the
    /// leader's program does not have it; else as [`Table::insert`].
    pub async fn call<A: Serialize, V: DeserializeOwned>(
        &self,
        function: &Function<R, A, V>,
        key: impl KeyFor<R::Key>,
        argument: &A,
    ) -> Result<V, WriteError> {
        let change = call(function, argument)?;
        let value = match self.change(key, change).await? {
            Some(OpResult::Value(value)) => value,
            _ => Bytes::new(),
        };
        // It has happened, and what it returned is lost: every other error would say that it had not.
        postcard::from_bytes(&value).map_err(|_| WriteError::Unknown)
    }

    /// Replaces the record if there is one under its key. Returns the new version.
    ///
    /// # Errors
    ///
    /// [`Rejection::NoSuchRecord`] if there is none; else as [`Table::insert`].
    pub async fn insert_existing(&self, record: &R) -> Result<u64, WriteError> {
        let (key, value) = parts(record)?;
        self.write(|table| {
            let guard = Guard::Present { table, key: key.clone() };
            Request::guarded(guard, Op::Put { table, key, value })
        })
        .await
        .map(version)
    }

    /// Replaces exactly this record of a set by another one with the same key. Returns the new version.
    ///
    /// # Errors
    ///
    /// [`Rejection::ValueDiffers`] if the record is another one, or there is none; else as [`Table::insert`].
    pub async fn replace(&self, expected: &R, record: &R) -> Result<u64, WriteError> {
        let ((key, before), (other_key, value)) = (parts(expected)?, parts(record)?);
        if key != other_key {
            let why = "a record is only replaced by one with the same key".to_owned();
            return Err(self.not_applicable(why));
        }
        self.write(|table| {
            let guard = Guard::Value { table, key: key.clone(), record: before };
            Request::guarded(guard, Op::Put { table, key, value })
        })
        .await
        .map(version)
    }

    pub(super) async fn combine(
        &self,
        key: impl KeyFor<R::Key>,
        field: &str,
        how: Combine,
        number: Delta,
        otherwise: Option<&R>,
    ) -> Result<Sum, WriteError> {
        let otherwise = otherwise.map(parts).transpose()?.map(|(_, value)| value);
        let change = Change::Combine { field: self.field(field)?, how, number, otherwise };
        Ok(sum(self.change(key, change).await?))
    }

    async fn change(&self, key: impl KeyFor<R::Key>, change: Change) -> Result<Option<OpResult>, WriteError> {
        let key = bytes(key.to_key());
        let committed = self.write(|table| Request::one(Op::Update { table, key, change })).await?;
        Ok(committed.results.into_iter().next())
    }

    fn not_applicable(&self, why: String) -> WriteError {
        WriteError::Rejected(Rejection::NotApplicable { table: self.name.to_string(), why })
    }
}

/// The change that appends an item to a list.
pub(crate) fn append<I: Serialize>(field: u32, item: &I, otherwise: Option<Bytes>) -> Result<Change, String> {
    let item = postcard::to_stdvec(item).map_err(|error| error.to_string())?;
    Ok(Change::Append { field, item: item.into(), otherwise })
}

/// The change that calls a function.
pub(crate) fn call<R: Record, A: Serialize, V>(
    function: &Function<R, A, V>,
    argument: &A,
) -> Result<Change, Rejection> {
    let function = function.name().to_owned();
    match postcard::to_stdvec(argument) {
        Ok(argument) => Ok(Change::Call { function, argument: argument.into() }),
        Err(error) => Err(Rejection::Function { function, why: error.to_string() }),
    }
}
