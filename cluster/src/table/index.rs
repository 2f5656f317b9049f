//! Finding the records of a typed table by something else than their key.

use tabularaft_schema::{Record, Value};

use super::Table;
use crate::error::ReadError;
use crate::indexes::IndexScan;

/// A secondary index of a typed table. Reads are local, as those of the [`Table`] are.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use serde::{Deserialize, Serialize};
/// use tabularaft::{Node, Record};
///
/// #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
/// #[record(table = "user", copy = "ram", crate = "tabularaft::schema")]
/// struct User { #[key] id: u64, #[index(unique)] mail: String, #[index] city: Option<String> }
///
/// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
/// node.create_table::<User>().await?;
/// let users = node.table::<User>()?;
/// users.insert(&User { id: 1, mail: "ann@x.org".into(), city: Some("Bern".into()) }).await?;
/// users.insert(&User { id: 2, mail: "bob@x.org".into(), city: None }).await?;
///
/// assert_eq!(users.index("city")?.get("Bern")?[0].id, 1);
/// assert_eq!(users.index("city")?.get(None::<String>)?[0].id, 2);
/// assert_eq!(users.index("mail")?.first_of("bob@x.org")?.map(|user| user.id), Some(2));
/// let taken = users.insert(&User { id: 3, mail: "bob@x.org".into(), city: None }).await.unwrap_err();
/// assert!(taken.to_string().contains("is taken by the record with key 2"));
/// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
/// ```
pub struct Index<'t, R> {
    table: &'t Table<R>,
    name: String,
}

impl<R: Record> Table<R> {
    /// The secondary index of this name.
    ///
    /// # Errors
    ///
    /// [`ReadError::Index`] if there is none, or it cannot be read on this node: while it is being built
    /// [`Node::wait_for_index`](crate::Node::wait_for_index) waits for it.
    pub fn index(&self, name: &str) -> Result<Index<'_, R>, ReadError> {
        self.read(|copy| Ok(copy.index(name).map(drop)?))?;
        Ok(Index { table: self, name: name.to_owned() })
    }
}

impl<'t, R: Record> Index<'t, R> {
    /// All records with this value, in the order of their keys.
    ///
    /// # Errors
    ///
    /// As [`IndexScan::records`].
    pub fn get(&self, value: impl Into<Value>) -> Result<Vec<R>, ReadError> {
        self.scan().value(value).records()
    }

    /// The first record with this value: of a unique index, the only one.
    ///
    /// # Errors
    ///
    /// As [`IndexScan::records`].
    pub fn first_of(&self, value: impl Into<Value>) -> Result<Option<R>, ReadError> {
        self.scan().value(value).first()
    }

    /// How many records have this value.
    ///
    /// # Errors
    ///
    /// As [`IndexScan::records`].
    pub fn count(&self, value: impl Into<Value>) -> Result<u64, ReadError> {
        self.scan().value(value).count()
    }

    /// A record with the lowest value.
    ///
    /// # Errors
    ///
    /// As [`IndexScan::records`].
    pub fn first(&self) -> Result<Option<R>, ReadError> {
        self.scan().first()
    }

    /// A record with the highest value.
    ///
    /// # Errors
    ///
    /// As [`IndexScan::records`].
    pub fn last(&self) -> Result<Option<R>, ReadError> {
        self.scan().reverse().first()
    }

    /// Begins a scan: ranges, prefixes, the other direction, keys, pages.
    pub fn scan(&self) -> IndexScan<'t, R> {
        IndexScan::in_table(self.table, &self.name)
    }
}
