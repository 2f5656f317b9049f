//! Backups and restores for people.

use tabularaft::{BackupReport, RestoreReport};

use super::status::word;
use super::{Columns, bytes, count};

/// Where a backup comes from, and its tables.
pub(crate) fn backup_text(report: &BackupReport) -> String {
    let mut head = Columns::new(["cluster", &report.cluster]);
    head.row(["node".into(), report.node.clone()]);
    head.row(["log index".into(), report.log_index.to_string()]);
    head.row(["written by".into(), report.written_by.clone()]);
    head.row(["records".into(), count(report.records)]);
    head.row(["file".into(), bytes(report.bytes)]);
    let mut tables = Columns::new(["TABLE", "RECORDS", "BYTES", "CONTENT"]).right(&[1, 2]);
    for table in &report.tables {
        tables.row([
            table.table.to_string(),
            table.records.map_or_else(|| "-".into(), count),
            bytes(table.bytes),
            table.content.clone().unwrap_or_else(|| "definition only".into()),
        ]);
    }
    format!("{}\n{}", head.text(), tables.text())
}

/// What was done with each table.
pub(crate) fn restore_text(report: &RestoreReport) -> String {
    let mut tables = Columns::new(["TABLE", "INTO", "OUTCOME", "RECORDS", "CONTENT"]).right(&[3]);
    for table in &report.tables {
        tables.row([
            table.table.to_string(),
            table.into.to_string(),
            word(&table.outcome),
            count(table.records),
            table.content.clone().unwrap_or_else(|| "-".into()),
        ]);
    }
    let what = if report.dry_run { "\nnothing was done; this is what would be, from" } else { "\nfrom" };
    format!("{}{what} cluster {} at log index {}\n", tables.text(), report.cluster, report.log_index)
}

#[cfg(test)]
mod tests {
    use tabularaft::BackupTableReport;

    use super::*;

    #[test]
    fn a_backup_is_told_with_its_origin_and_its_tables() {
        let table = |name: &str, records| BackupTableReport {
            table: name.parse().unwrap(),
            records,
            bytes: 2048,
            content: records.map(|_| "ab".repeat(16)),
        };
        let report = BackupReport {
            cluster: "demo".into(),
            node: "n1@h".into(),
            log_index: 42,
            created_unix_ms: 0,
            written_by: "tabularaft 0.1.0".into(),
            records: 1200,
            bytes: 4096,
            tables: vec![table("word", Some(1200)), table("private", None)],
        };
        let wanted = "\
cluster     demo
node        n1@h
log index   42
written by  tabularaft 0.1.0
records     1,200
file        4.0 KiB

TABLE    RECORDS    BYTES  CONTENT
word       1,200  2.0 KiB  abababababababababababababababab
private        -  2.0 KiB  definition only
";
        assert_eq!(backup_text(&report), wanted);
    }
}
