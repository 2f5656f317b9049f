//! Reading a backup from bytes as they come.

use std::sync::Arc;

use tabularaft_schema::TableDef;
use xxhash_rust::xxh3::Xxh3;

use super::error::BackupError;
use super::form::{
    ChunkHead, EndForm, FORMAT_VERSION, FRAME_HEAD_BYTES, FrameKind, HeaderForm, MAGIC, PAYLOAD_BYTES_MAX,
    PREAMBLE_BYTES, RecordForm, TableEndForm, TableForm, checksum, preamble,
};
use super::item::{BackupHeader, BackupItem, BackupRecord, BackupSummary, BackupTable, TableSummary};
use crate::LogIndex;

/// Makes items of the bytes of a backup, whichever way they arrive. Every checksum and digest is compared before an item
/// is given out; [`finish`](Self::finish) says whether all of it has come.
pub struct BackupDecoder {
    name: String,
    /// What has arrived and is not an item yet. Invariant: at most one frame and what was pushed last.
    buffer: Vec<u8>,
    /// How much of the buffer's beginning is used up.
    used: usize,
    /// Where the first unused byte stands in the file.
    offset: u64,
    hasher: Xxh3,
    stage: Stage,
    definitions: u32,
    tables: Vec<Arc<TableDef>>,
    with_records: Vec<bool>,
    summary: TableSummary,
    total: BackupSummary,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Preamble,
    Header,
    Tables,
    /// Records of this table, or its end; past the last table, the end of the backup.
    Records(usize),
    Ended,
}

