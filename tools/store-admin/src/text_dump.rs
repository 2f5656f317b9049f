//! All tables as text: a backup told line by line, and a backup made of such lines.
//!
//! Each line is a JSON object with one property:
//!
//! ```text
//! {"dump":{"format":1,"cluster":…,"node":…,"log_index":…,"created_unix_ms":…,"written_by":…}}   first, once
//! {"table":{…}}                  the definition of each table, as `table info --definition` prints it
//! {"record":["table",{…}]}       the records, table by table, in the order of the definitions
//! {"end":{"records":…}}          last, so that a file that was cut short is seen; the number is for people
//! ```
//!
//! Persistent: add, never change or reuse.

use std::fmt::Display;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tabularaft::schema::{TableDef, TableId, TableName};
use tabularaft::{BackupHeader, BackupReader, BackupRecord, BackupTable, BackupWriter, LogIndex};
use tempfile::TempDir;

use crate::failure::{Context, Failure, Outcome};
use crate::ndjson::{Lines, line_bytes_max, without_line};

const FORMAT: u32 = 1;

/// More than any record of any table may have.
const RECORD_BYTES_MAX: u32 = 8 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Dump(Head),
    Table(TableDef),
    Record(TableName, Value),
    End(End),
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    cluster: String,
    node: String,
    log_index: u64,
    created_unix_ms: u64,
    written_by: String,
}

#[derive(Serialize, Deserialize)]
struct End {
    records: u64,
}

/// A folder that goes when it is dropped, and the path of a backup in it.
pub(crate) fn place_for_backup() -> Outcome<(TempDir, PathBuf)> {
    let dir = tempfile::tempdir().context("cannot make a temporary directory (TMPDIR says where)")?;
    let backup = dir.path().join("tables.backup");
    Ok((dir, backup))
}

/// Tells a backup line by line.
pub(crate) fn write(backup: &Path, mut line: impl FnMut(&str) -> Outcome) -> Outcome {
    let mut tell = |told: &Line| line(&serde_json::to_string(told).map_err(Failure::new)?);
    let mut reader = BackupReader::open(backup).map_err(|error| Failure::of(&error))?;
    tell(&Line::Dump(Head::of(reader.header())))?;
    for table in reader.tables() {
        tell(&Line::Table(TableDef::clone(&table.def)))?;
    }
    let mut records = 0;
    for entry in &mut reader {
        let entry = entry.map_err(|error| Failure::of(&error))?;
        let name = &entry.def.name;
        let record = entry.to_json().context(format_args!("a record of table {name}"))?;
        tell(&Line::Record(name.clone(), record))?;
        records += 1;
    }
    tell(&Line::End(End { records }))
}

/// Makes a backup of lines. What is wrong is named with its line, and nothing is asked of any node yet.
pub(crate) fn read(name: &str, input: impl BufRead, backup: &Path) -> Outcome {
    let out = std::fs::File::create(backup).context(format_args!("cannot write {}", backup.display()))?;
    make(input, std::io::BufWriter::new(out))
        .map_err(|(line, why)| Failure::new(format_args!("{name} line {line}: {why}; nothing was loaded")))
}

/// As [`read`]; fails with the number of the line.
pub(crate) fn make(input: impl BufRead, out: impl Write) -> Result<(), (u64, String)> {
    let mut lines = Lines::new(input, line_bytes_max(RECORD_BYTES_MAX));
    Making::new(out).all(&mut lines).map_err(|why| (lines.line, why))
}

/// A backup that is being made of lines.
struct Making<W> {
    out: Option<W>,
    head: Option<Head>,
    tables: Vec<BackupTable>,
    writer: Option<BackupWriter<W>>,
    /// The table whose records are being read.
    at: usize,
}

impl<W: Write> Making<W> {
    fn new(out: W) -> Self {
        Self { out: Some(out), head: None, tables: Vec::new(), writer: None, at: 0 }
    }

