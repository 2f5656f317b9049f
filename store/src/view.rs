//! A view: all tables and what belongs to them at one log index.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::{Schema, TableId, TableName};

use crate::cluster_state::ClusterState;
use crate::system::SystemState;
use crate::table_view::TableView;
use crate::version_clock::ClockMark;
use crate::{LogIndex, Position, RequestId, Seen, image};

/// An immutable, consistent state of all tables that this node holds. Taking and holding one costs next to nothing;
/// while it is held, what the writer overwrites in memory and on disc is kept.
#[derive(Debug, Default)]
pub struct View {
    pub(crate) cluster: ClusterState,
    pub(crate) tables: TableViews,
}

impl View {
    /// The last entry that the view includes; `None` before the first.
    pub fn applied(&self) -> Option<Position> {
        self.cluster.applied
    }

    /// The log index of the last entry that the view includes; 0 before the first.
    pub fn applied_index(&self) -> LogIndex {
        self.cluster.applied_index()
    }

    /// All table definitions.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.cluster.schema
    }

    /// The cluster and its members.
    pub fn system(&self) -> &Arc<SystemState> {
        &self.cluster.system
    }

    /// The last Raft membership, as it was given to [`Applier::apply_membership`](crate::Applier::apply_membership).
    pub fn membership(&self) -> Option<&Bytes> {
        self.cluster.membership.as_ref()
    }

    /// The greatest version that any record has had. The next one is greater.
    pub fn last_version(&self) -> u64 {
        self.cluster.last_version
    }

    /// The last time that the leader has logged, and up to which version it covers; `None` if there is none, since no
    /// table has a time to live.
    pub fn last_clock_mark(&self) -> Option<ClockMark> {
        self.cluster.clock.last()
    }

    /// The greatest version that is certain to have been written at or before a time in milliseconds since 1970.
    pub fn written_by(&self, unix_ms: u64) -> Option<u64> {
        self.cluster.clock.written_by(unix_ms)
    }

    /// What became of a request, as far as the exactly-once window reaches.
    pub fn outcome(&self, request: &RequestId) -> Seen {
        self.cluster.windows.outcome(request)
    }

    /// The copy of a table; `None` if this node holds none.
    pub fn table(&self, id: TableId) -> Option<&Arc<TableView>> {
        self.tables.get(id)
    }

    /// The copy of a table by its name.
    pub fn table_named(&self, name: &TableName) -> Option<&Arc<TableView>> {
        self.table(self.cluster.schema.table(name)?.id)
    }

    /// The copies that this node holds, by table id.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<TableView>> {
        self.tables.iter()
    }

    /// Everything but the records, to be installed on another node together with copies of the tables of this view.
    pub fn image(&self) -> Bytes {
        image::encode(&self.cluster)
    }
}

const TABLES_PER_CHUNK: u64 = 32;

/// Table views by id, in chunks, so that publishing one changed table among thousands copies little.
#[derive(Debug, Clone, Default)]
pub(crate) struct TableViews {
    chunks: BTreeMap<u64, Arc<BTreeMap<TableId, Arc<TableView>>>>,
}

impl TableViews {
    fn get(&self, id: TableId) -> Option<&Arc<TableView>> {
        self.chunks.get(&(id.0 / TABLES_PER_CHUNK))?.get(&id)
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<TableView>> {
        self.chunks.values().flat_map(|chunk| chunk.values())
    }

    pub(crate) fn insert(&mut self, table: Arc<TableView>) {
        let chunk = self.chunks.entry(table.id.0 / TABLES_PER_CHUNK).or_default();
        Arc::make_mut(chunk).insert(table.id, table);
    }

    pub(crate) fn remove(&mut self, id: TableId) {
        if let Some(chunk) = self.chunks.get_mut(&(id.0 / TABLES_PER_CHUNK)) {
            Arc::make_mut(chunk).remove(&id);
        }
    }
}
