//! Writing what a node gives out to a file.

use std::io::Write;

use tabularaft_store::{BackupDecoder, BackupError, BackupItem, BackupTable, TableSummary};

use super::asked::Asked;
use super::error::BackupFailure;
use super::feed::Pull;
use super::options::BackupOptions;
use super::report::BackupReport;
use crate::admin::protocol::Progress;
use crate::door;

/// Takes a backup and hands its bytes to `out`, one part while the next one is on its way. What arrives is compared with
/// what it says before this returns.
pub(super) async fn take<W: Write + Send + 'static>(
    asked: Asked<'_>,
    name: String,
    out: W,
    options: &BackupOptions,
    progress: &mut (dyn FnMut(&Progress) + Send),
) -> Result<(W, BackupReport), BackupFailure> {
    let mut pull = Pull::begin(asked, options.tables.clone(), options.read).await?;
    let taken = take_parts(&mut pull, Writing::new(name, out), progress).await;
    pull.end().await;
    taken
}

async fn take_parts<W: Write + Send + 'static>(
    pull: &mut Pull<'_>,
    writing: Writing<W>,
    progress: &mut (dyn FnMut(&Progress) + Send),
) -> Result<(W, BackupReport), BackupFailure> {
    let mut bytes_done = 0;
    let mut under_way = door::blocking(move || Ok(writing));
    loop {
        let part = pull.next().await?;
        bytes_done += part.bytes.len() as u64;
        progress(&Progress {
            phase: "writing".to_owned(),
            records_done: part.records,
            records_total: Some(pull.records_total),
            bytes_done,
            bytes_total: None,
            finished: None,
        });
        let writing = under_way.await.map_err(|_| BackupFailure::Panicked)??;
        under_way = door::blocking(move || writing.part(&part.bytes));
        if part.last {
            let writing = under_way.await.map_err(|_| BackupFailure::Panicked)??;
            return Ok(writing.finish()?);
        }
    }
}

/// A backup as far as it has been written.
struct Writing<W> {
    name: String,
    out: W,
    decoder: BackupDecoder,
    read: Read,
}

impl<W: Write> Writing<W> {
    fn new(name: String, out: W) -> Self {
        let decoder = BackupDecoder::new(name.as_str());
        Self { name, out, decoder, read: Read::default() }
    }

    fn part(mut self, bytes: &[u8]) -> Result<Self, BackupError> {
        let failed = |source| BackupError::Io { doing: "writing", file: self.name.clone(), source };
        self.out.write_all(bytes).map_err(failed)?;
        self.decoder.push(bytes);
        while let Some(item) = self.decoder.next_item()? {
            self.read.take(item);
        }
        Ok(self)
    }

    fn finish(self) -> Result<(W, BackupReport), BackupError> {
        self.decoder.finish()?;
        let (file, offset) = (self.name, self.decoder.offset());
        let report = self.read.report.ok_or(BackupError::Truncated { file, offset })?;
        Ok((self.out, report))
    }
}

/// What has been seen of a backup that passes by.
#[derive(Default)]
struct Read {
    header: Option<tabularaft_store::BackupHeader>,
    tables: Vec<BackupTable>,
    summaries: Vec<(usize, TableSummary)>,
    report: Option<BackupReport>,
}

impl Read {
    fn take(&mut self, item: BackupItem) {
        match item {
            BackupItem::Header(header) => self.header = Some(header),
            BackupItem::Table(table) => self.tables.push(table),
            BackupItem::TableEnd { table, summary } => self.summaries.push((table, summary)),
            BackupItem::End(end) => {
                let report = |header| BackupReport::new(header, &self.tables, &self.summaries, end);
                self.report = self.header.as_ref().map(report);
            }
            _ => {}
        }
    }
}
