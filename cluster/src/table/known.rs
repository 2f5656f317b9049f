//! Under which id a handle has found its table.

use std::sync::atomic::{AtomicU64, Ordering};

use tabularaft_schema::TableId;
use tabularaft_store::View;

/// A table's id, which means something in the cluster in which it was found: a node that joins another cluster meets
/// other tables under the same ids.
pub(super) struct Known {
    /// A part of the cluster's id, drawn at random; 0 before there is one.
    cluster: AtomicU64,
    table: AtomicU64,
}

impl Known {
    pub(super) fn new(view: &View, table: TableId) -> Self {
        Self { cluster: AtomicU64::new(mark(view)), table: AtomicU64::new(table.0) }
    }

    /// The id, if the view is of the cluster in which it was found.
    pub(super) fn id_in(&self, view: &View) -> Option<TableId> {
        // The cluster is read first and written last, so that an id never goes with a later cluster than its own.
        let cluster = self.cluster.load(Ordering::Acquire);
        (cluster == mark(view)).then(|| TableId(self.table.load(Ordering::Acquire)))
    }

    pub(super) fn set(&self, view: &View, table: TableId) {
        self.cluster.store(0, Ordering::Release);
        self.table.store(table.0, Ordering::Release);
        self.cluster.store(mark(view), Ordering::Release);
    }
}

fn mark(view: &View) -> u64 {
    view.system().cluster.as_ref().map_or(0, |cluster| cluster.id as u64)
}
