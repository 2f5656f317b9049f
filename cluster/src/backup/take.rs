//! Writing what a node gives out to a file.

use std::io::Write;

use bytes::Bytes;
use tabularaft_store::{BackupDecoder, BackupError, BackupItem, BackupTable, TableSummary};
use tokio::sync::mpsc;

use super::asked::Asked;
use super::error::BackupFailure;
use super::feed::{Pull, WAITING_MAX};
use super::options::BackupOptions;
use super::report::BackupReport;
use crate::admin::protocol::Progress;

/// Takes a backup and hands its bytes to `out`, which is written to in a thread of its own. What arrives is compared
/// with what it says before this returns.
pub(super) async fn take<W: Write + Send + 'static>(
    asked: Asked<'_>,
    name: String,
    out: W,
    options: &BackupOptions,
    progress: &mut (dyn FnMut(&Progress) + Send),
) -> Result<(W, BackupReport), BackupFailure> {
    let mut pull = Pull::begin(asked, options.tables.clone(), options.read).await?;
    let (parts, taken) = mpsc::channel::<Bytes>(WAITING_MAX);
    let writing = tokio::task::spawn_blocking(move || write(name, out, taken));
    let (mut bytes_done, records_total) = (0, pull.records_total);
    let pulled = loop {
        let part = match pull.next().await {
            Ok(part) => part,
            Err(failure) => break Err(failure),
        };
        bytes_done += part.bytes.len() as u64;
        progress(&Progress {
            phase: "writing".to_owned(),
            records_done: part.records,
            records_total: Some(records_total),
            bytes_done,
            bytes_total: None,
            finished: None,
        });
        // A writer that has failed takes no more; it says why below.
        if parts.send(part.bytes).await.is_err() || part.last {
            break Ok(());
        }
    };
    drop(parts);
    pull.end().await;
    let written = writing.await.map_err(|_| BackupFailure::Panicked)?;
    pulled?;
    Ok(written?)
}

fn write<W: Write>(
    name: String,
    mut out: W,
    mut parts: mpsc::Receiver<Bytes>,
) -> Result<(W, BackupReport), BackupError> {
    let mut decoder = BackupDecoder::new(name.as_str());
    let mut read = Read::default();
    while let Some(part) = parts.blocking_recv() {
        out.write_all(&part).map_err(|source| BackupError::Io {
            doing: "writing",
            file: name.clone(),
            source,
        })?;
        decoder.push(&part);
        while let Some(item) = decoder.next_item()? {
            read.take(item);
        }
    }
    decoder.finish()?;
    let report = read.report.ok_or(BackupError::Truncated { file: name, offset: decoder.offset() })?;
    Ok((out, report))
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
