//! openraft, behind one module: nothing outside of it names an openraft type.

mod codec;
mod decoders;
mod forced;
mod handle;
mod incoming;
mod leadership;
mod log_store;
mod network;
mod replay;
mod runtime;
mod snapshot;
mod start;
mod state_machine;
#[cfg(test)]
mod storage_suite;
mod types;

pub(crate) use decoders::{entry as decode_entry, message as decode_message};
pub(crate) use forced::force;
pub(crate) use handle::{Proposal, ProposalOutcome, RaftError, RaftHandle};
pub(crate) use incoming::RaftSession;
pub(crate) use leadership::Leadership;
pub(crate) use replay::{Remembered, replay};
pub(crate) use snapshot::{Offering, SnapshotAnswer, SnapshotOffer};
pub(crate) use start::{RaftParts, start};
pub(crate) use types::Peer;

/// The voters of the membership that a view has applied, with the addresses of their admission.
pub(crate) fn voters_of(view: &tabularaft_store::View) -> Vec<(u64, String)> {
    match state_machine::applied_state(view) {
        Ok((_, stored)) => {
            let membership = stored.membership();
            let address =
                |id: &u64| membership.get_node(id).map(|peer| peer.address.clone()).unwrap_or_default();
            membership.voter_ids().map(|id| (id, address(&id))).collect()
        }
        Err(error) => {
            tracing::error!(%error, "the stored membership cannot be read");
            Vec::new()
        }
    }
}
