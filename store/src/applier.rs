//! The writer: applies the log's entries, in order and without deciding anything.

use std::sync::{Arc, MutexGuard};

use bytes::Bytes;
use tabularaft_schema::TableId;

use crate::batch::Batch;
use crate::copy::LoadedTable;
use crate::effect::Effect;
use crate::error::StoreError;
use crate::indexes;
use crate::record_of::in_present_form;
use crate::request::Decided;
use crate::shared::Shared;
use crate::state::State;
use crate::table_state::RecordChange;
use crate::{LogIndex, MemberChange, Position};

/// The exclusive handle on the state. What it changes is staged: readers see none of it until
/// [`publish`](Self::publish), which may come with this handle or a later one.
pub struct Applier<'a> {
    shared: &'a Arc<Shared>,
    state: MutexGuard<'a, State>,
}

/// What applying an entry came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    /// Its effects are in the state.
    Accepted {
        /// The requests that it decided.
        decided: Vec<Decided>,
    },
    /// It was decided in another term than the one in which it was logged, so nothing of it happened.
    Fenced {
        /// The term in which it was decided.
        decided_in: u64,
        /// The term that the log gave it.
        log_term: u64,
    },
    /// It was decided on entries before it that were refused, so nothing of it happened.
    Unfounded {
        /// The last version of the state on which it was decided.
        rests_on: u64,
        /// The last version of the state that there is.
        last_version: u64,
    },
    /// It was in the state already.
    Skipped,
}

impl<'a> Applier<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>) -> Self {
        Self { shared, state: shared.lock() }
    }

    /// Applies an entry that carries a batch.
    ///
    /// # Errors
    /// The store is poisoned, the log has a gap, or the payload is no batch that this build reads; then nothing of it
    /// was applied. Any other error poisons the store.
    pub fn apply(&mut self, position: Position, payload: &Bytes) -> Result<Applied, StoreError> {
        if !self.is_next(position)? {
            return Ok(Applied::Skipped);
        }
        let batch = Batch::decode(payload).map_err(|source| StoreError::Batch { position, source })?;
        let Batch { term, decided, effects, rests_on } = batch;
        self.state.advance(position, payload.len());
        if term != position.term {
            return Ok(Applied::Fenced { decided_in: term, log_term: position.term });
        }
        let last_version = self.state.cluster.last_version;
        if let Some(rests_on) = rests_on.filter(|version| *version != last_version) {
            return Ok(Applied::Unfounded { rests_on, last_version });
        }
        for decided in &decided {
            self.state.cluster.windows.record(decided, position.log_index());
        }
        let applied = self.apply_effects(position, effects);
        self.shared.fatal(applied)?;
        self.state.recorder.end_entry(position.index, payload.len());
        Ok(Applied::Accepted { decided })
    }

    /// Applies an entry that changes the membership of the Raft group; the bytes are the caller's.
    ///
    /// # Errors
    /// The store is poisoned, or the log has a gap.
    pub fn apply_membership(&mut self, position: Position, membership: Bytes) -> Result<Applied, StoreError> {
        if !self.is_next(position)? {
            return Ok(Applied::Skipped);
        }
        self.state.advance(position, membership.len());
        self.state.cluster.membership = Some(membership);
        self.state.recorder.end_entry(position.index, 0);
        Ok(Applied::Accepted { decided: Vec::new() })
    }

    /// Applies an entry without content.
    ///
    /// # Errors
    /// As [`apply_membership`](Self::apply_membership).
    pub fn apply_blank(&mut self, position: Position) -> Result<Applied, StoreError> {
        if !self.is_next(position)? {
            return Ok(Applied::Skipped);
        }
        self.state.advance(position, 0);
        self.state.recorder.end_entry(position.index, 0);
        Ok(Applied::Accepted { decided: Vec::new() })
    }

    /// Makes everything staged visible, at once and as a whole.
    pub fn publish(&mut self) {
        if self.shared.check().is_ok() {
            self.state.publish(self.shared);
        }
    }

    /// The position of the last applied entry, published or not.
    pub fn applied(&self) -> Option<Position> {
        self.state.cluster.applied
    }

    /// Whether so much waits for the next checkpoint that applying should wait too.
    pub fn overloaded(&self) -> bool {
        self.shared.control.is_overloaded()
    }

    /// Makes a copied table appear as of log index `at`, and applies what this node has applied since. A table that is
    /// newer than this node's applied index can be read once the node has caught up.
    ///
    /// # Errors
    /// The table is not being loaded, or the copy is too old for what has been kept of the log: copy it again.
    pub fn install_table(&mut self, loaded: LoadedTable, at: LogIndex) -> Result<(), StoreError> {
        self.shared.check()?;
        let id = loaded.table();
        let durable = self.state.file.is_some();
        let table = self.state.tables.get_mut(&id).ok_or(StoreError::NotHeld { table: id })?;
        let installed = table.install(loaded, at, durable);
        let installed = match installed {
            Err(error @ (StoreError::NotLoading { .. } | StoreError::CopyTooOld { .. })) => {
                return Err(error);
            }
            installed => self.shared.fatal(installed)?,
        };
        self.state.unsaved.changed_bytes += installed;
        self.state.record_loaded(id);
        self.state.note_installed(id);
        self.state.follow_copied_mode(id, self.shared)?;
        let indexing = indexes::start_wanted(self.shared, &mut self.state);
        self.shared.fatal(indexing)?;
        self.state.wake_checkpoint_after_publish = true;
        Ok(())
    }

    /// Changes records of tables whose content is this node's own. All effects are applied or none.
    ///
    /// # Errors
    /// An effect is no change of a record, or its table is not a local one of this node; then nothing was applied. An
    /// error of the disc poisons the store.
    ///
    /// # Durability
    /// What is on disc of these tables is durable when this returns.
    pub fn apply_local(&mut self, effects: &[Effect]) -> Result<(), StoreError> {
        self.shared.check()?;
        for effect in effects {
            self.check_local(effect)?;
        }
        let state = &mut *self.state;
        let applied = state.local.apply(&mut state.tables, effects);
        self.shared.fatal(applied)?;
        for table in effects.iter().filter_map(Effect::table) {
            self.state.note_changed(table);
        }
        Ok(())
    }

    /// A version for a local change, greater than every one before it on this node.
    pub fn next_local_version(&mut self) -> u64 {
        self.state.local.next_version()
    }

    fn check_local(&self, effect: &Effect) -> Result<(), StoreError> {
        let id = effect.table().ok_or(StoreError::NotARecordChange)?;
        let table = self.state.tables.get(&id).ok_or(StoreError::NotHeld { table: id })?;
        match table.def.options.local_content {
            true => Ok(()),
            false => Err(StoreError::NotLocal { table: table.def.name.clone() }),
        }
    }

    fn is_next(&self, position: Position) -> Result<bool, StoreError> {
        self.shared.check()?;
        match self.state.cluster.applied {
            Some(applied) if position.index <= applied.index => Ok(false),
            Some(applied) if position.index > applied.index + 1 => {
                Err(StoreError::Gap { expected: applied.index + 1, found: position.index })
            }
            _ => Ok(true),
        }
    }

    fn apply_effects(&mut self, position: Position, effects: Vec<Effect>) -> Result<(), StoreError> {
        let mut barrier = None;
        for effect in effects {
            let last_version = self.state.cluster.last_version;
            let version = effect.version().unwrap_or(last_version);
            // Only what puts a record into another form uses a version again.
            let rewrites = version <= last_version;
            self.state.cluster.last_version = last_version.max(version);
            match &effect {
                Effect::Put { table, .. } | Effect::Delete { table, .. } | Effect::Clear { table, .. } => {
                    self.state.apply_record(position.index, *table, effect, rewrites)?;
                }
                Effect::Schema(change) => {
                    self.state.apply_schema(change, position.log_index(), self.shared)?
                }
                Effect::Member(change) => self.state.apply_member(change, position.log_index()),
                Effect::Barrier { token } => barrier = Some(*token),
                Effect::Clock { unix_ms, forget_ms } => {
                    let cluster = &mut self.state.cluster;
                    cluster.clock.mark(cluster.last_version, *unix_ms, *forget_ms);
                }
            }
        }
        if let Some(token) = barrier {
            self.state.take_barrier(token);
        }
        Ok(())
    }
}

