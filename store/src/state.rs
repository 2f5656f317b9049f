//! The state that the writer changes, and how it becomes a view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tabularaft_schema::{NodeName, TableId};

use crate::checkpoint::{CheckpointJob, Checkpointed, TablesFile};
use crate::cluster_state::ClusterState;
use crate::history::Recorder;
use crate::local::LocalTables;
use crate::reaper::Garbage;
use crate::shared::Shared;
use crate::table_state::TableState;
use crate::view::{TableViews, View};
use crate::{LogIndex, Position};

/// Everything behind the writer's lock.
pub(crate) struct State {
    /// The name under which the schema knows this node.
    pub(crate) node: NodeName,
    pub(crate) cluster: ClusterState,
    pub(crate) tables: BTreeMap<TableId, TableState>,
    pub(crate) local: LocalTables,
    pub(crate) file: Option<Arc<TablesFile>>,
    pub(crate) load_buffer_bytes: usize,
    /// Entries up to here come from earlier lives of this node.
    pub(crate) replayed_upto: Option<LogIndex>,
    /// Set by the checkpoint thread when it found changes that were not published yet.
    pub(crate) wake_checkpoint_after_publish: bool,
    pub(crate) unsaved: Unsaved,
    /// What the next view will have over the published one.
    pub(crate) recorder: Recorder,
    pub(crate) epoch: u64,
    /// Freed by the reaper after the next view has been published, which may be the last to hold it.
    pub(crate) garbage: Vec<Garbage>,
    /// The view that is published now may be the last to hold the records of a table that was cleared.
    pub(crate) reap_view: bool,
    /// Whether a thread builds indexes until none is wanted.
    pub(crate) indexing: bool,
    next_ticket: u64,
    /// Whether anything has changed that readers do not see yet.
    staged: bool,
    /// The views of all tables but the changed ones.
    views: TableViews,
    changed: BTreeSet<TableId>,
    /// Tables whose records are newer than the rest; readable once the rest has caught up.
    ahead: BTreeSet<TableId>,
    /// Taken at barriers that are not published yet.
    barriers: Vec<(u64, Arc<View>)>,
}

/// What the next checkpoint has to write.
#[derive(Default)]
pub(crate) struct Unsaved {
    /// Anything at all, if only the position.
    pub(crate) anything: bool,
    /// Keys and values of changed records.
    pub(crate) changed_bytes: usize,
    /// Payloads of log entries, whatever they changed.
    pub(crate) log_bytes: usize,
}

impl State {
    pub(crate) fn new(
        node: NodeName,
        cluster: ClusterState,
        file: Option<Arc<TablesFile>>,
        local: LocalTables,
        load_buffer_bytes: usize,
    ) -> Self {
        Self {
            node,
            cluster,
            tables: BTreeMap::new(),
            local,
            file,
            load_buffer_bytes,
            replayed_upto: None,
            wake_checkpoint_after_publish: false,
            unsaved: Unsaved::default(),
            recorder: Recorder::default(),
            epoch: 0,
            garbage: Vec::new(),
            reap_view: false,
            indexing: false,
            next_ticket: 0,
            staged: true,
            views: TableViews::default(),
            changed: BTreeSet::new(),
            ahead: BTreeSet::new(),
            barriers: Vec::new(),
        }
    }

    pub(crate) fn is_staged(&self) -> bool {
        self.staged
    }

    pub(crate) fn applied_index(&self) -> LogIndex {
        self.cluster.applied_index()
    }

    pub(crate) fn next_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// The entry at `position` is in the state now.
    pub(crate) fn advance(&mut self, position: Position, payload_bytes: usize) {
        self.staged = true;
        self.cluster.applied = Some(position);
        self.unsaved.anything = true;
        self.unsaved.log_bytes += payload_bytes;
    }

    /// A table has changed in a way that its next view has to show.
    pub(crate) fn note_changed(&mut self, table: TableId) {
        self.staged = true;
        self.changed.insert(table);
    }

    /// A table has got records that may be newer than the rest.
    pub(crate) fn note_installed(&mut self, table: TableId) {
        self.note_changed(table);
        self.ahead.insert(table);
        self.unsaved.anything = true;
    }

