//! One table as the writer has it.

use std::sync::Arc;

use tabularaft_schema::{CopyMode, Table, TableDef, TableId, TableKind, Upgrade};

use crate::LogIndex;
use crate::changed_keys::ChangedKeys;
use crate::changes::Changes;
use crate::checkpoint::{DiscTable, Generation, TableJob, TableWork, TablesFile};
use crate::copy::{LoadedRecords, LoadedTable};
use crate::disc_records::DiscRecords;
use crate::effect::Effect;
use crate::error::StoreError;
use crate::indexes::TableIndexes;
use crate::load_buffer::LoadBuffer;
use crate::memory::{MemoryTable, OrderedMap};
use crate::row::{Row, RowRef};
use crate::table_view::{CopyState, Records, TableView};

/// A table that this node holds. Only the writer changes it; readers see the [`TableView`]s made of it.
pub(crate) struct TableState {
    pub(crate) id: TableId,
    pub(crate) def: Arc<TableDef>,
    pub(crate) mode: CopyMode,
    /// Effects of entries at lower log indexes are already in the records. Greater than the applied index while the
    /// records come from a peer that was ahead; the table cannot be read until then.
    pub(crate) from: u64,
    /// There while the records have not arrived.
    pub(crate) loading: Option<LoadBuffer>,
    pub(crate) body: Body,
    pub(crate) indexes: TableIndexes,
    /// How records of former versions are read; there while there may be any.
    pub(crate) upgrade: Option<Arc<Upgrade>>,
    /// There if the records belong into the checkpoint.
    pub(crate) saved: Option<Saved>,
    /// There while the records of a disc-only copy are read into memory, because its mode has changed.
    pub(crate) refill: Option<Refill>,
    /// The view of the present state; `None` if the table has changed since.
    pub(crate) view: Option<Arc<TableView>>,
}

/// Where the records are.
pub(crate) enum Body {
    Memory { records: MemoryTable, changed: ChangedKeys },
    Disc(DiscRecords),
}

/// Where the checkpoint has the records.
#[derive(Default)]
pub(crate) struct Saved {
    /// `None` if no checkpoint has them yet.
    pub(crate) generation: Option<u64>,
    /// Keeps a generation that was copied to disc, until a checkpoint refers to it.
    pub(crate) unreferred: Option<Generation>,
}

/// A disc-only copy on its way into memory.
pub(crate) struct Refill {
    /// Tells this one from an earlier one that was given up.
    pub(crate) ticket: u64,
    /// What has changed since the reading began.
    pub(crate) since: Changes,
}

/// A change of one record, or of all.
#[derive(Clone, Copy)]
pub(crate) enum RecordChange<'a> {
    Put { key: &'a [u8], row: RowRef<'a> },
    Delete { key: &'a [u8] },
    Clear,
}

impl<'a> RecordChange<'a> {
    /// What the effect does to a table whose records have this version now; `None` if it changes no record.
    pub(crate) fn of(effect: &'a Effect, record_version: u32) -> Option<Self> {
        match effect {
            Effect::Put { key, value, version, owner, .. } => {
                let row = RowRef::new(*version, *owner, value).with_record_version(record_version);
                Some(Self::Put { key, row })
            }
            Effect::Delete { key, .. } => Some(Self::Delete { key }),
            Effect::Clear { .. } => Some(Self::Clear),
            Effect::Schema(_) | Effect::Member(_) | Effect::Barrier { .. } | Effect::Clock { .. } => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Put { key, row } => key.len() + row.encoded_bytes(),
            Self::Delete { key } => key.len(),
            Self::Clear => 0,
        }
    }
}

/// What a change of records came to.
#[derive(Default)]
pub(crate) struct Changed {
    /// How many bytes the next checkpoint has more to write.
    pub(crate) unsaved_bytes: usize,
    /// What was under the key.
    pub(crate) old: Option<Row>,
    /// The table has no records, and it is not known which ones it had.
    pub(crate) began_empty: bool,
}

/// An empty table in memory, of the structure that the kind asks for.
pub(crate) fn new_memory(def: &TableDef) -> MemoryTable {
    match def.kind {
        TableKind::Set => MemoryTable::hashed(),
        _ => MemoryTable::ordered(),
    }
}