    fn all(mut self, lines: &mut Lines<impl BufRead>) -> Result<(), String> {
        while let Some(text) = lines.next()? {
            let line = serde_json::from_slice(text)
                .map_err(|error| format!("no line that `dump --all` writes: {}", without_line(&error)))?;
            match (line, &self.head) {
                (Line::Dump(head), None) if head.format <= FORMAT => self.head = Some(head),
                (Line::Dump(Head { format, .. }), None) => {
                    return Err(format!(
                        "it is of format {format}, this build reads up to {FORMAT}: use a newer one"
                    ));
                }
                (Line::Dump(_), Some(_)) => return Err("a second dump begins: load each alone".into()),
                (_, None) => return Err("the first line is not the first of what `dump --all` writes".into()),
                (Line::Table(def), Some(_)) => self.table(def)?,
                (Line::Record(table, record), Some(_)) => self.record(&table, &record)?,
                (Line::End(_), Some(_)) => return self.end(lines),
            }
        }
        Err("the file ends here, without its last line: it was cut short".into())
    }

    fn table(&mut self, def: TableDef) -> Result<(), String> {
        if self.writer.is_some() {
            return Err(format!("the definition of {} comes behind the first record", def.name));
        }
        if self.tables.iter().any(|table| table.def.name == def.name) {
            return Err(format!("a second definition of {}", def.name));
        }
        let has_records = !def.options.local_content;
        self.tables.push(BackupTable { id: TableId(0), def: Arc::new(def), has_records });
        Ok(())
    }

    fn record(&mut self, name: &TableName, record: &Value) -> Result<(), String> {
        let place = self.tables.iter().position(|table| table.def.name == *name);
        let place = place.ok_or_else(|| format!("table {name} is not defined in the lines before"))?;
        if place < self.at {
            return Err(format!(
                "this record of {name} stands apart: records come table by table, as the definitions"
            ));
        }
        self.at = place;
        let table = self.tables.get(place).filter(|table| table.has_records);
        let table = table
            .ok_or_else(|| format!("table {name} has local content: its records are each node's own"))?;
        let record = table.def.shape.from_json(record).map_err(|error| format!("table {name}: {error}"))?;
        let record = BackupRecord { version: 0, owner: None, record };
        self.writer()?.push(place, &record).map_err(said)
    }

    /// The backup, which begins with the first record or the end.
    fn writer(&mut self) -> Result<&mut BackupWriter<W>, String> {
        if let (Some(out), Some(head)) = (self.out.take(), &self.head) {
            let writer = BackupWriter::new("the backup", out, &head.header(), self.tables.clone());
            self.writer = Some(writer.map_err(said)?);
        }
        self.writer.as_mut().ok_or_else(|| "the backup was not begun".into())
    }

    fn end(mut self, lines: &mut Lines<impl BufRead>) -> Result<(), String> {
        if lines.next()?.is_some() {
            return Err("the dump ended in the lines before".into());
        }
        self.writer()?;
        match self.writer {
            Some(writer) => writer.finish().map(drop).map_err(said),
            None => Err("the backup was not begun".into()),
        }
    }
}

fn said(error: impl Display) -> String {
    error.to_string()
}

impl Head {
    fn of(header: &BackupHeader) -> Self {
        Self {
            format: FORMAT,
            cluster: header.cluster_name.clone(),
            node: header.node.clone(),
            log_index: header.log_index.0,
            created_unix_ms: header.created_unix_ms,
            written_by: header.written_by.clone(),
        }
    }

