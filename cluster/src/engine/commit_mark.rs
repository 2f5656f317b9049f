//! Writes down how far the log is committed when no entry does so soon.
//!
//! The position rides with entries. The last entries before a silence would have nothing to ride with, and a node that
//! is then killed and started alone could not tell that they are committed: its local reads would lack them.

use tabularaft_store::log::RaftLog;

use crate::door;

const LOOK_EVERY_MS: u64 = 20;

pub(super) async fn run(log: RaftLog) {
    let mut written = log.committed();
    loop {
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
        let committed = log.committed();
        if committed == written {
            continue;
        }
        if let Err(error) = log.append(Vec::new(), Box::new(|_| {})) {
            tracing::debug!(%error, "the committed position was not written");
        }
        written = committed;
    }
}
