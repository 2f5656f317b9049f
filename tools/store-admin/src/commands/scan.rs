//! `scan`, and the pages that `dump` reads, too.

use std::io::{self, BufWriter, Write};

use bytes::Bytes;
use tabularaft::admin::ScanPlan;
use tabularaft::admin::protocol::{PAGE_RECORDS_MAX, ReadMode, ScanRequest};

use crate::args::{GlobalArgs, ScanArgs};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::OpenTable;

/// Prints records in key order.
pub(super) async fn run(global: &GlobalArgs, args: &ScanArgs) -> Outcome {
    let table = OpenTable::open(global, &args.table).await?;
    let request = request(&table, args)?;
    if args.explain {
        let plan = table.client.explain(&request).await?;
        return if args.output.json { output::print_json(&plan) } else { output::print(&explained(&plan)) };
    }
    let mut lines = Lines::new(io::stdout().lock(), args.output.json);
    let limit = args.limit.unwrap_or(u64::MAX);
    for_each_page(&table, request, limit, |records| {
        for record in records {
            lines.push(&table.line(record)?)?;
        }
        Ok(())
    })
    .await?;
    lines.finish()
}

fn explained(plan: &ScanPlan) -> String {
    let way = match &plan.index {
        Some(index) => format!("index {index}"),
        None => "in key order".to_owned(),
    };
    let more = if plan.exact { "" } else { " or more" };
    format!("{way}, {}{more} records to look at\n", output::count(plan.records))
}

fn request(table: &OpenTable, args: &ScanArgs) -> Outcome<ScanRequest> {
    Ok(ScanRequest {
        from: args.from.as_deref().map(|key| table.key(key)).transpose()?,
        to: args.to.as_deref().map(|key| table.key(key)).transpose()?,
        prefix: args.prefix.as_deref().map(|prefix| table.key_prefix(prefix)).transpose()?,
        filters: args.filters.iter().map(|condition| table.filter(condition)).collect::<Outcome<_>>()?,
        reverse: args.reverse,
        ..whole_table(table, args.read.mode.into())
    })
}

/// A scan of all records.
pub(super) fn whole_table(table: &OpenTable, read: ReadMode) -> ScanRequest {
    ScanRequest {
        table: table.reference.clone(),
        from: None,
        to: None,
        prefix: None,
        filters: Vec::new(),
        reverse: false,
        limit: PAGE_RECORDS_MAX,
        after: None,
        read,
    }
}

/// Reads page after page until `limit` records or the end.
pub(super) async fn for_each_page(
    table: &OpenTable,
    mut request: ScanRequest,
    limit: u64,
    mut use_page: impl FnMut(&[Bytes]) -> Outcome,
) -> Outcome {
    let mut left = limit;
    let mut after = None;
    while left > 0 {
        request.limit = u32::try_from(left).unwrap_or(u32::MAX).min(PAGE_RECORDS_MAX);
        let page = table.client.scan(&request, after).await?;
        use_page(&page.records)?;
        left = left.saturating_sub(page.records.len() as u64);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

/// Records on their way to stdout: one per line, or as the elements of one JSON array.
struct Lines<W: Write> {
    out: BufWriter<W>,
    as_array: bool,
    empty: bool,
}

impl<W: Write> Lines<W> {
    fn new(out: W, as_array: bool) -> Self {
        Self { out: BufWriter::new(out), as_array, empty: true }
    }

    fn push(&mut self, line: &str) -> Outcome {
        let before = match (self.as_array, self.empty) {
            (false, _) => "",
            (true, true) => "[\n",
            (true, false) => ",\n",
        };
        let after = if self.as_array { "" } else { "\n" };
        self.empty = false;
        write!(self.out, "{before}{line}{after}").map_err(|error| Failure::on_stdout(&error))
    }

    fn finish(mut self) -> Outcome {
        let end = match (self.as_array, self.empty) {
            (false, _) => "",
            (true, true) => "[]\n",
            (true, false) => "\n]\n",
        };
        self.out
            .write_all(end.as_bytes())
            .and_then(|()| self.out.flush())
            .map_err(|error| Failure::on_stdout(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(as_array: bool, records: &[&str]) -> String {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, as_array);
        for record in records {
            lines.push(record).unwrap();
        }
        lines.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_are_lines_or_one_json_array() {
        assert_eq!(written(false, &[]), "");
        assert_eq!(written(false, &["1", "2"]), "1\n2\n");
        for records in [&[][..], &["1"], &["1", "2"]] {
            let array: Vec<u64> = serde_json::from_str(&written(true, records)).unwrap();
            assert_eq!(array.len(), records.len());
        }
    }
}
