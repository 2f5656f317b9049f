//! `table list` and `table info` for people.

use serde::Serialize;
use tabularaft::admin::{CopyStatus, IndexSummary, TableInfo, TableSummary};
use tabularaft::schema::RecordShape;

use super::status::{list, word};
use super::{Columns, bytes, count};

/// One line per table.
pub(crate) fn list_text(tables: &[TableSummary]) -> String {
    let mut columns = Columns::new(["TABLE", "KIND", "COPY", "RECORDS", "BYTES", "NODES"]).right(&[3, 4]);
    for table in tables {
        columns.row([
            table.name.to_string(),
            table.kind.to_string(),
            table.copy.to_string(),
            table.records.map_or_else(|| "-".into(), count),
            table.bytes.map_or_else(|| "-".into(), bytes),
            list(&table.nodes),
        ]);
    }
    columns.text()
}

/// What `table info` tells.
#[derive(Serialize)]
pub(crate) struct TableDocument<'a> {
    #[serde(flatten)]
    pub(crate) info: &'a TableInfo,
    /// The shapes of former record versions that records may still have.
    pub(crate) former: &'a [RecordShape],
}

/// Definition, fields and copies.
pub(crate) fn info_text(document: &TableDocument<'_>) -> String {
    let info = document.info;
    let def = &info.def;
    let mut head = Columns::new(["table", def.name.as_str()]);
    head.row(["kind".into(), def.kind.to_string()]);
    head.row(["copy".into(), def.copy.to_string()]);
    head.row(["record version".into(), versions(def.shape.version, document.former)]);
    head.row(["record limit".into(), bytes(info.record_bytes_max.into())]);
    head.row(["options".into(), options(info)]);
    format!("{}\n{}\n{}", head.text(), fields(info).text(), copies(&info.copies).text())
}

fn versions(present: u32, former: &[RecordShape]) -> String {
    if former.is_empty() {
        return present.to_string();
    }
    let former: Vec<String> = former.iter().map(|shape| shape.version.to_string()).collect();
    format!("{present}; records of version {} are being rewritten", former.join(", "))
}

/// One line per index.
pub(crate) fn index_text(indexes: &[IndexSummary]) -> String {
    let mut columns =
        Columns::new(["INDEX", "ON", "UNIQUE", "ACTIVE", "STATE", "ENTRIES", "BYTES"]).right(&[5, 6]);
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    for index in indexes {
        let detail = index.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        columns.row([
            index.def.name.clone(),
            index.def.on.to_string(),
            yes(index.def.unique),
            yes(index.active),
            format!("{}{detail}", index.state),
            count(index.entries),
            bytes(index.bytes),
        ]);
    }
    columns.text()
}

fn options(info: &TableInfo) -> String {
    let options = &info.def.options;
    let named = [
        (options.owned, "owned"),
        (options.local_content, "local content"),
        (options.read_only, "read-only"),
    ];
    let mut set: Vec<String> =
        named.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned()).collect();
    set.extend(options.ttl_ms.map(|ms| format!("deleted {ms} ms after the last write")));
    set.extend(options.records_max.map(|records| format!("at most {} records", count(records))));
    set.extend(options.bytes_max.map(|most| format!("at most {}", bytes(most))));
    if options.load_order != 0 {
        set.push(format!("load order {}", options.load_order));
    }
    if set.is_empty() { "none".into() } else { set.join(", ") }
}

fn fields(info: &TableInfo) -> Columns {
    let mut columns = Columns::new(["FIELD", "TYPE", "KEY", "INDEX"]);
    for field in &info.def.shape.fields {
        let key = info.def.key.iter().position(|name| *name == field.name);
        let index = info.def.indexes.iter().find(|index| index.on.field() == Some(field.name.as_str()));
        columns.row([
            field.name.clone(),
            field.field_type.to_string(),
            key.map_or_else(String::new, |place| (place + 1).to_string()),
            index.map_or("", |index| if index.unique { "unique" } else { "yes" }).into(),
        ]);
    }
    columns
}

fn copies(copies: &[CopyStatus]) -> Columns {
    let mut columns = Columns::new(["NODE", "COPY", "STATE", "RECORDS", "BYTES"]).right(&[3, 4]);
    for copy in copies {
        columns.row([
            copy.node.to_string(),
            copy.mode.to_string(),
            word(&copy.state),
            copy.records.map_or_else(|| "-".into(), count),
            copy.bytes.map_or_else(|| "-".into(), bytes),
        ]);
    }
    columns
}
