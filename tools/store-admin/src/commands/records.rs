//! `put`, `get`, `delete`

use std::io::Read;

use bytes::Bytes;
use serde_json::Value;

use crate::args::{DeleteArgs, GetArgs, GlobalArgs, PutArgs};
use crate::failure::{Context, Failure, Outcome};
use crate::ndjson::RecordReader;
use crate::output;
use crate::session::OpenTable;

/// Writes one record.
pub(super) async fn put(global: &GlobalArgs, args: &PutArgs) -> Outcome {
    let table = OpenTable::open(global, &args.table).await?;
    let text = if args.record == "-" { read_stdin()? } else { args.record.clone() };
    let record =
        RecordReader::new(&table.info).record(text.as_bytes()).map_err(|why| not_written(args, &why))?;
    table.client.put_many(&table.reference, vec![Bytes::from(record)]).await?;
    output::print("written\n")
}

fn not_written(args: &PutArgs, why: &str) -> Failure {
    Failure::new(format_args!("table {}: {why}; nothing was written", args.table))
}

fn read_stdin() -> Outcome<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read the record from stdin")?;
    Ok(text)
}

/// Prints the record of a key, or a bag's records of it.
pub(super) async fn get(global: &GlobalArgs, args: &GetArgs) -> Outcome {
    let table = OpenTable::open(global, &args.table).await?;
    let records = table.client.get(&table.reference, table.key(&args.key)?, args.read.mode.into()).await?;
    let records: Vec<Value> = records.iter().map(|record| table.json(record)).collect::<Outcome<_>>()?;
    if records.is_empty() {
        return Err(Failure::new(format_args!("table {} has no record with key {}", args.table, args.key)));
    }
    if args.output.json {
        return output::print_json(&records);
    }
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    output::print(&lines)
}

/// Deletes the records of a key. That there are none is no failure: what was asked for is so.
pub(super) async fn delete(global: &GlobalArgs, args: &DeleteArgs) -> Outcome {
    let table = OpenTable::open(global, &args.table).await?;
    let written = table.client.delete(&table.reference, table.key(&args.key)?).await?;
    match written.records {
        0 => output::print(&format!("there was no record with key {}\n", args.key)),
        1 => output::print("deleted 1 record\n"),
        records => output::print(&format!("deleted {records} records\n")),
    }
}
