//! The secondary indexes of one table, as the writer has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use tabularaft_schema::{IndexDef, IndexKeys, IndexValues, RecordShape, Table, TableDef, Upgrade};

use super::entries::{values_of, write_entry};
use super::secondary_index::{BuildProgress, Building, Content, SecondaryIndex};
use super::view::IndexView;
use crate::changes::Changes;
use crate::memory::OrderedMap;
use crate::row::RowRef;
use crate::table_state::RecordChange;

/// All indexes of a table, in the order of its definition.
///
/// Invariant: the entries of a ready index are those of the records, after every change.
#[derive(Default)]
pub(crate) struct TableIndexes {
    all: Vec<SecondaryIndex>,
    /// Reused for each change.
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    before: IndexValues,
    after: IndexValues,
    entry: Vec<u8>,
}

/// What a builder begins with.
pub(crate) struct Begun {
    pub(crate) name: String,
    pub(crate) ticket: u64,
    pub(crate) keys: Arc<IndexKeys>,
    pub(crate) progress: Arc<BuildProgress>,
}

impl TableIndexes {
    /// The indexes of a table without records.
    pub(crate) fn empty(def: &TableDef) -> Self {
        let ready = |index| SecondaryIndex::new(def, index, Content::Ready(OrderedMap::new()));
        Self { all: def.indexes.iter().map(ready).collect(), scratch: Scratch::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn views(&self) -> Vec<IndexView> {
        self.all.iter().map(SecondaryIndex::view).collect()
    }

    /// Follows a change of the records. `before` is the row that was under the key.
    pub(crate) fn note(
        &mut self,
        def: &TableDef,
        upgrade: Option<&Upgrade>,
        change: RecordChange<'_>,
        before: Option<RowRef<'_>>,
    ) {
        let (key, after) = match change {
            RecordChange::Put { key, row } => (key, Some(row)),
            RecordChange::Delete { key } => (key, None),
            RecordChange::Clear => return self.all.iter_mut().for_each(SecondaryIndex::clear),
        };
        let Scratch { before: old, after: new, entry } = &mut self.scratch;
        for index in &mut self.all {
            let Some(keys) = index.followed() else { continue };
            gather(def, upgrade, keys, key, before, old);
            gather(def, upgrade, keys, key, after, new);
            if old == new {
                continue;
            }
            for value in old.iter().filter(|value| !new.contains(value)) {
                write_entry(entry, value, key);
                index.remove(entry);
            }
            for value in new.iter().filter(|value| !old.contains(value)) {
                write_entry(entry, value, key);
                index.insert(entry);
            }
        }
    }

    /// All records were replaced without a note: the entries have to be built anew.
    pub(crate) fn want_all(&mut self) {
        self.all.iter_mut().for_each(|index| index.content = Content::Wanted);
    }

    /// No record is left.
    pub(crate) fn clear(&mut self) {
        self.all.iter_mut().for_each(SecondaryIndex::clear);
    }

    /// Whether an index has to be built.
    pub(crate) fn wants_building(&self) -> bool {
        self.all.iter().any(SecondaryIndex::is_wanted)
    }

    /// Whether just the others are active.
    pub(crate) fn agree_with(&self, building: &BTreeSet<String>) -> bool {
        self.all.iter().all(|index| index.active != building.contains(&index.def.name))
    }

    /// Makes the indexes those of a changed definition. Where records read otherwise than before, the entries of an index
    /// count no more unless its values are sure to be the same. Gives back the entries that are no longer needed.
    pub(crate) fn follow(
        &mut self,
        before: &RecordShape,
        table: &Table,
        upgrade: Option<&Upgrade>,
    ) -> Vec<OrderedMap> {
        let def = &table.def;
        let is_same = |index: &IndexDef| {
            let automatic = upgrade.is_some_and(Upgrade::is_automatic);
            *before == def.shape || (automatic && index.on.is_same_in(before, &def.shape))
        };
        let mut known = std::mem::take(&mut self.all);
        for wanted in &def.indexes {
            let kept = known.iter().position(|index| *index.def == *wanted).filter(|_| is_same(wanted));
            let content = kept.map_or(Content::Wanted, |at| known.swap_remove(at).content);
            let mut index = SecondaryIndex::new(def, wanted, content);
            index.active = !table.building.contains(&wanted.name);
            self.all.push(index);
        }
        let entries = |index: SecondaryIndex| match index.content {
            Content::Ready(entries) => Some(entries),
            Content::Building(_) | Content::Wanted => None,
        };
        known.into_iter().filter_map(entries).collect()
    }

    /// Begins to build an index, if one has to be. From now on its changes are kept for the builder, who reads
    /// `records` records.
    pub(crate) fn begin(&mut self, ticket: u64, records: u64) -> Option<Begun> {
        let index = self.all.iter_mut().find(|index| index.is_wanted())?;
        let keys = Arc::clone(index.keys.as_ref().ok()?);
        let progress = Arc::new(BuildProgress::new(records));
        index.content = Content::Building(Building {
            ticket,
            since: Changes::default(),
            progress: Arc::clone(&progress),
        });
        Some(Begun { name: index.def.name.clone(), ticket, keys, progress })
    }

    /// The changes since the building began or this was last called; `None` if it has been given up.
    pub(crate) fn take_changes(&mut self, ticket: u64) -> Option<Changes> {
        self.building(ticket).map(|building| std::mem::take(&mut building.since))
    }

    /// How many changes wait to be taken.
    pub(crate) fn changes(&mut self, ticket: u64) -> Option<usize> {
        self.building(ticket).map(|building| building.since.len())
    }

    /// The index is built. Gives the entries back if the building has been given up.
    pub(crate) fn built(&mut self, ticket: u64, entries: OrderedMap) -> Option<OrderedMap> {
        let is_it = |index: &&mut SecondaryIndex| matches!(&index.content, Content::Building(building) if building.ticket == ticket);
        match self.all.iter_mut().find(is_it) {
            Some(index) => index.content = Content::Ready(entries),
            None => return Some(entries),
        }
        None
    }

    fn building(&mut self, ticket: u64) -> Option<&mut Building> {
        self.all.iter_mut().find_map(|index| match &mut index.content {
            Content::Building(building) if building.ticket == ticket => Some(building),
            _ => None,
        })
    }
}

fn gather(
    def: &TableDef,
    upgrade: Option<&Upgrade>,
    keys: &IndexKeys,
    storage_key: &[u8],
    row: Option<RowRef<'_>>,
    values: &mut IndexValues,
) {
    match row {
        Some(row) => values_of(def, upgrade, keys, storage_key, row, values),
        None => values.clear(),
    }
}
