//! Changes in a transaction that the leader works out: nothing is read for them, so they never conflict.

use bytes::Bytes;
use serde::Serialize;
use tabularaft_schema::{KeyFor, Record};

use super::error::TxError;
use super::write_table::TxTable;
use crate::functions::Function;
use crate::table::{append, call};
use crate::write::{Change, Combine, Delta, Op, Rejection};

impl<R: Record> TxTable<'_, R> {
    /// Adds to a numeric field, as [`Table::add`](crate::Table::add) does. Nothing is read for it.
    ///
    /// # Errors
    ///
    /// When there is no such field, or the transaction has become too large. What does not fit the record is found at
    /// the end, or when it is read.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use serde::{Deserialize, Serialize};
    /// # use tabularaft::{Node, Record};
    /// # #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    /// # #[record(table = "hits", kind = "set", copy = "ram", crate = "tabularaft::schema")]
    /// # struct Hits { #[key] page: String, count: u64 }
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// # node.create_table::<Hits>().await?;
    /// node.transaction(|tx| {
    ///     let hits = tx.table::<Hits>()?;
    ///     hits.add("home", "count", 1, Some(&Hits { page: "home".into(), count: 0 }))?;
    ///     hits.add("all", "count", 1, Some(&Hits { page: "all".into(), count: 0 }))
    /// })
    /// .await?;
    /// assert_eq!(node.table::<Hits>()?.get("home")?.unwrap().count, 1);
    /// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    pub fn add(
        &self,
        key: impl KeyFor<R::Key>,
        field: &str,
        delta: impl Into<Delta>,
        otherwise: Option<&R>,
    ) -> Result<(), TxError> {
        self.combine(key, field, Combine::Add, delta.into(), otherwise)
    }

    /// Lowers a numeric field to `number` unless it is lower. Otherwise as [`TxTable::add`].
    ///
    /// # Errors
    ///
    /// As [`TxTable::add`].
    pub fn min(
        &self,
        key: impl KeyFor<R::Key>,
        field: &str,
        number: impl Into<Delta>,
        otherwise: Option<&R>,
    ) -> Result<(), TxError> {
        self.combine(key, field, Combine::Min, number.into(), otherwise)
    }

    /// Raises a numeric field to `number` unless it is higher. Otherwise as [`TxTable::add`].
    ///
    /// # Errors
    ///
    /// As [`TxTable::add`].
    pub fn max(
        &self,
        key: impl KeyFor<R::Key>,
        field: &str,
        number: impl Into<Delta>,
        otherwise: Option<&R>,
    ) -> Result<(), TxError> {
        self.combine(key, field, Combine::Max, number.into(), otherwise)
    }

    /// Appends an item to a list, as [`Table::append`](crate::Table::append) does. Otherwise as [`TxTable::add`].
    ///
    /// # Errors
    ///
    /// As [`TxTable::add`].
    pub fn append<I: Serialize>(
        &self,
        key: impl KeyFor<R::Key>,
        field: &str,
        item: &I,
        otherwise: Option<&R>,
    ) -> Result<(), TxError> {
        let change = append(self.field(field)?, item, encoded(otherwise)?);
        self.change(key, change.map_err(|why| self.not_applicable(why))?)
    }

    /// Runs a registered function on the record at the end. Otherwise as [`TxTable::add`].
    ///
    /// # Errors
    ///
    /// As [`TxTable::add`].
    pub fn call<A: Serialize, V>(
        &self,
        function: &Function<R, A, V>,
        key: impl KeyFor<R::Key>,
        argument: &A,
    ) -> Result<(), TxError> {
        self.change(key, call(function, argument)?)
    }

    fn combine(
        &self,
        key: impl KeyFor<R::Key>,
        field: &str,
        how: Combine,
        number: Delta,
        otherwise: Option<&R>,
    ) -> Result<(), TxError> {
        let (field, otherwise) = (self.field(field)?, encoded(otherwise)?);
        self.change(key, Change::Combine { field, how, number, otherwise })
    }

    fn change(&self, key: impl KeyFor<R::Key>, change: Change) -> Result<(), TxError> {
        let key = key.to_key().into_bytes().into();
        self.push(Op::Update { table: self.id(), key, change })
    }

    fn field(&self, name: &str) -> Result<u32, TxError> {
        let at = self.read.reading.copy.def().shape.position(name);
        at.map(|at| at as u32).ok_or_else(|| self.not_applicable(format!("it has no field {name}")))
    }

    fn not_applicable(&self, why: String) -> TxError {
        let table = self.read.reading.copy.def().name.to_string();
        TxError::Refused(Rejection::NotApplicable { table, why })
    }
}

fn encoded<R: Record>(record: Option<&R>) -> Result<Option<Bytes>, TxError> {
    Ok(record.map(Record::encode).transpose()?.map(Bytes::from))
}
