//! Tables whose content is this node's own: never in the log, and on disc in a file of their own, so that a local
//! write waits for no checkpoint of the replicated tables.
//!
//! The file has the layout of a checkpoint; each local write is one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tabularaft_schema::{CopyMode, TableDef, TableId};

use crate::changes::Changes;
use crate::checkpoint::{self, CheckpointJob, DiscTable, Generation, TableJob, TableWork, TablesFile};
use crate::cluster_state::ClusterState;
use crate::disc::DiscControl;
use crate::disc_records::DiscRecords;
use crate::effect::Effect;
use crate::error::StoreError;
use crate::options::StoreOptions;
use crate::row::Row;
use crate::table_state::{self, Body, RecordChange, TableState};
use crate::threads::Threads;

const FILE_NAME: &str = "local.redb";

/// The local tables' file, opened when the first of them needs it.
pub(crate) struct LocalTables {
    /// `None`: a node without a disc.
    dir: Option<PathBuf>,
    disc: Arc<dyn DiscControl>,
    threads: Arc<dyn Threads>,
    cache_bytes: usize,
    file: Option<Arc<TablesFile>>,
    saved: BTreeMap<TableId, OnDisc>,
    /// The greatest version that a local change has carried.
    version: u64,
}

struct OnDisc {
    generation: u64,
    bytes: u64,
    table: Option<Arc<DiscTable>>,
}

/// What one local write does to one table on disc.
struct Write {
    work: TableWork,
    /// Nothing that was on disc counts any more.
    whole: bool,
    bytes: u64,
}

impl LocalTables {
    pub(crate) fn new(options: &StoreOptions) -> Self {
        Self {
            dir: options.dir.clone(),
            disc: Arc::clone(&options.disc),
            threads: Arc::clone(&options.threads),
            cache_bytes: options.cache_bytes,
            file: None,
            saved: BTreeMap::new(),
            version: 0,
        }
    }

    pub(crate) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// The table with the content that an earlier life of this node has left in it.
    pub(crate) fn open(
        &mut self,
        id: TableId,
        def: Arc<TableDef>,
        mode: CopyMode,
    ) -> Result<TableState, StoreError> {
        let mut table = TableState::empty(id, def, mode, 0, None);
        if self.keeps(mode) {
            self.open_file()?;
            table.body = self.body(id, &table.def, mode)?;
            table.indexes.want_all();
        }
        Ok(table)
    }

    /// Applies changes that have been checked to be of local tables.
    pub(crate) fn apply(
        &mut self,
        tables: &mut BTreeMap<TableId, TableState>,
        effects: &[Effect],
    ) -> Result<(), StoreError> {
        self.version = effects.iter().filter_map(Effect::version).max().unwrap_or(0).max(self.version);
        let mut writes: BTreeMap<TableId, DiscRecords> = BTreeMap::new();
        for effect in effects {
            let table = effect.table().and_then(|id| tables.get_mut(&id));
            let Some(table) = table else { continue };
            let Some(change) = RecordChange::of(effect, table.def.shape.version) else { continue };
            if self.keeps(table.mode) {
                let write = writes.entry(table.id).or_insert_with(|| match &table.body {
                    Body::Disc(records) => records.clone(),
                    Body::Memory { records, .. } => self.on_disc(table.id, records.len() as u64),
                });
                let before = write.apply(change)?;
                if let Body::Disc(_) = table.body {
                    table.indexes.note(&table.def, None, change, before.as_ref().map(Row::as_row_ref));
                }
            }
            if let Body::Memory { .. } = table.body {
                table.apply(change)?;
            }
        }
        let jobs = writes.iter().map(|(id, records)| (*id, Write::of(records))).collect();
        self.write(jobs)?;
        for (id, records) in writes {
            if let Some(table) = tables.get_mut(&id)
                && let Body::Disc(_) = table.body
            {
                let disc = self.saved.get(&id).and_then(|saved| saved.table.clone());
                table.body = Body::Disc(DiscRecords { disc, pending: Changes::default(), ..records });
                table.view = None;
            }
        }
        Ok(())
    }