    pub(crate) fn insert_table(&mut self, mut table: TableState) {
        let id = table.id;
        if let Some(known) = self.cluster.schema.table_by_id(id) {
            table.follow_definition(known);
        }
        if let Some(replaced) = self.tables.insert(id, table) {
            self.garbage.push(Garbage::Table(Box::new(replaced)));
        }
        self.note_installed(id);
    }

    pub(crate) fn remove_table(&mut self, id: TableId) {
        if let Some(table) = self.tables.remove(&id) {
            self.garbage.push(Garbage::Table(Box::new(table)));
            self.note_installed(id);
        }
    }

    /// Replaces all tables but the local ones.
    pub(crate) fn clear_tables(&mut self) {
        let replicated = |table: &&TableState| !table.def.options.local_content;
        let ids: Vec<TableId> = self.tables.values().filter(replicated).map(|table| table.id).collect();
        ids.into_iter().for_each(|id| self.remove_table(id));
    }

    /// The present state for readers.
    fn view(&mut self) -> Arc<View> {
        let applied = self.applied_index();
        for id in std::mem::take(&mut self.ahead) {
            let Some(table) = self.tables.get_mut(&id) else { continue };
            table.view = None;
            self.changed.insert(id);
            if table.is_ahead(applied) {
                self.ahead.insert(id);
            }
        }
        for id in std::mem::take(&mut self.changed) {
            match self.tables.get_mut(&id) {
                Some(table) => self.views.insert(table.view(applied)),
                None => self.views.remove(id),
            }
        }
        Arc::new(View { cluster: self.cluster.clone(), tables: self.views.clone() })
    }

    /// Keeps the present state under the barrier's token.
    pub(crate) fn take_barrier(&mut self, token: u64) {
        let view = self.view();
        self.barriers.push((token, view));
    }

    /// Makes the present state visible to readers, at once and as a whole.
    pub(crate) fn publish(&mut self, shared: &Shared) {
        let view = self.view();
        let before = shared.view.swap(view);
        // After the view, so that who hears of a change finds it in the view.
        shared.history.append(self.recorder.take_staged(), self.cluster.next_index());
        shared.barriers.extend(self.barriers.drain(..));
        if std::mem::take(&mut self.reap_view) || !self.garbage.is_empty() {
            self.garbage.drain(..).for_each(|garbage| shared.reaper.take(garbage));
            shared.reaper.take(Garbage::View(before));
        }
        self.staged = false;
        self.signal_checkpoint(shared);
    }

    fn signal_checkpoint(&mut self, shared: &Shared) {
        let limit = shared.options.checkpoint_bytes;
        shared
            .control
            .set_overloaded(self.file.is_some() && self.unsaved.changed_bytes > limit.saturating_mul(4));
        let due = self.unsaved.changed_bytes >= limit || self.unsaved.log_bytes >= limit;
        if due || std::mem::take(&mut self.wake_checkpoint_after_publish) {
            shared.control.signal();
        }
    }

    /// Hands over what has changed since the last checkpoint; `None` if nothing has. Costs a little per table and
    /// nothing per record.
    pub(crate) fn freeze(&mut self, file: &Arc<TablesFile>) -> Option<CheckpointJob> {
        if !std::mem::take(&mut self.unsaved).anything {
            return None;
        }
        let tables = self.tables.values_mut().filter_map(|table| table.freeze(file)).collect();
        Some(CheckpointJob { epoch: self.epoch, cluster: self.cluster.clone(), tables })
    }

    /// Takes over what is on disc now. False if it is about a state that has been replaced since.
    pub(crate) fn checkpointed(&mut self, checkpointed: Checkpointed) -> bool {
        if checkpointed.epoch != self.epoch {
            return false;
        }
        for (id, (generation, disc)) in checkpointed.tables {
            let Some(table) = self.tables.get_mut(&id) else { continue };
            if let Some(before) = table.checkpointed(generation, disc) {
                self.garbage.push(Garbage::Body(Box::new(before)));
            }
            if table.view.is_none() {
                self.changed.insert(id);
            }
        }
        true
    }
}
