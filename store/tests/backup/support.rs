//! Small backups.

use std::sync::Arc;

use tabularaft_schema::{CopyMode, FieldType, TableDef, TableId, TableKind, Value};
use tabularaft_store::{
    BackupHeader, BackupReader, BackupRecord, BackupSummary, BackupTable, BackupWriter, Incarnation, LogIndex,
};

pub(crate) fn header() -> BackupHeader {
    BackupHeader {
        cluster_name: "games".to_owned(),
        cluster_id: 1 << 100,
        node: "n1@host".to_owned(),
        log_index: LogIndex(77),
        schema_version: 3,
        created_unix_ms: 1_700_000_000_000,
        written_by: "tabularaft 0.1.0".to_owned(),
    }
}

pub(crate) fn def(name: &str, kind: TableKind) -> TableDef {
    let builder = TableDef::builder(name).unwrap().kind(kind).copy(CopyMode::Ram);
    builder.field("id", FieldType::U64).field("text", FieldType::String).key("id").build().unwrap()
}

pub(crate) fn table(id: u64, name: &str, kind: TableKind) -> BackupTable {
    BackupTable { id: TableId(id), def: Arc::new(def(name, kind)), has_records: true }
}

pub(crate) fn record(table: &BackupTable, id: u64, text: &str) -> BackupRecord {
    let record = table.def.shape.encode(&[Value::U64(id), text.into()]).unwrap();
    BackupRecord { version: 100 + id, owner: None, record }
}

/// Three tables, of which the second is empty and the last keeps its definition only.
pub(crate) fn tables() -> Vec<BackupTable> {
    let mut local = table(9, "local", TableKind::Set);
    local.has_records = false;
    vec![table(4, "words", TableKind::OrderedSet), table(5, "nothing", TableKind::Bag), local]
}

/// A backup of `records` records in the first table, and their number.
pub(crate) fn written(records: u64) -> (Vec<u8>, BackupSummary) {
    let tables = tables();
    let mut writer = BackupWriter::new("test", Vec::new(), &header(), tables.clone()).unwrap();
    for id in 0..records {
        let mut record = record(&tables[0], id, &format!("word {id}"));
        record.owner = (id == 1).then_some(Incarnation { node: 2, life: 3 });
        writer.push(0, &record).unwrap();
    }
    writer.finish().unwrap()
}

/// Reads a backup to its end.
pub(crate) fn read(bytes: &[u8]) -> Result<(BackupHeader, Vec<BackupTable>, Vec<BackupRecord>), String> {
    let mut reader = BackupReader::new("test", bytes).map_err(|error| error.to_string())?;
    let mut records = Vec::new();
    while let Some((table, mut some)) = reader.next_records().map_err(|error| error.to_string())? {
        assert_eq!(table, 0);
        records.append(&mut some);
    }
    assert!(reader.summary().is_some(), "a backup without an error has an end");
    Ok((reader.header().clone(), reader.tables().to_vec(), records))
}