impl TableState {
    /// A table without records that is complete: it was created by the entry at `from`.
    pub(crate) fn empty(
        id: TableId,
        def: Arc<TableDef>,
        mode: CopyMode,
        from: u64,
        file: Option<&Arc<TablesFile>>,
    ) -> Self {
        let on_disc = file.is_some() && mode.is_on_disc();
        let body = match (on_disc, mode) {
            (true, CopyMode::DiscOnly) => Body::Disc(DiscRecords::empty()),
            _ => Body::memory(new_memory(&def), true),
        };
        let saved = on_disc.then(Saved::default);
        let indexes = TableIndexes::empty(&def);
        Self {
            id,
            def,
            mode,
            from,
            loading: None,
            body,
            indexes,
            upgrade: None,
            saved,
            refill: None,
            view: None,
        }
    }

    /// A table whose records have to come from a peer.
    pub(crate) fn loading(id: TableId, def: Arc<TableDef>, mode: CopyMode, buffer: LoadBuffer) -> Self {
        Self { loading: Some(buffer), ..Self::empty(id, def, mode, 0, None) }
    }

    /// Applies one change from the entry at `index`. `None` if the records have it already, or have yet to arrive.
    pub(crate) fn change(
        &mut self,
        index: u64,
        effect: &Effect,
        change: RecordChange<'_>,
        file: Option<&Arc<TablesFile>>,
    ) -> Result<Option<Changed>, StoreError> {
        if let Some(buffer) = &mut self.loading {
            if let RecordChange::Clear = change {
                self.become_empty(index, file);
                return Ok(Some(Changed { began_empty: true, ..Changed::default() }));
            }
            buffer.push(index, effect, self.def.shape.version);
            self.view = None;
            return Ok(None);
        }
        if index < self.from {
            return Ok(None);
        }
        self.apply(change).map(Some)
    }

    /// Changes the records themselves.
    pub(crate) fn apply(&mut self, change: RecordChange<'_>) -> Result<Changed, StoreError> {
        self.view = None;
        if let Some(refill) = &mut self.refill {
            refill.since.apply(change);
        }
        let saved = self.saved.is_some();
        let old = match &mut self.body {
            Body::Memory { records, changed } => {
                if saved {
                    changed.note(change);
                }
                apply_to_memory(records, &self.def, change)
            }
            Body::Disc(records) => records.apply(change)?,
        };
        if !self.indexes.is_empty() {
            let upgrade = self.upgrade.as_deref();
            self.indexes.note(&self.def, upgrade, change, old.as_ref().map(Row::as_row_ref));
        }
        let unsaved_bytes = if saved { change.bytes() } else { 0 };
        Ok(Changed { unsaved_bytes, old, began_empty: false })
    }

    /// Whether these are the records of an earlier life that was held in memory alone.
    pub(crate) fn ended_with_its_life(&self) -> bool {
        self.loading.is_some() && !self.mode.is_on_disc()
    }

    /// All records were deleted in an earlier life, but those that were written after that are gone too.
    pub(crate) fn load_again(&mut self, floor: LogIndex, buffer_bytes: usize) {
        self.loading = Some(LoadBuffer::new(floor, buffer_bytes));
        self.view = None;
    }

    /// Once all records of a table are deleted, those that have not arrived no longer matter.
    fn become_empty(&mut self, index: u64, file: Option<&Arc<TablesFile>>) {
        let mut indexes = std::mem::take(&mut self.indexes);
        indexes.clear();
        let upgrade = self.upgrade.take();
        *self =
            Self { indexes, upgrade, ..Self::empty(self.id, Arc::clone(&self.def), self.mode, index, file) };
    }

    /// Takes over what has changed in the definition. Gives back entries of indexes that are no longer needed; `None`
    /// if nothing has changed.
    pub(crate) fn follow_definition(&mut self, table: &Table) -> Option<Vec<OrderedMap>> {
        // The former versions change with the definition, but for the end of their times.
        let upgraded = self.upgrade.is_some() != table.former.is_empty();
        if Arc::ptr_eq(&self.def, &table.def) && upgraded && self.indexes.agree_with(&table.building) {
            return None;
        }
        self.upgrade = (!table.former.is_empty()).then(|| Arc::new(Upgrade::of(table)));
        let before = std::mem::replace(&mut self.def, Arc::clone(&table.def));
        self.view = None;
        Some(self.indexes.follow(&before.shape, table, self.upgrade.as_deref()))
    }

