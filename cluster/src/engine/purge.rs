//! Lets the log forget what the checkpoint on disc covers, less what is kept for followers that were away shortly.

use std::sync::Arc;

use tabularaft_store::Store;
use tabularaft_store::log::RaftLog;

use crate::door;
use crate::raft::RaftHandle;

const LOOK_EVERY_MS: u64 = 500;

pub(super) async fn run(raft: RaftHandle, store: Arc<Store>, log: RaftLog, keep_bytes: u64) {
    loop {
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
        let Some(checkpointed) = store.checkpointed() else { continue };
        let Some(upto) = purgeable(&log, checkpointed.index, keep_bytes) else { continue };
        if let Err(error) = raft.purge_behind(upto).await {
            tracing::debug!(%error, "the log was not purged");
        }
    }
}

/// The index up to which the log may go: behind the checkpoint, and so that about `keep_bytes` stay. Entries are taken
/// to be of equal size, since only the amount kept depends on it.
fn purgeable(log: &RaftLog, checkpointed: u64, keep_bytes: u64) -> Option<u64> {
    let bounds = log.bounds();
    let first = bounds.purged.map_or(0, |purged| purged.index + 1);
    let last = bounds.last?.index;
    let (entries, bytes) = (last.saturating_sub(first) + 1, log.size_bytes());
    if bytes <= keep_bytes.saturating_mul(2) {
        return None;
    }
    let keep = entries.saturating_mul(keep_bytes) / bytes.max(1);
    let upto = checkpointed.min(last.saturating_sub(keep));
    (upto > first).then_some(upto)
}
