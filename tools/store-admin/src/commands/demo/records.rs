//! The tables of the demo and their records.

use bytes::Bytes;
use serde_json::{Value, json};
use tabularaft::admin::AdminClient;
use tabularaft::schema::{CopyMode, FieldType, TableDef, TableKind, TableName};

use crate::failure::{Failure, Outcome};
use crate::session::OpenTable;

/// The table on disc, an ordered set.
pub(super) const ACCOUNT: &str = "account";

/// The table in memory, a bag.
pub(super) const SESSION: &str = "session";

/// Both definitions.
pub(super) fn definitions() -> Outcome<[TableDef; 2]> {
    let account = TableDef::builder(ACCOUNT)
        .map_err(Failure::new)?
        .kind(TableKind::OrderedSet)
        .copy(CopyMode::Disc)
        .field("id", FieldType::U64)
        .field("owner", FieldType::String)
        .field("balance", FieldType::I64)
        .key("id");
    let session = TableDef::builder(SESSION)
        .map_err(Failure::new)?
        .kind(TableKind::Bag)
        .copy(CopyMode::Ram)
        .field("user", FieldType::String)
        .field("device", FieldType::String)
        .key("user");
    Ok([account.build().map_err(Failure::new)?, session.build().map_err(Failure::new)?])
}

pub(super) fn table(name: &str) -> Outcome<TableName> {
    TableName::new(name).map_err(Failure::new)
}

/// One record of the disc table.
pub(super) fn account(id: u64) -> Value {
    json!({ "id": id, "owner": format!("owner {}", id % 97), "balance": id.cast_signed() - 500 })
}

/// One record of the ram table; every user has three devices.
pub(super) fn session(number: u64) -> Value {
    json!({ "user": format!("user{}", number / 3), "device": format!("device {}", number % 3) })
}

/// The table on the connected node.
pub(super) async fn open(client: AdminClient, name: &str) -> Outcome<OpenTable> {
    OpenTable::on(client, &table(name)?).await
}

/// The encoded records.
pub(super) fn encode(table: &OpenTable, records: impl IntoIterator<Item = Value>) -> Outcome<Vec<Bytes>> {
    let shape = &table.info.def.shape;
    records
        .into_iter()
        .map(|record| shape.from_json(&record).map(Bytes::from).map_err(Failure::new))
        .collect()
}
