//! Images: everything of a view but its records, for a node that joins or is far behind.
//!
//! Persistent: add, never change or reuse.

use bytes::Bytes;

use crate::cluster_state::ClusterState;
use crate::sealed::{self, SealError};

const IMAGE_VERSION: u8 = 1;

pub(crate) fn encode(cluster: &ClusterState) -> Bytes {
    sealed::seal(IMAGE_VERSION, cluster).into()
}

pub(crate) fn decode(image: &[u8]) -> Result<ClusterState, SealError> {
    sealed::unseal(IMAGE_VERSION, image)
}