    /// Takes the records that have arrived, taken at log index `at`, and applies what came after.
    pub(crate) fn install(
        &mut self,
        loaded: LoadedTable,
        at: LogIndex,
        durable: bool,
    ) -> Result<usize, StoreError> {
        let table = self.def.name.clone();
        let Some(buffer) = &self.loading else { return Err(StoreError::NotLoading { table }) };
        if at < buffer.floor() {
            return Err(StoreError::CopyTooOld { table, at, floor: buffer.floor() });
        }
        let buffer = self.loading.take();
        self.from = at.0 + 1;
        self.take(loaded, durable);
        let mut bytes = 0;
        for (index, effect, record_version) in buffer.into_iter().flat_map(LoadBuffer::into_effects) {
            if let Some(change) = RecordChange::of(&effect, record_version).filter(|_| index >= self.from) {
                bytes += self.apply(change)?.unsaved_bytes;
            }
        }
        Ok(bytes)
    }

    /// The records are those of `loaded`, whatever mode they were gathered for.
    pub(crate) fn take(&mut self, loaded: LoadedTable, durable: bool) {
        self.view = None;
        self.loading = None;
        self.indexes.want_all();
        let on_disc = loaded.generation.is_some();
        self.body = match loaded.records {
            LoadedRecords::Memory(records) => Body::memory(records, !on_disc),
            LoadedRecords::Disc(table) => {
                Body::Disc(DiscRecords::of(table, loaded.digest.records, loaded.bytes))
            }
        };
        let generation = loaded.generation.as_ref().map(Generation::number);
        let wanted = durable && (self.mode.is_on_disc() || matches!(self.body, Body::Disc(_)));
        self.saved = wanted.then_some(Saved { generation, unreferred: loaded.generation });
    }

    /// The present state for readers. Made once per change.
    pub(crate) fn view(&mut self, applied: LogIndex) -> Arc<TableView> {
        if let Some(view) = &self.view {
            return Arc::clone(view);
        }
        let view = Arc::new(TableView {
            id: self.id,
            def: Arc::clone(&self.def),
            mode: self.mode,
            state: self.state(applied),
            records: self.records(),
            indexes: self.indexes.views(),
            upgrade: self.upgrade.clone(),
        });
        self.view = Some(Arc::clone(&view));
        view
    }

    pub(crate) fn state(&self, applied: LogIndex) -> CopyState {
        match &self.loading {
            Some(buffer) => CopyState::Loading { floor: buffer.floor(), buffered_bytes: buffer.bytes() },
            None if self.is_ahead(applied) => {
                CopyState::Loading { floor: LogIndex(self.from.saturating_sub(1)), buffered_bytes: 0 }
            }
            None => CopyState::Ready,
        }
    }

    /// Whether the records are newer than the other tables of this node.
    pub(crate) fn is_ahead(&self, applied: LogIndex) -> bool {
        self.from > applied.0.saturating_add(1)
    }

    pub(crate) fn records(&self) -> Records {
        match &self.body {
            Body::Memory { records, .. } => Records::Memory(records.clone()),
            Body::Disc(records) => Records::Disc(records.clone()),
        }
    }

