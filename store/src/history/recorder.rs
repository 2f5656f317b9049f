//! What the writer notes while it applies.

use std::collections::BTreeMap;
use std::sync::Arc;

use tabularaft_schema::{Schema, TableDef, TableId};

use super::change::{Change, HistoryEntry, NewRow, TableEvent};
use crate::effect::Effect;
use crate::{LogIndex, MemberChange, Row, SystemState};

/// Gathers the changes of the entries that are applied but not published yet.
#[derive(Default)]
pub(crate) struct Recorder {
    on: bool,
    /// Changes of the entry that is being applied.
    entry: Vec<Change>,
    staged: Staged,
    /// Copies that were completed, with the first log index whose changes are recorded; to be told with the next entry
    /// from there on.
    loaded: BTreeMap<TableId, (u64, Arc<TableDef>)>,
}

/// What is appended to the history when the next view is published.
#[derive(Default)]
pub(crate) struct Staged {
    /// Entries with changes, each with the bytes that it keeps in memory.
    pub(super) entries: Vec<(HistoryEntry, usize)>,
    /// Tables whose changes are recorded from this log index on, and not before.
    pub(super) begins: Vec<(TableId, u64)>,
}

impl Recorder {
    pub(crate) fn new(on: bool) -> Self {
        Self { on, ..Self::default() }
    }

    /// Whether anything is recorded at all.
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// A record has changed, or all records of a table.
    pub(crate) fn record(&mut self, def: &Arc<TableDef>, effect: Effect, old: Option<Row>) {
        let def = Arc::clone(def);
        let change = match effect {
            Effect::Put { table, key, value, version, owner } => {
                Change::Put { table, def, key, old, new: NewRow { value, version, owner } }
            }
            Effect::Delete { table, key, .. } => match old {
                Some(old) => Change::Delete { table, def, key, old },
                None => return,
            },
            Effect::Clear { table, .. } => Change::Clear { table, def },
            Effect::Schema(_) | Effect::Member(_) | Effect::Barrier { .. } | Effect::Clock { .. } => return,
        };
        self.entry.push(change);
    }

    /// The members have changed to those of `after`.
    pub(crate) fn member(&mut self, change: &MemberChange, after: &SystemState) {
        if !self.on {
            return;
        }
        let name = match change {
            // Offline, before anybody follows anything.
            MemberChange::Found { .. } | MemberChange::Recover { .. } => None,
            MemberChange::Admit { name, .. } => Some(name.clone()),
            MemberChange::Started { node, .. } => after.members.get(node).map(|member| member.name.clone()),
            MemberChange::Remove { node } => after.removed.get(node).map(|removed| removed.name.clone()),
        };
        self.entry.push(Change::Member { change: change.clone(), name });
    }

    /// The schema has changed. `held_before` are the tables that this node held.
    pub(crate) fn schema(
        &mut self,
        before: &Schema,
        after: &Schema,
        held_before: &[TableId],
        is_held: impl Fn(TableId) -> bool,
    ) {
        if !self.on {
            return;
        }
        for table in before.tables() {
            let given_up = || held_before.contains(&table.id) && !is_held(table.id);
            match after.table_by_id(table.id) {
                None => self.table(table.id, &table.def, TableEvent::Dropped),
                Some(now) if given_up() => self.table(table.id, &now.def, TableEvent::CopyGivenUp),
                Some(now) if now.def != table.def => self.table(table.id, &now.def, TableEvent::Altered),
                Some(_) => {}
            }
        }
        for table in after.tables().filter(|table| before.table_by_id(table.id).is_none()) {
            self.table(table.id, &table.def, TableEvent::Created);
        }
        self.loaded.retain(|table, _| is_held(*table));
    }

    fn table(&mut self, table: TableId, def: &Arc<TableDef>, event: TableEvent) {
        self.entry.push(Change::Table { table, def: Arc::clone(def), event });
    }

    /// The records of a table have arrived: what entries from `next` on change in it is recorded.
    pub(crate) fn copy_loaded(&mut self, table: TableId, def: &Arc<TableDef>, next: u64) {
        if self.on {
            self.staged.begins.push((table, next));
            self.loaded.insert(table, (next, Arc::clone(def)));
        }
    }

    /// The table has become empty with the entry at `index`, whatever it was before.
    pub(crate) fn began_empty(&mut self, table: TableId, index: u64) {
        if self.on {
            self.staged.begins.push((table, index + 1));
        }
    }

    /// The entry at `index` is applied; its payload stays in memory with its changes.
    pub(crate) fn end_entry(&mut self, index: u64, payload_bytes: usize) {
        let loaded: Vec<TableId> =
            self.loaded.iter().filter(|(_, (next, _))| *next <= index).map(|(table, _)| *table).collect();
        let told = loaded.into_iter().filter_map(|table| {
            let (_, def) = self.loaded.remove(&table)?;
            Some(Change::Table { table, def, event: TableEvent::CopyLoaded })
        });
        let told: Vec<Change> = told.collect();
        self.entry.splice(..0, told);
        if self.entry.is_empty() {
            return;
        }
        let changes = std::mem::take(&mut self.entry);
        let bytes = payload_bytes + changes.iter().map(Change::bytes).sum::<usize>();
        self.staged.entries.push((HistoryEntry { index: LogIndex(index), changes }, bytes));
    }

    pub(crate) fn take_staged(&mut self) -> Staged {
        std::mem::take(&mut self.staged)
    }

    /// The state was replaced as a whole.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.on);
    }
}
