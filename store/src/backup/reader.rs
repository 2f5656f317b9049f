//! Reading a backup from a file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::decoder::BackupDecoder;
use super::error::BackupError;
use super::item::{
    BackedUp, BackupHeader, BackupItem, BackupRecord, BackupSummary, BackupTable, TableSummary,
};

const READ_BYTES: usize = 256 * 1024;

/// Reads a backup: its header and definitions at once, then record by record with [`Iterator`], each as its Rust type or
/// as JSON. Holds one chunk of records in memory. Every part is checked before it is given out; that nothing is
/// missing is known when the iterator has ended without an error.
///
/// ```no_run
/// use tabularaft_store::BackupReader;
///
/// for entry in BackupReader::open("monday.backup".as_ref())? {
///     let entry = entry?;
///     println!("{}: {}", entry.def.name, entry.to_json().unwrap());
/// }
/// # Ok::<(), tabularaft_store::BackupError>(())
/// ```
pub struct BackupReader<R = File> {
    name: String,
    input: R,
    decoder: BackupDecoder,
    header: BackupHeader,
    tables: Vec<BackupTable>,
    summaries: Vec<(usize, TableSummary)>,
    /// Records that were read and not yet given out, and the table they are of.
    pending: (usize, VecDeque<BackupRecord>),
    /// An item that was read while looking for the end of the definitions.
    ahead: Option<BackupItem>,
    end: Option<BackupSummary>,
    failed: bool,
}

impl BackupReader<File> {
    /// Opens a file and reads its header and definitions.
    ///
    /// # Errors
    /// It cannot be read, is no backup, is of a newer format, or is damaged.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(|error| BackupError::io("opening", path, error))?;
        Self::new(path.display().to_string(), file)
    }
}

impl<R: Read> BackupReader<R> {
    /// Reads the header and the definitions of a backup; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`BackupReader::open`].
    pub fn new(name: impl Into<String>, input: R) -> Result<Self, BackupError> {
        let name = name.into();
        let mut reader = Self {
            decoder: BackupDecoder::new(name.as_str()),
            name,
            input,
            header: BackupHeader {
                cluster_name: String::new(),
                cluster_id: 0,
                node: String::new(),
                log_index: crate::LogIndex(0),
                schema_version: 0,
                created_unix_ms: 0,
                written_by: String::new(),
            },
            tables: Vec::new(),
            summaries: Vec::new(),
            pending: (0, VecDeque::new()),
            ahead: None,
            end: None,
            failed: false,
        };
        loop {
            match reader.read_item()? {
                Some(BackupItem::Header(header)) => reader.header = header,
                Some(BackupItem::Table(table)) => reader.tables.push(table),
                first => {
                    reader.ahead = first;
                    return Ok(reader);
                }
            }
        }
    }

    /// Where and when the backup was taken.
    pub fn header(&self) -> &BackupHeader {
        &self.header
    }

    /// All tables, in the order in which their records come.
    pub fn tables(&self) -> &[BackupTable] {
        &self.tables
    }

    /// What the records of each table come to whose records have all been read, with its place among the tables.
    pub fn summaries(&self) -> &[(usize, TableSummary)] {
        &self.summaries
    }

    /// What the whole backup comes to, once it has been read to its end.
    pub fn summary(&self) -> Option<BackupSummary> {
        self.end
    }

    /// The next records, all of one table, whose place among the tables comes with them; `None` at the end.
    ///
    /// # Errors
    /// The rest cannot be read, is damaged or was cut short.
    pub fn next_records(&mut self) -> Result<Option<(usize, Vec<BackupRecord>)>, BackupError> {
        if !self.pending.1.is_empty() {
            let (table, records) = std::mem::take(&mut self.pending);
            return Ok(Some((table, records.into())));
        }
        if self.failed {
            return Ok(None);
        }
        loop {
            let item = match self.ahead.take() {
                Some(item) => Some(item),
                None => self.read_item().inspect_err(|_| self.failed = true)?,
            };
            match item {
                Some(BackupItem::Records { table, records }) => return Ok(Some((table, records))),
                Some(BackupItem::TableEnd { table, summary }) => self.summaries.push((table, summary)),
                Some(BackupItem::End(summary)) => self.end = Some(summary),
                Some(BackupItem::Header(_) | BackupItem::Table(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Reads to the end, comparing everything, and says what the backup comes to.
    ///
    /// # Errors
    /// As [`BackupReader::next_records`].
    pub fn verify(&mut self) -> Result<BackupSummary, BackupError> {
        while self.next_records()?.is_some() {}
        let (file, offset) = (self.name.clone(), self.decoder.offset());
        self.end.ok_or(BackupError::Truncated { file, offset })
    }

    /// The next item; `None` behind the end.
    fn read_item(&mut self) -> Result<Option<BackupItem>, BackupError> {
        let mut bytes = Vec::new();
        loop {
            if let Some(item) = self.decoder.next_item()? {
                return Ok(Some(item));
            }
            bytes.clear();
            let read = Read::by_ref(&mut self.input).take(READ_BYTES as u64).read_to_end(&mut bytes);
            let file = || self.name.clone();
            let read = read.map_err(|source| BackupError::Io { doing: "reading", file: file(), source })?;
            if read == 0 {
                self.decoder.finish()?;
                return Ok(None);
            }
            self.decoder.push(&bytes);
        }
    }
}

impl<R: Read> Iterator for BackupReader<R> {
    type Item = Result<BackedUp, BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.pending.1.is_empty() {
            match self.next_records() {
                Ok(Some((table, records))) => self.pending = (table, records.into()),
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        let table = self.pending.0;
        let record = self.pending.1.pop_front()?;
        let def = Arc::clone(&self.tables.get(table)?.def);
        Some(Ok(BackedUp { table, def, record }))
    }
}
