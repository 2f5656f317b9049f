//! Images: everything of a view but its records, for a node that joins or is far behind.
//!
//! Persistent: add, never change or reuse.

use bytes::Bytes;

use crate::cluster_state::ClusterState;
use crate::sealed::SealError;

pub(crate) fn encode(cluster: &ClusterState) -> Bytes {
    cluster.seal().into()
}

pub(crate) fn decode(image: &[u8]) -> Result<ClusterState, SealError> {
    ClusterState::unseal(image)
}
