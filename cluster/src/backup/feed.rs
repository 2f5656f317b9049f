//! Where the parts of a backup come from: a node, or a file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use bytes::Bytes;
use tabularaft_schema::TableName;
use tabularaft_store::{BackupDecoder, BackupError, BackupItem};
use tokio::sync::mpsc;

use super::asked::{Asked, unexpected};
use super::error::BackupFailure;
use crate::admin::protocol::{AdminReply, AdminRequest, ReadMode};
use crate::door;

/// Items that may wait for whoever takes them.
pub(super) const WAITING_MAX: usize = 4;

/// Items of a backup, in order.
pub(super) type Items = mpsc::Receiver<Result<BackupItem, BackupFailure>>;

const READ_BYTES: u64 = 256 * 1024;

/// A backup that a node gives out.
pub(super) struct Pull<'a> {
    asked: Asked<'a>,
    backup: u64,
    next: u64,
    /// How many records there are in all.
    pub(super) records_total: u64,
}

/// A part of it.
pub(super) struct Pulled {
    pub(super) bytes: Bytes,
    /// Records so far.
    pub(super) records: u64,
    pub(super) last: bool,
}

impl<'a> Pull<'a> {
    pub(super) async fn begin(
        asked: Asked<'a>,
        tables: Vec<TableName>,
        read: ReadMode,
    ) -> Result<Self, BackupFailure> {
        match asked.ask(AdminRequest::BackupBegin { tables, read }).await? {
            AdminReply::BackupBegun { backup, records_total } => {
                Ok(Self { asked, backup, next: 0, records_total })
            }
            other => Err(unexpected(&other).into()),
        }
    }

    pub(super) async fn next(&mut self) -> Result<Pulled, BackupFailure> {
        let request = AdminRequest::BackupRead { backup: self.backup, part: self.next };
        match self.asked.ask(request).await? {
            AdminReply::BackupPart { bytes, records, last } => {
                self.next += 1;
                Ok(Pulled { bytes, records, last })
            }
            other => Err(unexpected(&other).into()),
        }
    }

    /// Tells the node that it may let go of the view. If that does not arrive it does so by itself after a while.
    pub(super) async fn end(self) {
        let _ = self.asked.ask(AdminRequest::BackupEnd { backup: self.backup }).await;
    }
}

/// Takes a table from a node, item by item, for as long as somebody takes them.
pub(super) async fn from_node(
    mut pull: Pull<'_>,
    name: String,
    items: mpsc::Sender<Result<BackupItem, BackupFailure>>,
) {
    let mut decoder = BackupDecoder::new(name);
    let ended = loop {
        let pulled = match pull.next().await {
            Ok(pulled) => pulled,
            Err(failure) => break Err(failure),
        };
        decoder.push(&pulled.bytes);
        match pass_on(&mut decoder, &items).await {
            Ok(true) if pulled.last => break decoder.finish().map_err(BackupFailure::from),
            Ok(true) => {}
            // Nobody takes more.
            Ok(false) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    pull.end().await;
    if let Err(failure) = ended {
        give_up(&items, failure).await;
    }
}

async fn pass_on(
    decoder: &mut BackupDecoder,
    items: &mpsc::Sender<Result<BackupItem, BackupFailure>>,
) -> Result<bool, BackupFailure> {
    while let Some(item) = decoder.next_item()? {
        if items.send(Ok(item)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads a file item by item, for as long as somebody takes them.
pub(super) async fn from_file(path: PathBuf, items: mpsc::Sender<Result<BackupItem, BackupFailure>>) {
    let mut reading = FileItems::new(path);
    loop {
        let read = door::blocking(move || reading.some().map(|some| (reading, some)));
        let some = match read.await {
            Ok(Ok((going_on, some))) => {
                reading = going_on;
                some
            }
            Ok(Err(error)) => return give_up(&items, error.into()).await,
            Err(_) => return give_up(&items, BackupFailure::Panicked).await,
        };
        if some.is_empty() {
            return;
        }
        for item in some {
            let Ok(()) = items.send(Ok(item)).await else { return };
        }
    }
}

async fn give_up(items: &mpsc::Sender<Result<BackupItem, BackupFailure>>, failure: BackupFailure) {
    // The receiver may have gone, for reasons of its own.
    let _ = items.send(Err(failure)).await;
}

/// A file that is read block by block, each by a call that blocks.
struct FileItems {
    path: PathBuf,
    file: Option<File>,
    decoder: BackupDecoder,
}

impl FileItems {
    fn new(path: PathBuf) -> Self {
        let decoder = BackupDecoder::new(path.display().to_string());
        Self { path, file: None, decoder }
    }

    /// The items that follow; none at the end.
    fn some(&mut self) -> Result<Vec<BackupItem>, BackupError> {
        let mut some = Vec::new();
        loop {
            while let Some(item) = self.decoder.next_item()? {
                some.push(item);
            }
            if !some.is_empty() {
                return Ok(some);
            }
            let block = self.block().map_err(|source| BackupError::Io {
                doing: "reading",
                file: self.path.display().to_string(),
                source,
            })?;
            if block.is_empty() {
                self.decoder.finish()?;
                return Ok(some);
            }
            self.decoder.push(&block);
        }
    }

    fn block(&mut self) -> io::Result<Vec<u8>> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(File::open(&self.path)?),
        };
        let mut block = Vec::new();
        file.take(READ_BYTES).read_to_end(&mut block)?;
        Ok(block)
    }
}
