//! Writing a backup record by record.

use std::io::Write;

use xxhash_rust::xxh3::Xxh3;

use super::error::BackupError;
use super::form::{
    CHUNK_BYTES, ChunkHead, EndForm, FORMAT_VERSION, FrameKind, HeaderForm, RecordForm, TableEndForm,
    TableForm, encode, frame_head, preamble,
};
use super::item::{BackupHeader, BackupRecord, BackupSummary, BackupTable, TableSummary};

/// Writes a backup to `W`: first all definitions, then the records of one table after the other. Holds one chunk of
/// records in memory.
///
/// ```
/// use tabularaft_store::{BackupReader, BackupWriter};
/// # let header = tabularaft_store::BackupHeader { cluster_name: "c".into(), cluster_id: 0, node: "n@h".into(),
/// #     log_index: tabularaft_store::LogIndex(1), schema_version: 1, created_unix_ms: 0, written_by: "docs".into() };
///
/// let (file, summary) = BackupWriter::new("a backup", Vec::new(), &header, Vec::new())?.finish()?;
/// assert_eq!(summary.bytes, file.len() as u64);
/// assert_eq!(BackupReader::new("a backup", file.as_slice())?.header().cluster_name, "c");
/// # Ok::<(), tabularaft_store::BackupError>(())
/// ```
pub struct BackupWriter<W> {
    name: String,
    out: W,
    hasher: Xxh3,
    tables: Vec<BackupTable>,
    /// The table whose records are being written.
    at: usize,
    chunk: Vec<u8>,
    chunk_records: u32,
    summary: TableSummary,
    total: BackupSummary,
    summaries: Vec<TableSummary>,
}

impl<W: Write> BackupWriter<W> {
    /// Begins a backup of these tables; `name` is what errors call it.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn new(
        name: impl Into<String>,
        out: W,
        header: &BackupHeader,
        tables: Vec<BackupTable>,
    ) -> Result<Self, BackupError> {
        let mut writer = Self {
            name: name.into(),
            out,
            hasher: Xxh3::new(),
            tables: Vec::new(),
            at: 0,
            chunk: Vec::new(),
            chunk_records: 0,
            summary: TableSummary::default(),
            total: BackupSummary::default(),
            summaries: Vec::new(),
        };
        writer.write(&preamble(FORMAT_VERSION))?;
        writer.frame(FrameKind::Header, &encode(&header_form(header, tables.len())))?;
        for table in &tables {
            let def = std::borrow::Cow::Borrowed(table.def.as_ref());
            let form = TableForm::V1 { id: table.id, def, has_records: table.has_records };
            writer.frame(FrameKind::Table, &encode(&form))?;
        }
        writer.tables = tables;
        Ok(writer)
    }

    /// Adds a record to the table at this place among the definitions. Records come table by table, in the order of the
    /// definitions; within a table in any order.
    ///
    /// # Errors
    /// The record is none of its table, its table's turn is over, or the output cannot be written.
    pub fn push(&mut self, table: usize, record: &BackupRecord) -> Result<(), BackupError> {
        self.record(table, record.version, record.owner, &record.record)
    }

    pub(super) fn record(
        &mut self,
        table: usize,
        version: u64,
        owner: Option<crate::Incarnation>,
        record: &[u8],
    ) -> Result<(), BackupError> {
        self.advance_to(table)?;
        let out_of_order = || BackupError::OutOfOrder { table, at: self.at, tables: self.tables.len() };
        let into = self.tables.get(table).filter(|table| table.has_records).ok_or_else(out_of_order)?;
        into.def
            .check_record(record)
            .map_err(|source| BackupError::Record { table: into.def.name.to_string(), source })?;
        self.chunk =
            postcard::to_extend(&RecordForm { version, owner, record }, std::mem::take(&mut self.chunk))
                .expect("records have only types that postcard encodes");
        self.chunk_records += 1;
        self.summary.content.add(record);
        self.summary.bytes += record.len() as u64;
        if self.chunk.len() >= CHUNK_BYTES { self.end_chunk() } else { Ok(()) }
    }

    /// What the records of the tables that are complete come to.
    pub fn summaries(&self) -> &[TableSummary] {
        &self.summaries
    }

    /// Ends the backup, with tables for which no record came as empty ones.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(mut self) -> Result<(W, BackupSummary), BackupError> {
        self.end()?;
        self.out.flush().map_err(|source| self.failed(source))?;
        Ok((self.out, self.total))
    }

    pub(super) fn end(&mut self) -> Result<BackupSummary, BackupError> {
        while self.at < self.tables.len() {
            self.end_table()?;
        }
        let form = EndForm::V1 { records: self.total.records, digest: self.hasher.digest128() };
        self.frame(FrameKind::End, &encode(&form))?;
        Ok(self.total)
    }

    pub(super) fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    fn advance_to(&mut self, table: usize) -> Result<(), BackupError> {
        if table < self.at || table >= self.tables.len() {
            return Err(BackupError::OutOfOrder { table, at: self.at, tables: self.tables.len() });
        }
        while self.at < table {
            self.end_table()?;
        }
        Ok(())
    }

    pub(super) fn end_table(&mut self) -> Result<(), BackupError> {
        self.end_chunk()?;
        let summary = std::mem::take(&mut self.summary);
        if self.tables.get(self.at).is_some_and(|table| table.has_records) {
            let form =
                TableEndForm::V1 { table: self.at as u32, content: summary.content, bytes: summary.bytes };
            self.frame(FrameKind::TableEnd, &encode(&form))?;
        }
        self.total.records += summary.content.records;
        self.summaries.push(summary);
        self.at += 1;
        Ok(())
    }

    fn end_chunk(&mut self) -> Result<(), BackupError> {
        if self.chunk_records == 0 {
            return Ok(());
        }
        let head = ChunkHead { table: self.at as u32, records: std::mem::take(&mut self.chunk_records) };
        let mut payload = encode(&head);
        payload.append(&mut self.chunk);
        self.frame(FrameKind::Records, &payload)
    }

    fn frame(&mut self, kind: FrameKind, payload: &[u8]) -> Result<(), BackupError> {
        self.write(&frame_head(kind, payload))?;
        self.write(payload)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.out.write_all(bytes).map_err(|source| self.failed(source))?;
        self.hasher.update(bytes);
        self.total.bytes += bytes.len() as u64;
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> BackupError {
        BackupError::Io { doing: "writing", file: self.name.clone(), source }
    }
}

fn header_form(header: &BackupHeader, tables: usize) -> HeaderForm<'_> {
    HeaderForm::V1 {
        cluster_name: header.cluster_name.as_str().into(),
        cluster_id: header.cluster_id,
        node: header.node.as_str().into(),
        log_index: header.log_index.0,
        schema_version: header.schema_version,
        created_unix_ms: header.created_unix_ms,
        written_by: header.written_by.as_str().into(),
        tables: tables as u32,
    }
}
