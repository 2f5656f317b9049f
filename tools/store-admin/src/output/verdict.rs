//! `verify` for people.

use tabularaft::admin::VerifyReport;

use super::status::list;
use super::{Columns, count};

/// Every copy with its digest, tables that differ marked.
pub(crate) fn verdict_text(report: &VerifyReport) -> String {
    let mut columns = Columns::new(["TABLE", "NODE", "COPY", "RECORDS", "DIGEST", "VERDICT"]).right(&[3]);
    for table in &report.tables {
        for copy in &table.copies {
            columns.row([
                table.table.to_string(),
                copy.node.to_string(),
                copy.mode.to_string(),
                count(copy.records),
                copy.digest.clone(),
                if table.equal { "equal" } else { "DIFFERENT" }.into(),
            ]);
        }
    }
    let mut text = columns.text();
    if !report.unreachable.is_empty() {
        text.push_str(&format!("\nnot reached: {}\n", list(&report.unreachable)));
    }
    text.push_str(&format!("\nat log index {}\n", report.log_index));
    text
}
