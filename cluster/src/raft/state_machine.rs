//! openraft's state machine, on the store's single writer.
//!
//! A run of entries is applied under the writer's lock and published as one view; the lock is never held across an
//! await. Nothing is written to disc here: the log is the durable thing, the checkpoint follows by itself.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot, SnapshotMeta};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use tabularaft_store::{Batch, Staging, Store, StoreError, View};

use super::codec;
use super::types::{Applied, Entry, LogId, StoredMembership, TypeConfig, log_id, position};
use crate::door::simulation::{self, Bug};
use crate::watch;

/// How many entries are applied before the view is published and other tasks may run.
const RUN_ENTRIES_MAX: usize = 256;

pub(crate) type SnapshotOf = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;
type SnapshotMetaOf = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

/// A snapshot is never a file: on the sender it is a held view, on the receiver what was copied out of one.
pub(crate) enum SnapshotData {
    Held(Arc<View>),
    Received(Box<Staging>),
}

/// The adapter that feeds committed entries to the store.
pub(crate) struct StateMachine {
    store: Arc<Store>,
    applied: watch::Sender<u64>,
}

impl StateMachine {
    pub(crate) fn new(store: Arc<Store>, applied: watch::Sender<u64>) -> Self {
        Self { store, applied }
    }

    /// Waits while the checkpoint is too far behind: this is where a slow disc reaches the writers of disc tables.
    async fn wait_for_checkpoint(&self) {
        while self.store.overloaded() {
            crate::door::sleep(crate::door::ms(2)).await;
        }
    }

    fn apply_run(
        &self,
        run: Vec<EntryResponder<TypeConfig>>,
    ) -> io::Result<Vec<(ApplyResponder<TypeConfig>, Applied)>> {
        let mut answers = Vec::with_capacity(run.len());
        let mut writer = self.store.writer();
        let mut last = None;
        for (entry, responder) in run {
            last = Some(entry.log_id.index);
            let applied = apply_entry(&mut writer, entry).map_err(io::Error::other)?;
            answers.extend(responder.map(|responder| (responder, applied)));
        }
        writer.publish();
        drop(writer);
        if let Some(index) = last {
            self.applied.send_replace(index);
        }
        Ok(answers)
    }
}

pub(super) fn apply_entry(
    writer: &mut tabularaft_store::Applier,
    entry: Entry,
) -> Result<Applied, StoreError> {
    let at = position(&entry.log_id);
    match entry.payload {
        EntryPayload::Normal(payload) => {
            let payload = match simulation::has(Bug::FenceOff) {
                true => decided_in(at.term, payload.0),
                false => payload.0,
            };
            Ok(match writer.apply(at, &payload)? {
                tabularaft_store::Applied::Fenced { .. } => {
                    simulation::count("entry dropped by the term fence");
                    Applied::Fenced
                }
                tabularaft_store::Applied::Unfounded { .. } => {
                    simulation::count("entry dropped for one before it that was refused");
                    Applied::Fenced
                }
                _ => Applied::Accepted,
            })
        }
        EntryPayload::Blank => writer.apply_blank(at).map(|_| Applied::Accepted),
        EntryPayload::Membership(membership) => {
            let stored = StoredMembership::new(Some(entry.log_id), membership);
            let bytes = codec::encode(&stored).map_err(StoreError::from_io)?;
            writer.apply_membership(at, bytes.into()).map(|_| Applied::Accepted)
        }
    }
}

/// The batch as if it had been decided in this term.
fn decided_in(term: u64, payload: Bytes) -> Bytes {
    Batch::decode(&payload).map_or(payload, |batch| Batch { term, rests_on: None, ..batch }.encode(true))
}

/// The membership as of a view, and the log id it is applied up to.
pub(crate) fn applied_state(view: &View) -> io::Result<(Option<LogId>, StoredMembership)> {
    let membership = match view.membership() {
        Some(bytes) => codec::decode(bytes)?,
        None => StoredMembership::default(),
    };
    Ok((view.applied().map(log_id), membership))
}

fn held_snapshot(view: Arc<View>) -> io::Result<SnapshotOf> {
    let (last_log_id, last_membership) = applied_state(&view)?;
    Ok(Snapshot { meta: SnapshotMeta { last_log_id, last_membership }, snapshot: SnapshotData::Held(view) })
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = ViewBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        applied_state(&self.store.view())
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let mut runs = entries.ready_chunks(RUN_ENTRIES_MAX);
        while let Some(run) = runs.next().await {
            self.wait_for_checkpoint().await;
            let run = run.into_iter().collect::<io::Result<Vec<_>>>()?;
            for (responder, applied) in self.apply_run(run)? {
                responder.send(applied);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        ViewBuilder { view: self.store.view() }
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMetaOf,
        snapshot: SnapshotData,
    ) -> Result<(), io::Error> {
        let SnapshotData::Received(staging) = snapshot else {
            // openraft hands back what `get_current_snapshot` gave it: that state is this store's own already.
            return Ok(());
        };
        simulation::count("snapshot taken on");
        let store = Arc::clone(&self.store);
        crate::door::blocking(move || store.install(*staging))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        if let Some(applied) = self.store.view().applied() {
            self.applied.send_replace(applied.index);
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf>, io::Error> {
        let view = self.store.view();
        if view.applied().is_none() {
            return Ok(None);
        }
        held_snapshot(view).map(Some)
    }
}

/// Builds a snapshot by holding a view, which costs nothing until records in it are overwritten.
pub(crate) struct ViewBuilder {
    view: Arc<View>,
}

impl RaftSnapshotBuilder<TypeConfig> for ViewBuilder {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf, io::Error> {
        held_snapshot(Arc::clone(&self.view))
    }
}
