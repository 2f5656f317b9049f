//! `dump`

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tabularaft::BackupOptions;
use tabularaft::schema::TableName;

use super::scan::{for_each_page, whole_table};
use super::with_bar;
use crate::args::{DumpArgs, GlobalArgs};
use crate::failure::{Context, Failure, Outcome};
use crate::output::{self, Amount, Bar};
use crate::session::{OpenTable, connect};
use crate::text_dump;

pub(super) async fn run(global: &GlobalArgs, args: &DumpArgs) -> Outcome {
    match (&args.all, &args.table) {
        (Some(file), _) => all(global, file, args).await,
        (None, Some(table)) => one(global, table, args).await,
        (None, None) => Err(Failure::new("neither a table nor --all is named")),
    }
}

/// Takes a backup, which is consistent, and tells it as text.
async fn all(global: &GlobalArgs, file: &Path, args: &DumpArgs) -> Outcome {
    let (_dir, backup) = text_dump::place_for_backup()?;
    let client = connect(global).await?;
    let options = BackupOptions { tables: Vec::new(), read: args.read.mode.into() };
    let report = with_bar("dump", global, async |tell| client.backup(&backup, &options, tell).await)
        .await
        .map_err(|failure| Failure::of(&failure))?;
    let mut target = Target::open(file)?;
    let told = tokio::task::spawn_blocking(move || {
        let told = text_dump::write(&backup, |line| target.write_line(line));
        target.end(told)
    });
    told.await.map_err(Failure::new)??;
    if file == Path::new("-") {
        return Ok(());
    }
    output::print(&format!(
        "wrote {} records of {} tables at log index {} to {}\n",
        output::count(report.records),
        report.tables.len(),
        report.log_index,
        file.display()
    ))
}

/// Writes all records in key order, so that dumps of equal copies are equal byte by byte.
async fn one(global: &GlobalArgs, name: &TableName, args: &DumpArgs) -> Outcome {
    let table = OpenTable::open(global, name).await?;
    let mut target = Target::open(&args.file)?;
    let mut bar = Bar::new(&format!("dump {name}"), global.progress);
    let mut amount = Amount { records_total: known_records(&table), ..Amount::default() };
    let dumped = for_each_page(&table, whole_table(&table, args.read.mode.into()), u64::MAX, |records| {
        for record in records {
            let line = table.line(record)?;
            target.write_line(&line)?;
            amount.records += 1;
            amount.bytes += line.len() as u64 + 1;
        }
        bar.show(amount);
        Ok(())
    })
    .await;
    bar.finish();
    target.end(dumped)?;
    match args.file == Path::new("-") {
        true => Ok(()),
        false => output::print(&format!(
            "wrote {} records of {name} to {}\n",
            output::count(amount.records),
            args.file.display()
        )),
    }
}

fn known_records(table: &OpenTable) -> Option<u64> {
    table.info.copies.iter().filter_map(|copy| copy.records).max()
}

/// Where the lines go. A file gets its name when it is complete, so that half a dump is never taken for a
/// whole one.
enum Target {
    Stdout(BufWriter<io::Stdout>),
    /// A pipe or device, which cannot be replaced.
    InPlace(BufWriter<File>, PathBuf),
    File {
        out: BufWriter<File>,
        part: PathBuf,
        path: PathBuf,
    },
}

impl Target {
    fn open(path: &Path) -> Outcome<Self> {
        if path == Path::new("-") {
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        }
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            let file = File::options().write(true).open(path).context(cannot_write(path))?;
            return Ok(Self::InPlace(BufWriter::new(file), path.into()));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let out = BufWriter::new(File::create(&part).context(cannot_write(&part))?);
        Ok(Self::File { out, part, path: path.into() })
    }

    fn write_line(&mut self, line: &str) -> Outcome {
        match self {
            Self::Stdout(out) => writeln!(out, "{line}").map_err(|error| Failure::on_stdout(&error)),
            Self::InPlace(out, path) => writeln!(out, "{line}").context(cannot_write(path)),
            Self::File { out, part, .. } => writeln!(out, "{line}").context(cannot_write(part)),
        }
    }

    /// Completes the dump, or lets go of what was written of one that failed.
    fn end(self, dumped: Outcome) -> Outcome {
        match dumped {
            Ok(()) => self.finish(),
            Err(failure) => {
                self.discard();
                Err(failure)
            }
        }
    }

    fn discard(self) {
        if let Self::File { out, part, .. } = self {
            drop(out);
            // The dump has failed already, and the name of the file left behind says that it is a part.
            let _ = std::fs::remove_file(part);
        }
    }

    fn finish(self) -> Outcome {
        match self {
            Self::Stdout(mut out) => out.flush().map_err(|error| Failure::on_stdout(&error)),
            Self::InPlace(mut out, path) => out.flush().context(cannot_write(&path)),
            Self::File { mut out, part, path } => {
                out.flush().and_then(|()| out.get_ref().sync_all()).context(cannot_write(&part))?;
                std::fs::rename(&part, &path).context(cannot_write(&path))
            }
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_its_name_only_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.ndjson");
        std::fs::write(&path, "old\n").unwrap();
        let mut target = Target::open(&path).unwrap();
        target.write_line("new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old\n");
        target.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_dump_that_failed_leaves_no_part_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut target = Target::open(&dir.path().join("t.ndjson")).unwrap();
        target.write_line("half").unwrap();
        target.discard();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named() {
        let Err(Failure::Said(message)) = Target::open(Path::new("/nonexistent/t.ndjson")) else {
            panic!("refused")
        };
        assert!(message.contains("/nonexistent/t.ndjson"), "{message}");
    }
}
