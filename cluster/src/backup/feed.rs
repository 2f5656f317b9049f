//! Where the parts of a backup come from: a node, or a file.

use std::path::PathBuf;

use bytes::Bytes;
use tabularaft_schema::TableName;
use tabularaft_store::{BackupDecoder, BackupError, BackupItem};
use tokio::sync::mpsc;

use super::asked::{Asked, unexpected};
use super::error::BackupFailure;
use crate::admin::protocol::{AdminReply, AdminRequest, ReadMode};

/// Parts or items that may wait for whoever takes them.
pub(super) const WAITING_MAX: usize = 4;

/// Items of a backup, in order.
pub(super) type Items = mpsc::Receiver<Result<BackupItem, BackupFailure>>;

const READ_BYTES: usize = 256 * 1024;

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
        // The receiver may have gone, for reasons of its own.
        let _ = items.send(Err(failure)).await;
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

/// Reads a file item by item in a thread of its own, for as long as somebody takes them.
pub(super) fn from_file(path: PathBuf) -> Items {
    let (items, taken) = mpsc::channel(WAITING_MAX);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = read_items(&path, &items) {
            // The receiver may have gone, for reasons of its own.
            let _ = items.blocking_send(Err(error.into()));
        }
    });
    taken
}

fn read_items(
    path: &std::path::Path,
    items: &mpsc::Sender<Result<BackupItem, BackupFailure>>,
) -> Result<(), BackupError> {
    use std::io::Read as _;

    let name = path.display().to_string();
    let failed = |source| BackupError::Io { doing: "reading", file: name.clone(), source };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let mut decoder = BackupDecoder::new(name.as_str());
    let mut bytes = vec![0; READ_BYTES];
    loop {
        while let Some(item) = decoder.next_item()? {
            if items.blocking_send(Ok(item)).is_err() {
                return Ok(());
            }
        }
        let read = file.read(&mut bytes).map_err(failed)?;
        match bytes.get(..read) {
            Some(some) if read > 0 => decoder.push(some),
            _ => return decoder.finish(),
        }
    }
}
