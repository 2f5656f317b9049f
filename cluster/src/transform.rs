//! Giving the records of a table another shape, while the table is in use.
//!
//! First every record is looked at, in a view and beside the writers, whether it can be migrated. Then the leader looks
//! at what was written since, with nothing in flight, and logs the change: it happens as a whole or not at all. From
//! then on records are read through their migration, and the leader rewrites them bit by bit, see `engine::rewriting`.

use std::sync::Arc;

use tabularaft_schema::{
    Record, RecordShape, SchemaChange, SchemaError, TableDef, TableName, Upgrade, Value,
};
use tabularaft_store::{StoreError, StoredRecord, TableView};

use crate::copy::CopyProgress;
use crate::door;
use crate::error::{TableError, WriteError};
use crate::indexes::check_unique;
use crate::inner::NodeInner;
use crate::node::Node;
use crate::write::{Op, Rejection};

/// How many records are looked at between two reports.
const RECORDS_PER_REPORT: u64 = 4_096;
const LOOK_EVERY_MS: u64 = 50;

impl Node {
    /// Gives the records of a table the shape of this type, which has a higher record version than the table. Fields may
    /// be dropped, reordered and made optional, and new ones may be optional, lists or maps; everything else takes a
    /// migration, which is registered with [`register_migration!`](crate::schema::register_migration) in the programs of
    /// all nodes.
    ///
    /// Returns as soon as the change is in the log. Records are read through their migration from then on, and the
    /// leader rewrites them in the background; [`Node::transformed`] waits for the end of that. Programs with the former
    /// type find its definition different; writes of theirs that are on their way are migrated by the leader.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use serde::{Deserialize, Serialize};
    /// use tabularaft::{Node, Record};
    ///
    /// #[derive(Record, Serialize, Deserialize)]
    /// #[record(table = "session", copy = "ram", crate = "tabularaft::schema")]
    /// struct SessionV1 { #[key] client: String }
    ///
    /// #[derive(Record, Serialize, Deserialize)]
    /// #[record(table = "session", copy = "ram", version = 2, crate = "tabularaft::schema")]
    /// struct Session { #[key] client: String, node: Option<String> }
    ///
    /// let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// node.create_table::<SessionV1>().await?;
    /// node.table::<SessionV1>()?.insert(&SessionV1 { client: "c1".into() }).await?;
    /// node.transform::<Session>().await?;
    /// assert_eq!(node.table::<Session>()?.get("c1")?.unwrap().node, None);
    /// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`Rejection::Migration`] names the record that cannot be migrated, [`Rejection::Schema`] the field that takes a
    /// migration, [`Rejection::Duplicates`] the keys whose records a migration gives one value of a unique index; the
    /// table is unchanged then. Also if this node holds no loaded copy of the table.
    pub async fn transform<R: Record>(&self) -> Result<(), TableError> {
        let def = R::table_def();
        self.transform_table(&def.name, def.shape).await
    }

    /// As [`Node::transform`], to a shape made at run time.
    ///
    /// # Errors
    ///
    /// As [`Node::transform`].
    pub async fn transform_table(&self, table: &TableName, shape: RecordShape) -> Result<(), TableError> {
        transform(&self.inner, table, shape, Arc::new(|_: CopyProgress| {})).await
    }

    /// Waits until no record of a former version is left in the table, as far as this node has applied the log. Until
    /// then former shapes and migrations are needed.
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is no such table, or the node stops.
    pub async fn transformed(&self, table: &TableName) -> Result<(), TableError> {
        transformed(&self.inner, table, &|_| {}).await
    }
}

/// Says how far the checking is.
pub(crate) type Tell = Arc<dyn Fn(CopyProgress) + Send + Sync>;

