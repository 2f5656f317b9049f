//! Messages of the bulk lane. Wire format: add, never change or reuse a variant.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::TableId;
use tabularaft_store::{LogIndex, TableDigest, View};

use crate::raft::{SnapshotAnswer, SnapshotOffer};

/// A request on the bulk lane.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum BulkCall {
    /// Holds a view that has applied at least this index, to be copied from.
    Open { group: u32, at_least: LogIndex },
    /// The next records of a table.
    Chunk { token: u64, table: TableId, cursor: Option<Bytes>, bytes_max: u32 },
    /// The digest of a table in the held view.
    Digest { token: u64, table: TableId },
    /// Lets go of the view.
    Close { token: u64 },
    /// From the leader: this follower is too far behind for the log.
    Snapshot { group: u32, offer: Box<SnapshotOffer> },
}

/// The answer to a [`BulkCall`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum BulkAnswer {
    Opened {
        token: u64,
        at: LogIndex,
        image: Bytes,
        tables: Vec<OfferedTable>,
    },
    /// `chunk` checks itself; `next` is where to go on, or `None` after the last one.
    Chunk {
        chunk: Bytes,
        next: Option<Bytes>,
    },
    Digest(TableDigest),
    Closed,
    Snapshot(Box<SnapshotAnswer>),
    /// There is no such view (any more): open another.
    UnknownView,
    Failed(String),
}

/// A table that the source holds, loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OfferedTable {
    pub(crate) id: TableId,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

impl OfferedTable {
    /// What a view offers: every loaded copy, except of tables whose content is private to the node.
    pub(crate) fn of(view: &View) -> Vec<Self> {
        let ready = view.tables().filter(|copy| copy.is_ready() && !copy.def().options.local_content);
        ready.map(|copy| Self { id: copy.id(), records: copy.len(), bytes: copy.bytes() }).collect()
    }
}