    fn header(&self) -> BackupHeader {
        BackupHeader {
            cluster_name: self.cluster.clone(),
            cluster_id: 0,
            node: self.node.clone(),
            log_index: LogIndex(self.log_index),
            schema_version: 0,
            created_unix_ms: self.created_unix_ms,
            written_by: self.written_by.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::sink;

    use super::*;

    const TEXT: &str = concat!(
        r#"{"dump":{"format":1,"cluster":"c","node":"n1@h","log_index":42,"created_unix_ms":7,"written_by":"t"}}"#,
        "\n",
        r#"{"table":{"name":"word","kind":"set","copy":"ram","shape":{"version":3,"fields":[{"name":"text","type":"string"}]},"key":["text"],"indexes":[],"options":{"owned":false,"local_content":false,"load_order":0,"record_bytes_max":null}}}"#,
        "\n",
        r#"{"table":{"name":"private","kind":"bag","copy":"disc","shape":{"version":1,"fields":[{"name":"id","type":"u64"}]},"key":["id"],"indexes":[],"options":{"owned":false,"local_content":true,"load_order":0,"record_bytes_max":null}}}"#,
        "\n",
        r#"{"record":["word",{"text":"b"}]}"#,
        "\n",
        r#"{"record":["word",{"text":"a"}]}"#,
        "\n",
        r#"{"end":{"records":2}}"#,
        "\n",
    );

    fn refused(text: &str) -> (u64, String) {
        make(text.as_bytes(), sink()).unwrap_err()
    }

    #[test]
    fn a_dump_that_is_loaded_and_dumped_again_is_the_same() {
        let (_dir, backup) = place_for_backup().unwrap();
        read("t", TEXT.as_bytes(), &backup).unwrap();
        let mut again = String::new();
        write(&backup, |line| {
            again.extend([line, "\n"]);
            Ok(())
        })
        .unwrap();
        assert_eq!(again, TEXT);
    }

    #[test]
    fn a_dump_that_was_cut_short_is_refused_wherever_it_ends() {
        for (at, _) in TEXT.char_indices().filter(|(at, _)| at + 1 < TEXT.len()) {
            refused(&TEXT[..at]);
        }
        assert!(refused(TEXT.trim_end().rsplit_once('\n').unwrap().0).1.contains("cut short"));
    }

    #[test]
    fn a_line_that_does_not_fit_is_named_with_its_reason() {
        for (from, to, line, reason) in [
            (r#""format":1"#, r#""format":2"#, 1, "format 2"),
            (r#"{"dump""#, r#"{"pump""#, 1, "pump"),
            (r#""type":"string""#, r#""type":"text""#, 2, "text"),
            (r#"{"text":"a"}"#, r#"{"text":1}"#, 5, "table word"),
            (r#"["word",{"text":"b"}]"#, r#"["ward",{"text":"b"}]"#, 4, "table ward is not defined"),
            (r#"["word",{"text":"b"}]"#, r#"["private",{"id":1}]"#, 4, "local content"),
            (r#""name":"private""#, r#""name":"word""#, 3, "second definition of word"),
            (r#"{"record":["word",{"text":"a"}]}"#, "{}", 5, "no line"),
        ] {
            let (at, why) = refused(&TEXT.replacen(from, to, 1));
            assert!(at == line && why.contains(reason), "{to}: line {at}: {why}");
        }
        let (at, why) = refused(&format!("{TEXT}{TEXT}"));
        assert!(at == 7 && why.contains("ended"), "line {at}: {why}");
        let headless = TEXT.split_once('\n').unwrap().1;
        assert_eq!(refused(headless).0, 1);
        let mut lines: Vec<&str> = TEXT.lines().collect();
        lines.swap(2, 4);
        assert!(refused(&lines.join("\n")).1.contains("definition of private comes behind"));
    }

    #[test]
    fn records_come_table_by_table() {
        let public = TEXT.replace(r#""local_content":true"#, r#""local_content":false"#);
        let mixed =
            public.replace(r#"{"record":["word",{"text":"b"}]}"#, r#"{"record":["private",{"id":1}]}"#);
        let (line, why) = refused(&mixed);
        assert!(line == 5 && why.contains("stands apart"), "line {line}: {why}");
    }
}
