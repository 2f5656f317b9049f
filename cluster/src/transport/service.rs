//! What a node does with the requests of its peers.

use bytes::Bytes;

use super::{Closed, Peer, Reply};

/// Makes a [`Session`] for each accepted connection.
pub trait Service: Send + Sync + 'static {
    /// Starts serving `peer`. Called once per connection, after admission.
    ///
    /// MUST NOT block.
    fn open(&self, peer: Peer) -> Box<dyn Session>;
}

/// One connection's requests, in the order in which the peer sent them.
pub trait Session: Send + 'static {
    /// Takes one request. The next one is handed over only after this call returned, so an implementation that
    /// needs the order may rely on it.
    ///
    /// MUST NOT block: hand work that takes time to a bounded channel or a task, and the [`Reply`] with it.
    fn request(&mut self, payload: Bytes, reply: Reply);

    /// Is called once, after the last request. Replies sent from now on are dropped.
    fn closed(&mut self, why: &Closed) {
        let _ = why;
    }
}