    pub(crate) fn set_mode(&mut self, table: &mut TableState, mode: CopyMode) -> Result<(), StoreError> {
        self.open_file()?;
        let before = std::mem::replace(&mut table.mode, mode);
        if self.keeps(mode)
            && !self.keeps(before)
            && let Body::Memory { records, .. } = &table.body
        {
            let bytes = records.payload_bytes() as u64;
            let write = Write { work: TableWork::Whole(records.clone()), whole: true, bytes };
            self.write(BTreeMap::from([(table.id, write)]))?;
        }
        if self.keeps(before) || self.keeps(mode) {
            table.body = self.body(table.id, &table.def, mode)?;
        }
        if !self.keeps(mode) {
            self.remove(table.id)?;
        }
        table.view = None;
        Ok(())
    }

    /// Removes what is on disc of a table.
    pub(crate) fn remove(&mut self, id: TableId) -> Result<(), StoreError> {
        match self.saved.remove(&id) {
            Some(_) => self.write(BTreeMap::new()),
            None => Ok(()),
        }
    }

    fn keeps(&self, mode: CopyMode) -> bool {
        self.dir.is_some() && mode.is_on_disc()
    }

    fn body(&self, id: TableId, def: &TableDef, mode: CopyMode) -> Result<Body, StoreError> {
        let disc = self.saved.get(&id).and_then(|saved| saved.table.clone());
        if mode == CopyMode::DiscOnly {
            let len = disc.as_ref().map_or(Ok(0), |disc| disc.len())?;
            return Ok(Body::Disc(self.on_disc(id, len)));
        }
        let records = match disc {
            Some(disc) => checkpoint::load_memory(def, &disc, self.threads.as_ref())?,
            None => table_state::new_memory(def),
        };
        Ok(Body::memory(records, false))
    }

    fn on_disc(&self, id: TableId, len: u64) -> DiscRecords {
        let saved = self.saved.get(&id);
        let (disc, bytes) =
            (saved.and_then(|saved| saved.table.clone()), saved.map_or(0, |saved| saved.bytes));
        DiscRecords { disc, pending: Changes::default(), frozen: None, len, bytes }
    }

    fn open_file(&mut self) -> Result<(), StoreError> {
        let (Some(dir), None) = (&self.dir, &self.file) else { return Ok(()) };
        let file = TablesFile::open(dir.join(FILE_NAME), Arc::clone(&self.disc), self.cache_bytes)?;
        if let Some(loaded) = checkpoint::load(&file)? {
            self.version = self.version.max(loaded.cluster.last_version);
            for (id, saved) in loaded.saved {
                let table = loaded.tables.get(&id).cloned();
                self.saved.insert(id, OnDisc { generation: saved.generation, bytes: saved.bytes, table });
            }
        }
        self.file = Some(file);
        Ok(())
    }

    /// Writes changes of some tables in one durable transaction.
    fn write(&mut self, mut writes: BTreeMap<TableId, Write>) -> Result<(), StoreError> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        let mut tables = Vec::with_capacity(self.saved.len() + writes.len());
        for (id, saved) in &self.saved {
            let write = writes.remove(id).unwrap_or(Write {
                work: TableWork::Nothing,
                whole: false,
                bytes: saved.bytes,
            });
            tables.push(job(*id, write, Some(saved.generation), &file));
        }
        tables.extend(writes.into_iter().map(|(id, write)| job(id, write, None, &file)));
        let bytes: BTreeMap<TableId, u64> = tables.iter().map(|table| (table.id, table.bytes)).collect();
        let cluster = ClusterState { last_version: self.version, ..ClusterState::default() };
        let job = CheckpointJob { epoch: 0, cluster, tables };
        let Some(written) = job.write(&file, |_| true)? else { return Ok(()) };
        for (id, (generation, table)) in written.tables {
            let bytes = bytes.get(&id).copied().unwrap_or(0);
            self.saved.insert(id, OnDisc { generation, bytes, table });
        }
        Ok(())
    }
}

impl Write {
    fn of(records: &DiscRecords) -> Self {
        let changes = records.pending.clone();
        Self { whole: changes.is_whole(), work: TableWork::Overlay(changes), bytes: records.bytes }
    }
}

fn job(id: TableId, write: Write, generation: Option<u64>, file: &Arc<TablesFile>) -> TableJob {
    let unreferred = (write.whole || generation.is_none()).then(|| file.new_generation());
    let new = unreferred.as_ref().map(Generation::number);
    let generation = new.or(generation).unwrap_or_default();
    TableJob { id, generation, unreferred, from: 0, bytes: write.bytes, work: write.work, reopen: true }
}