impl BackupDecoder {
    /// For the beginning of a backup; `name` is what errors call it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            buffer: Vec::new(),
            used: 0,
            offset: 0,
            hasher: Xxh3::new(),
            stage: Stage::Preamble,
            definitions: 0,
            tables: Vec::new(),
            with_records: Vec::new(),
            summary: TableSummary::default(),
            total: BackupSummary::default(),
        }
    }

    /// Takes the bytes that follow.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next item, or `None` if more bytes are needed for it.
    ///
    /// # Errors
    /// The bytes are no backup, one of a newer format, or not what was written. The decoder is of no more use then.
    pub fn next_item(&mut self) -> Result<Option<BackupItem>, BackupError> {
        if self.stage == Stage::Preamble && !self.preamble()? {
            return Ok(None);
        }
        if self.stage == Stage::Ended {
            return if self.rest().is_empty() { Ok(None) } else { Err(self.damaged("bytes follow its end")) };
        }
        let Some((kind, end)) = self.frame()? else { return Ok(None) };
        let item = self.item(kind, end)?;
        let used = self.rest().get(..end).unwrap_or_default().len();
        if let Some(frame) = self.buffer.get(self.used..self.used + used) {
            self.hasher.update(frame);
        }
        self.used += used;
        self.offset += used as u64;
        Ok(Some(match item {
            BackupItem::End(summary) => BackupItem::End(BackupSummary { bytes: self.offset, ..summary }),
            item => item,
        }))
    }

    /// Where in the file the next item begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Says whether the backup is complete, when no more bytes come.
    ///
    /// # Errors
    /// [`BackupError::Truncated`] if it is not.
    pub fn finish(&self) -> Result<(), BackupError> {
        if self.stage == Stage::Ended {
            return Ok(());
        }
        let offset = self.offset + self.rest().len() as u64;
        let file = self.name.clone();
        let begins = self.rest().iter().zip(MAGIC).all(|(a, b)| a == b);
        match self.stage {
            Stage::Preamble if !begins || offset == 0 => Err(BackupError::Foreign { file }),
            _ => Err(BackupError::Truncated { file, offset }),
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.used..).unwrap_or_default()
    }

    /// Reads the first bytes; false if they have not all come.
    fn preamble(&mut self) -> Result<bool, BackupError> {
        let Some(found) = self.rest().first_chunk::<PREAMBLE_BYTES>().copied() else { return Ok(false) };
        if !found.starts_with(MAGIC) {
            return Err(BackupError::Foreign { file: self.name.clone() });
        }
        let [.., a, b, c, d, _, _, _, _] = found;
        let version = u32::from_le_bytes([a, b, c, d]);
        if found != preamble(version) || version == 0 {
            return Err(self.damaged("the checksum of its first bytes does not match"));
        }
        if version > FORMAT_VERSION {
            let file = self.name.clone();
            return Err(BackupError::NewerFormat { file, found: version, newest: FORMAT_VERSION });
        }
        self.hasher.update(&found);
        self.used += PREAMBLE_BYTES;
        self.offset += PREAMBLE_BYTES as u64;
        self.stage = Stage::Header;
        Ok(true)
    }

    /// The kind of the next frame and where it ends in the rest, if it is there and whole.
    fn frame(&self) -> Result<Option<(FrameKind, usize)>, BackupError> {
        let rest = self.rest();
        let Some([kind, a, b, c, d, crc @ ..]) = rest.first_chunk::<FRAME_HEAD_BYTES>() else {
            return Ok(None);
        };
        let length_bytes = [*a, *b, *c, *d];
        let length = u32::from_le_bytes(length_bytes) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err(self.damaged(format!("a part of {length} bytes, which no part has")));
        }
        let known =
            FrameKind::of(*kind).ok_or_else(|| self.damaged(format!("a part of unknown kind {kind}")))?;
        let end = FRAME_HEAD_BYTES + length;
        let Some(payload) = rest.get(FRAME_HEAD_BYTES..end) else { return Ok(None) };
        if checksum(*kind, length_bytes, payload) != u32::from_le_bytes(*crc) {
            return Err(self.damaged("the checksum does not match"));
        }
        Ok(Some((known, end)))
    }

    fn item(&mut self, kind: FrameKind, end: usize) -> Result<BackupItem, BackupError> {
        match (self.stage, kind) {
            (Stage::Header, FrameKind::Header) => self.header(end),
            (Stage::Tables, FrameKind::Table) => self.table(end),
            (Stage::Records(at), FrameKind::Records) => self.records(at, end),
            (Stage::Records(at), FrameKind::TableEnd) => self.table_end(at, end),
            (Stage::Records(at), FrameKind::End) if at >= self.tables.len() => self.end(end),
            _ => Err(self.damaged("its parts are not in order")),
        }
    }

    fn header(&mut self, end: usize) -> Result<BackupItem, BackupError> {
        let HeaderForm::V1 {
            cluster_name,
            cluster_id,
            node,
            log_index,
            schema_version,
            created_unix_ms,
            written_by,
            tables,
        } = self.payload(end)?;
        let header = BackupHeader {
            cluster_name: cluster_name.into_owned(),
            cluster_id,
            node: node.into_owned(),
            log_index: LogIndex(log_index),
            schema_version,
            created_unix_ms,
            written_by: written_by.into_owned(),
        };
        self.definitions = tables;
        self.stage = if tables == 0 { Stage::Records(0) } else { Stage::Tables };
        Ok(BackupItem::Header(header))
    }

    fn table(&mut self, end: usize) -> Result<BackupItem, BackupError> {
        let TableForm::V1 { id, def, has_records } = self.payload(end)?;
        let def = Arc::new(def.into_owned());
        self.tables.push(Arc::clone(&def));
        self.with_records.push(has_records);
        if self.tables.len() as u64 == u64::from(self.definitions) {
            self.stage = Stage::Records(self.next_with_records(0));
        }
        Ok(BackupItem::Table(BackupTable { id, def, has_records }))
    }

    fn records(&mut self, at: usize, end: usize) -> Result<BackupItem, BackupError> {
        let def = self.tables.get(at).cloned().ok_or_else(|| self.damaged("its parts are not in order"))?;
        let payload = self.rest().get(FRAME_HEAD_BYTES..end).unwrap_or_default();
        let unreadable = |error: postcard::Error| self.damaged(error.to_string());
        let (head, mut rest) = postcard::take_from_bytes::<ChunkHead>(payload).map_err(unreadable)?;
        let mut records = Vec::new();
        while !rest.is_empty() {
            let (form, after) = postcard::take_from_bytes::<RecordForm<'_>>(rest).map_err(unreadable)?;
            if let Err(error) = def.shape.check(form.record) {
                return Err(self.damaged(format!("a record of table {}: {error}", def.name)));
            }
            let (version, owner) = (form.version, form.owner);
            records.push(BackupRecord { version, owner, record: form.record.to_vec() });
            rest = after;
        }
        if head.table as usize != at || head.records as usize != records.len() || records.is_empty() {
            return Err(self.damaged("a chunk of records does not say what it holds"));
        }
        for record in &records {
            self.summary.content.add(&record.record);
            self.summary.bytes += record.record.len() as u64;
        }
        Ok(BackupItem::Records { table: at, records })
    }

    fn table_end(&mut self, at: usize, end: usize) -> Result<BackupItem, BackupError> {
        let TableEndForm::V1 { table, content, bytes } = self.payload(end)?;
        let summary = std::mem::take(&mut self.summary);
        if table as usize != at || summary != (TableSummary { content, bytes }) {
            return Err(self.damaged("the records before are not those that were written"));
        }
        self.total.records += content.records;
        self.stage = Stage::Records(self.next_with_records(at + 1));
        Ok(BackupItem::TableEnd { table: at, summary })
    }

    fn end(&mut self, end: usize) -> Result<BackupItem, BackupError> {
        let EndForm::V1 { records, digest } = self.payload(end)?;
        if digest != self.hasher.digest128() || records != self.total.records {
            return Err(self.damaged("the bytes before are not those that were written"));
        }
        self.stage = Stage::Ended;
        Ok(BackupItem::End(self.total))
    }

    /// The first table from this place on whose records are in the backup.
    fn next_with_records(&self, from: usize) -> usize {
        let found = self.with_records.iter().skip(from).position(|has_records| *has_records);
        found.map_or(self.tables.len(), |after| from + after)
    }

    fn payload<'a, T: serde::Deserialize<'a>>(&'a self, end: usize) -> Result<T, BackupError> {
        let payload = self.rest().get(FRAME_HEAD_BYTES..end).unwrap_or_default();
        match postcard::take_from_bytes(payload) {
            Ok((form, [])) => Ok(form),
            Ok(_) => Err(self.damaged("a part goes on after its end")),
            Err(error) => Err(self.damaged(error.to_string())),
        }
    }

    fn damaged(&self, why: impl Into<String>) -> BackupError {
        BackupError::Damaged { file: self.name.clone(), offset: self.offset, why: why.into() }
    }
}