    /// What the next checkpoint has to write of this table; from now on changes count for the one after it. `None` if
    /// the table does not belong into the checkpoint.
    pub(crate) fn freeze(&mut self, file: &Arc<TablesFile>) -> Option<TableJob> {
        let saved = self.saved.as_mut()?;
        let (work, whole, bytes) = match &mut self.body {
            Body::Memory { records, changed } => {
                let changed = std::mem::take(changed);
                let bytes = records.payload_bytes() as u64;
                if changed.is_whole() {
                    (TableWork::Whole(records.clone()), true, bytes)
                } else if changed.has_keys() {
                    (TableWork::Keys { changed, records: records.clone() }, false, bytes)
                } else {
                    (TableWork::Nothing, false, bytes)
                }
            }
            Body::Disc(records) => {
                let changes = std::mem::take(&mut records.pending);
                let whole = changes.is_whole();
                records.frozen = (!changes.is_empty()).then(|| changes.clone());
                let work = if changes.is_empty() { TableWork::Nothing } else { TableWork::Overlay(changes) };
                (work, whole, records.bytes)
            }
        };
        let mut unreferred = saved.unreferred.take();
        if whole || saved.generation.is_none() {
            unreferred = Some(file.new_generation());
        }
        let generation = unreferred.as_ref().map(Generation::number).or(saved.generation)?;
        saved.generation = Some(generation);
        let reopen = self.mode == CopyMode::DiscOnly || matches!(self.body, Body::Disc(_));
        Some(TableJob { id: self.id, generation, unreferred, from: self.from, bytes, work, reopen })
    }

    /// The checkpoint that [`freeze`](Self::freeze) began is on disc, and so are the records frozen then. Gives back
    /// what is no longer needed in memory.
    pub(crate) fn checkpointed(&mut self, generation: u64, disc: Option<Arc<DiscTable>>) -> Option<Body> {
        let saved = self.saved.as_ref()?;
        let disc = disc.filter(|_| saved.generation == Some(generation))?;
        let records = match &self.body {
            Body::Disc(records) => DiscRecords { disc: Some(disc), frozen: None, ..records.clone() },
            Body::Memory { records, changed } if self.mode == CopyMode::DiscOnly => {
                DiscRecords::from_memory(records, changed, disc)
            }
            Body::Memory { .. } => return None,
        };
        self.view = None;
        Some(std::mem::replace(&mut self.body, Body::Disc(records)))
    }

    /// Changes how the table is held, without readers noticing. Gives the ticket back if the records now have to be
    /// read into memory.
    pub(crate) fn set_mode(&mut self, mode: CopyMode, durable: bool, ticket: u64) -> Option<u64> {
        self.mode = mode;
        self.view = None;
        self.refill = None;
        match &mut self.body {
            Body::Memory { .. } if self.loading.is_some() => None,
            Body::Memory { changed, .. } => {
                if !mode.is_on_disc() {
                    self.saved = None;
                } else if durable && self.saved.is_none() {
                    self.saved = Some(Saved::default());
                    *changed = ChangedKeys::whole();
                }
                None
            }
            Body::Disc(_) if mode == CopyMode::DiscOnly => None,
            Body::Disc(_) => {
                self.refill = Some(Refill { ticket, since: Changes::default() });
                Some(ticket)
            }
        }
    }

    /// The records as they were when the refill with this ticket began; what has changed since is added. Gives back
    /// what is no longer needed, or the records if the refill has been given up.
    pub(crate) fn refilled(&mut self, ticket: u64, mut records: MemoryTable) -> Body {
        let (Some(refill), Body::Disc(disc)) =
            (self.refill.take_if(|refill| refill.ticket == ticket), &self.body)
        else {
            return Body::memory(records, true);
        };
        if refill.since.is_whole() {
            records = new_memory(&self.def);
        }
        refill.since.deleted_keys().for_each(|key| drop(records.remove(key)));
        refill.since.puts().iter().for_each(|(key, row)| drop(records.insert(key, row)));
        let changed = ChangedKeys::of(&disc.pending);
        if !self.mode.is_on_disc() {
            self.saved = None;
        }
        self.view = None;
        std::mem::replace(&mut self.body, Body::Memory { records, changed })
    }
}

impl Body {
    /// `whole`: no checkpoint has any of the records.
    pub(crate) fn memory(records: MemoryTable, whole: bool) -> Self {
        let changed = if whole { ChangedKeys::whole() } else { ChangedKeys::default() };
        Body::Memory { records, changed }
    }
}

/// Changes records in memory and gives back what was under the key.
fn apply_to_memory(records: &mut MemoryTable, def: &TableDef, change: RecordChange<'_>) -> Option<Row> {
    match change {
        RecordChange::Put { key, row } => records.insert(key, row),
        RecordChange::Delete { key } => records.remove(key),
        RecordChange::Clear => {
            *records = new_memory(def);
            None
        }
    }
}
