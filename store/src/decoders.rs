//! Doors for the fuzzer: decoders of this crate that have no public name of their own. Each takes any bytes, and what it
//! reads, it must be able to write again as the same value.

use crate::cluster_state::ClusterState;
use crate::copy::WireChunk;
use crate::digest::TableDigest;
use crate::{image, sealed};

/// A chunk of a table copy, without its seal, which no guessed bytes would pass.
pub fn chunk(content: &[u8]) {
    if let Ok(chunk) = sealed::decode::<WireChunk<'_>>(content) {
        chunk.digest_into(&mut TableDigest::default());
    }
}

/// An image of the whole store, without its seal.
pub fn image(content: &[u8]) {
    if let Ok(cluster) = sealed::decode::<ClusterState>(content) {
        let again = image::decode(&image::encode(&cluster)).expect("an image that was just made can be read");
        // Less the exactly-once windows, which do not compare.
        let parts = |state: ClusterState| {
            (state.applied, state.membership, state.schema, state.system, state.last_version)
        };
        assert_eq!(parts(cluster), parts(again), "an image says the same once it is written again");
    }
}

/// Any sealed value: the seal itself.
pub fn seal(bytes: &[u8]) {
    let _ = sealed::unseal::<Vec<u8>>(u8::MAX, bytes);
}
