//! `load`

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use tabularaft::schema::TableName;

use super::restore;
use crate::args::{GlobalArgs, LoadArgs};
use crate::failure::{Context, Failure, Outcome};
use crate::ndjson::{BadLine, Batch, Batches, RecordReader};
use crate::output::{self, Amount, Bar};
use crate::session::OpenTable;
use crate::text_dump;

pub(super) async fn run(global: &GlobalArgs, args: &LoadArgs) -> Outcome {
    match (&args.all, &args.table, &args.file) {
        (Some(file), ..) => all(global, file, args).await,
        (None, Some(table), Some(file)) => one(global, table, file).await,
        _ => Err(Failure::new("neither a table with its file nor --all is named")),
    }
}

/// Makes a backup of the text, which is read to its end first, and restores it.
async fn all(global: &GlobalArgs, file: &Path, args: &LoadArgs) -> Outcome {
    let (_dir, backup) = text_dump::place_for_backup()?;
    let input = Input::open(file)?;
    let named = file.display().to_string();
    let into = backup.clone();
    let read = tokio::task::spawn_blocking(move || text_dump::read(&named, input.lines, &into)).await;
    read.map_err(Failure::new)??;
    restore::from(global, &backup, "load", &args.existing.options(), args.existing.json).await
}

/// Writes the records of a file, batch by batch, each batch whole or not at all.
async fn one(global: &GlobalArgs, name: &TableName, file: &Path) -> Outcome {
    let input = Input::open(file)?;
    let table = OpenTable::open(global, name).await?;
    let mut bar = Bar::new(&format!("load {name}"), global.progress);
    let loaded = load(&table, file, input, &mut bar).await;
    bar.finish();
    output::print(&format!("wrote {} records to {name}\n", output::count(loaded?)))
}

async fn load(table: &OpenTable, file: &Path, input: Input, bar: &mut Bar) -> Outcome<u64> {
    let bytes_total = input.bytes;
    let mut batches = Batches::new(input.lines, RecordReader::new(&table.info));
    let mut written = 0;
    while let Some(batch) = batches.next().map_err(|bad| bad_line(file, &bad, written))? {
        let Batch { first_line, last_line, records, input_bytes } = batch;
        let count = records.len() as u64;
        table.client.put_many(&table.reference, records).await.map_err(|error| {
            let lines = format!("{} lines {first_line} to {last_line}", file.display());
            Failure::new(format_args!("{lines}: {error}; {written} records of the lines before were written"))
        })?;
        written += count;
        bar.show(Amount { records: written, records_total: None, bytes: input_bytes, bytes_total });
    }
    Ok(written)
}

fn bad_line(file: &Path, bad: &BadLine, written: u64) -> Failure {
    let BadLine { first_line, line, why } = bad;
    let nothing = match first_line == line {
        true => "it was not written".into(),
        false => format!("nothing of lines {first_line} to {line} was written"),
    };
    let before = match written {
        0 => String::new(),
        _ => format!(", {written} records of the lines before were"),
    };
    Failure::new(format_args!("{} line {line}: {why}; {nothing}{before}", file.display()))
}

struct Input {
    lines: Box<dyn BufRead + Send>,
    /// Its length, if it has one.
    bytes: Option<u64>,
}

impl Input {
    fn open(path: &Path) -> Outcome<Self> {
        if path == Path::new("-") {
            return Ok(Self { lines: Box::new(BufReader::new(io::stdin())), bytes: None });
        }
        let file = File::open(path).context(format_args!("cannot read {}", path.display()))?;
        let metadata = file.metadata().context(format_args!("cannot read {}", path.display()))?;
        let bytes = metadata.is_file().then_some(metadata.len());
        Ok(Self { lines: Box::new(BufReader::with_capacity(1 << 18, file)), bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_says_what_was_written_and_what_not() {
        let bad = BadLine { first_line: 1001, line: 1003, why: "field `size` is missing".into() };
        let Failure::Said(message) = bad_line(Path::new("t.ndjson"), &bad, 1000) else { panic!("said") };
        assert_eq!(
            message,
            "t.ndjson line 1003: field `size` is missing; nothing of lines 1001 to 1003 was written, \
             1000 records of the lines before were"
        );
        let bad = BadLine { first_line: 1, line: 1, why: "not JSON".into() };
        let Failure::Said(message) = bad_line(Path::new("-"), &bad, 0) else { panic!("said") };
        assert_eq!(message, "- line 1: not JSON; it was not written");
    }
}