impl State {
    /// Effects on tables that this node does not hold, or whose content is not the log's, are not its business.
    /// `rewrites`: the record stays what it is, in another form, which is no change for those who follow the table.
    fn apply_record(
        &mut self,
        index: u64,
        id: TableId,
        effect: Effect,
        rewrites: bool,
    ) -> Result<(), StoreError> {
        let Some(table) = self.tables.get_mut(&id).filter(|table| !table.def.options.local_content) else {
            return Ok(());
        };
        let Some(change) = RecordChange::of(&effect, table.def.shape.version) else { return Ok(()) };
        let clears = matches!(change, RecordChange::Clear);
        let replayed = self.replayed_upto.is_some_and(|upto| index <= upto.0);
        if clears && replayed && table.ended_with_its_life() {
            table.load_again(LogIndex(index), self.load_buffer_bytes);
            self.note_changed(id);
            return Ok(());
        }
        self.reap_view |= clears;
        if let Some(changed) = table.change(index, &effect, change, self.file.as_ref())? {
            self.unsaved.changed_bytes += changed.unsaved_bytes;
            if changed.began_empty {
                self.recorder.began_empty(id, index);
            }
            if self.recorder.is_on() && !rewrites {
                let (effect, old) =
                    in_present_form(&table.def, table.upgrade.as_deref(), effect, changed.old);
                self.recorder.record(&table.def, effect, old);
            }
        }
        self.note_changed(id);
        Ok(())
    }

    /// A copy has arrived: from the entry at which it is taken on, or the next one, its changes are in the history.
    fn record_loaded(&mut self, id: TableId) {
        let next = self.cluster.next_index();
        if let Some(table) = self.tables.get(&id) {
            self.recorder.copy_loaded(id, &table.def, next.max(table.from));
        }
    }

    fn apply_member(&mut self, change: &MemberChange, at: LogIndex) {
        let before = Arc::clone(&self.cluster.system);
        match self.cluster.system.apply(change, at) {
            Ok(next) => {
                self.cluster.system = Arc::new(next);
                self.recorder.member(change, &self.cluster.system);
            }
            Err(error) => {
                tracing::warn!(%error, index = at.0, "a change of members in the log does not apply");
                return;
            }
        }
        match change {
            MemberChange::Started { node, life, .. } => self.cluster.windows.life_started(*node, *life),
            MemberChange::Remove { node } => self.cluster.windows.node_removed(*node),
            MemberChange::Recover { node, .. } => {
                let others = before.members.keys().filter(|id| *id != node);
                others.for_each(|id| self.cluster.windows.node_removed(*id));
            }
            MemberChange::Found { .. } | MemberChange::Admit { .. } => {}
        }
    }
}