pub(crate) async fn transform(
    node: &Arc<NodeInner>,
    table: &TableName,
    shape: RecordShape,
    tell: Tell,
) -> Result<(), TableError> {
    let engine = node.engine().ok_or(WriteError::Stopped)?;
    let view = engine.store.view();
    let change = SchemaChange::Transform { table: table.clone(), shape: shape.clone() };
    let refused = |error: &dyn std::fmt::Display| WriteError::Rejected(Rejection::Schema(error.to_string()));
    let next = match view.schema().apply(&change) {
        Ok(Some(next)) => next,
        Ok(None) => return Ok(()),
        Err(SchemaError::NoSuchTable { table }) => return Err(WriteError::NoSuchTable(table).into()),
        Err(error) => return Err(refused(&error).into()),
    };
    let next = next.table(table.as_str()).cloned().ok_or_else(|| WriteError::NoSuchTable(table.clone()))?;
    let upgrade = Upgrade::of(&next);
    upgrade.check().map_err(|error| refused(&error))?;
    let (checked, held) = (view.last_version(), view.table(next.id).filter(|copy| copy.is_ready()).cloned());
    let held = held.ok_or_else(|| {
        TableError::Copy(format!("this node holds no loaded copy of {table} whose records it could check"))
    })?;
    drop((view, engine));
    let checking = door::blocking(move || check_records(&held, &next.def, &upgrade, 0, &*tell));
    checking.await.map_err(|_| WriteError::Stopped)?.map_err(WriteError::Rejected)?;
    let op = Op::Transform { table: table.clone(), shape, checked };
    node.write_op(op, door::now() + node.config.write_timeout()).await?;
    Ok(())
}

/// Checks that all records written after this version can be migrated, keep their keys, and have no value of a unique
/// index that another record has.
pub(crate) fn check_records(
    copy: &TableView,
    next: &TableDef,
    upgrade: &Upgrade,
    after_version: u64,
    tell: &dyn Fn(CopyProgress),
) -> Result<(), Rejection> {
    for (number, stored) in (0..).zip(copy.rows()) {
        if number % RECORDS_PER_REPORT == 0 {
            tell(progress(copy, number));
        }
        let failed = |error: StoreError| rejected(copy, None, &error.to_string());
        let stored = stored.map_err(failed)?;
        if stored.version() > after_version {
            check_record(copy, next, upgrade, &stored).map_err(|why| rejected(copy, Some(&stored), &why))?;
        }
    }
    check_unique(copy, next, upgrade, after_version)
}

fn check_record(
    copy: &TableView,
    next: &TableDef,
    upgrade: &Upgrade,
    stored: &StoredRecord<'_>,
) -> Result<(), String> {
    let record = upgrade
        .record(stored.record_version(), copy.stored_bytes(stored))
        .map_err(|error| error.to_string())?;
    let key = next.key_of_record(&record).map_err(|error| error.to_string())?;
    match key.as_bytes() == copy.record_key(stored) {
        true => Ok(()),
        false => Err("the migration changes its key".to_owned()),
    }
}

fn rejected(copy: &TableView, stored: Option<&StoredRecord<'_>>, why: &str) -> Rejection {
    let key = stored.and_then(|stored| key_of(copy, stored));
    Rejection::Migration {
        table: copy.def().name.to_string(),
        key: key.unwrap_or_else(|| "(unreadable)".to_owned()),
        why: why.to_owned(),
    }
}

/// The key as operators write it.
fn key_of(copy: &TableView, stored: &StoredRecord<'_>) -> Option<String> {
    let record = copy.record_bytes(stored).ok()?;
    let text = |field: &String| match copy.def().shape.decode_field(&record, field).ok()? {
        Value::String(text) => Some(text),
        _ => {
            let json = copy.def().shape.to_json(&record).ok()?;
            Some(json.get(field)?.to_string())
        }
    };
    let parts: Vec<String> = copy.def().key.iter().filter_map(text).collect();
    Some(parts.join(", "))
}

fn progress(copy: &TableView, records: u64) -> CopyProgress {
    CopyProgress {
        table: copy.def().name.clone(),
        records,
        records_total: copy.len(),
        bytes: 0,
        bytes_total: 0,
    }
}

pub(crate) async fn transformed(
    node: &NodeInner,
    table: &TableName,
    tell: &(dyn Fn(CopyProgress) + Send + Sync),
) -> Result<(), TableError> {
    loop {
        let engine = node.engine().ok_or(WriteError::Stopped)?;
        let view = engine.store.view();
        let found =
            view.schema().table(table.as_str()).ok_or_else(|| WriteError::NoSuchTable(table.clone()))?;
        if found.former.is_empty() {
            return Ok(());
        }
        if let (Some(copy), Some(done)) = (view.table(found.id), engine.rewriting.done(found.id)) {
            tell(progress(copy, done));
        }
        drop((view, engine));
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
    }
}
