//! Writes to tables with local content: decided and applied on this node, past the log.

use tabularaft_store::{Incarnation, LogIndex, Store, StoreError, View};

use super::decide::Decider;
use super::overlay::Overlay;
use super::proposer::Committed;
use super::recent::Recent;
use super::request::Request;
use crate::error::WriteError;

/// Whether all that the request changes is private to this node.
pub(crate) fn is_local(view: &View, request: &Request) -> bool {
    let local = |table| view.table(table).is_some_and(|copy| copy.def().options.local_content);
    !request.ops.is_empty() && request.ops.iter().all(|op| op.table().is_some_and(local))
}

/// Decides and applies under the writer's lock, so that nothing comes between. Blocks: a disc copy is synced.
pub(crate) fn write_local(
    store: &Store,
    owner: Incarnation,
    record_bytes_max: u64,
    request: &Request,
) -> Result<Committed, WriteError> {
    let mut writer = store.writer();
    let view = store.view();
    let mut next_version = writer.next_local_version();
    let mut effects = Vec::new();
    let mut decider = Decider {
        view: &view,
        overlay: &mut Overlay::default(),
        recent: &mut Recent::since(view.last_version()),
        entry: 0,
        next_version: &mut next_version,
        record_bytes_max,
        local: true,
        checks_reads: true,
    };
    let results = decider.decide(owner, request, &mut effects)?;
    writer.apply_local(&effects).map_err(|error: StoreError| WriteError::Store(error.to_string()))?;
    writer.publish();
    Ok(Committed { index: LogIndex(view.applied_index().0), results })
}
