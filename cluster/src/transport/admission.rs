//! Who may connect to this node.

use std::net::SocketAddr;

use super::{HandshakeError, Hello, PeerIdentity, Refusal};

/// Says who the local node is and whom it lets in.
///
/// The identity is asked for at each handshake, because it changes while the listener lives: a reboot cycle
/// gives the node a new id.
///
/// Implementations MUST NOT block: they are called on the runtime's threads.
pub trait Admission: Send + Sync + 'static {
    /// Who the local node is at this moment.
    fn identity(&self) -> PeerIdentity;

    /// The newest set of features the local node understands.
    fn feature_level(&self) -> u32;

    /// Decides about a dialer that knows the secret. The transport itself has checked protocol version, secret and
    /// `wants` already. While the connection lasts it is asked again, every second.
    ///
    /// # Errors
    ///
    /// The refusal is sent to the dialer, and the connection ends. One that was accepted before ends without it: the dialer
    /// is told when it dials again.
    fn admit(&self, hello: &Hello) -> Result<(), Refusal>;

    /// Is told of every connection that did not come to be; the default does nothing (the transport logs it).
    fn turned_away(&self, remote: SocketAddr, why: &HandshakeError) {
        let _ = (remote, why);
    }
}
