//! Applying the log without Raft, for a node that may not take part (yet): it serves local reads of what it has, and
//! knows who its peers are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use openraft::EntryPayload;
use tabularaft_schema::NodeId;
use tabularaft_store::Store;
use tabularaft_store::log::RaftLog;

use super::codec;
use super::log_store::to_io;
use super::state_machine::{applied_state, apply_entry};
use super::types::{Peer, position};

/// What is read of the log, and applied, at once.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a node's disc says of its cluster.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    /// The voters of every membership that may be in force, with the addresses of their admission.
    pub(crate) voters: BTreeMap<NodeId, String>,
    /// Those of the newest membership in the log: two sets while they change.
    pub(crate) newest: Vec<BTreeMap<NodeId, String>>,
}

/// Applies what the log is known to have committed. Blocks.
pub(crate) fn replay(store: &Store, log: &RaftLog) -> io::Result<Remembered> {
    let (applied, membership) = applied_state(&store.view())?;
    let mut remembered = Remembered::default();
    remembered.note(membership.membership());
    let applied = applied.as_ref().map(position);
    let (first, last) = (log.bounds().purged.map_or(0, |purged| purged.index + 1), log.bounds().last);
    let mut next = applied.map_or(first, |applied| applied.index + 1);
    let end = last.map_or(0, |last| last.index + 1);
    while next < end {
        let read = log.read(next..end, READ_BYTES_MAX).map_err(to_io)?;
        let Some(read_last) = read.last() else { break };
        next = read_last.position.index + 1;
        let mut writer = store.writer();
        for entry in read {
            let committed = log.committed().is_some_and(|committed| entry.position <= committed);
            let entry = codec::from_log(entry)?;
            if let EntryPayload::Membership(membership) = &entry.payload {
                // Raft goes by a membership as soon as it is in the log.
                remembered.note(membership);
            }
            if committed {
                apply_entry(&mut writer, entry).map_err(io::Error::other)?;
            }
        }
        writer.publish();
        drop(writer);
        if store.overloaded() {
            store.checkpoint_now(true).map_err(io::Error::other)?;
        }
    }
    Ok(remembered)
}

impl Remembered {
    fn note(&mut self, membership: &openraft::Membership<NodeId, Peer>) {
        self.newest = voter_sets(membership);
        self.voters.extend(self.newest.iter().flatten().map(|(id, address)| (*id, address.clone())));
    }
}

/// The voters of a membership, with the addresses of their admission: two sets while they change.
pub(super) fn voter_sets(membership: &openraft::Membership<NodeId, Peer>) -> Vec<BTreeMap<NodeId, String>> {
    let address = |id: &NodeId| membership.get_node(id).map(|peer| peer.address.clone()).unwrap_or_default();
    let set = |ids: &BTreeSet<NodeId>| ids.iter().map(|id| (*id, address(id))).collect();
    membership.get_joint_config().iter().map(set).collect()
}
