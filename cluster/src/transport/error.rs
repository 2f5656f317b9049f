//! What can go wrong on a connection, and what is certain about the request that was on its way.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use thiserror::Error;

use super::{CallRefusal, Refusal};

/// Why a listener could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Outside of loopback a secret is required.
    #[error(
        "refusing to listen on {listen} without a cluster secret: anyone who reaches it could read and write all tables; \
         give the node a secret, or listen on a loopback address"
    )]
    SecretRequired {
        /// The address that was to be listened on.
        listen: SocketAddr,
    },
    /// Another program, or another node, listens there.
    #[error("the address {listen} is in use by another program; stop it or listen on another port")]
    AddressInUse {
        /// The address that was to be listened on.
        listen: String,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {listen}: {error}")]
    Bind {
        /// The address that was to be listened on.
        listen: String,
        /// What the operating system says.
        error: io::Error,
    },
}

/// Why no connection to a peer came to be.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address has no meaning to the resolver.
    #[error("cannot resolve the address {addr}: {error}")]
    Resolve {
        /// The address that was dialed.
        addr: String,
        /// What the resolver says.
        error: Arc<io::Error>,
    },
    /// Outside of loopback a secret is required.
    #[error(
        "refusing to connect to {addr} without a cluster secret; outside of loopback both sides need one"
    )]
    SecretRequired {
        /// The address that was dialed.
        addr: String,
    },
    /// Nobody listens there, or the network does not lead there.
    #[error("cannot reach {addr}: {error}")]
    Unreachable {
        /// The address that was dialed.
        addr: String,
        /// What the operating system says.
        error: Arc<io::Error>,
    },
    /// The other side did not answer in time.
    #[error("{addr} did not answer within {after:?} ({stage})")]
    TimedOut {
        /// The address that was dialed.
        addr: String,
        /// What was waited for.
        stage: &'static str,
        /// How long.
        after: Duration,
    },
    /// Something else than a Tabularaft node listens there.
    #[error("{addr} does not speak the Tabularaft protocol")]
    NotOurProtocol {
        /// The address that was dialed.
        addr: String,
    },
    /// The node there does not take the connection.
    #[error("{addr} refuses the connection: {refusal}")]
    Refused {
        /// The address that was dialed.
        addr: String,
        /// Why.
        refusal: Refusal,
    },
    /// The connection broke during the handshake.
    #[error("{addr} broke the connection off during the handshake: {why}")]
    Broken {
        /// The address that was dialed.
        addr: String,
        /// How.
        why: Closed,
    },
    /// The last attempts failed, and it is too early for the next one.
    #[error("{addr} is not dialed again for another {retry_in:?}, after: {last}")]
    BackingOff {
        /// The address in question.
        addr: String,
        /// When the next attempt may be made.
        retry_in: Duration,
        /// What the last attempt ended with.
        last: Box<ConnectError>,
    },
    /// The attempt was called off, because this node forgets the address or closes its connections.
    #[error("the attempt to connect to {addr} was called off by this node")]
    CalledOff {
        /// The address in question.
        addr: String,
    },
}

impl ConnectError {
    /// The refusal of the peer, if that is what happened (now, or at the last attempt before a back-off).
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::BackingOff { last, .. } => last.refusal(),
            _ => None,
        }
    }

    /// Whether trying again later may help without anyone changing the configuration.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => {
                matches!(refusal, Refusal::Busy { .. } | Refusal::NotReady { .. })
            }
            Self::BackingOff { last, .. } => last.is_retryable(),
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::Resolve { .. }
            | Self::CalledOff { .. } => true,
            Self::SecretRequired { .. } | Self::NotOurProtocol { .. } => false,
        }
    }
}

/// Why an accepted socket did not become a connection, as seen by the listener.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The dialer was refused, and told why.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The dialer did not finish in time.
    #[error("the handshake was not finished within {after:?}")]
    TimedOut {
        /// The handshake timeout.
        after: Duration,
    },
    /// The connection broke first.
    #[error("the connection broke: {0}")]
    Broken(Closed),
}

/// How a connection ended.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Closed {
    /// This side closed it.
    #[error("closed by this side")]
    Here,
    /// The peer said good-bye and closed it.
    #[error("closed by the peer")]
    ByPeer,
    /// The peer's socket was closed without a good-bye: its process is most likely dead.
    #[error("the peer's socket closed without a good-bye")]
    Vanished,
    /// The peer's socket was closed in the middle of a frame.
    #[error("the peer's socket closed in the middle of a frame ({have} bytes had arrived)")]
    MidFrame {
        /// How many bytes of the unfinished frame had arrived.
        have: usize,
    },
    /// The operating system reports an error on the socket.
    #[error("socket error: {0}")]
    Socket(Arc<io::Error>),
    /// The peer started a frame and then sent nothing more.
    #[error("the peer started a frame and then sent nothing for {after:?} ({have} bytes had arrived)")]
    Stalled {
        /// The stall timeout.
        after: Duration,
        /// How many bytes of the unfinished frame had arrived.
        have: usize,
    },
    /// The peer announced a frame that is larger than this side takes.
    #[error("the peer announced a frame of {bytes} bytes, the limit is {limit} bytes")]
    FrameTooLarge {
        /// The announced size of the payload.
        bytes: u64,
        /// `max_frame_bytes` of this side.
        limit: u64,
    },
    /// Bytes were changed on the way, or do not follow the protocol.
    #[error("bytes from the peer are damaged: {what}")]
    Damaged {
        /// What is wrong with them.
        what: &'static str,
    },
}

/// Why a call has no reply.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The request certainly did not reach the peer.
    #[error("the request was not sent to {peer}: {why}")]
    NotSent {
        /// The address of the peer.
        peer: String,
        /// Why it was not sent.
        why: NotSentWhy,
    },
    /// The connection ended after the request was handed to the socket: it may have been carried out.
    #[error("the connection to {peer} ended before the reply ({why}); the request may have been carried out")]
    Disconnected {
        /// The address of the peer.
        peer: String,
        /// How the connection ended.
        why: Closed,
    },
    /// The reply did not come in time: the request may have been, or may still be, carried out.
    #[error("no reply from {peer} within {after:?}; the request may have been carried out")]
    TimedOut {
        /// The address of the peer.
        peer: String,
        /// How long was waited.
        after: Duration,
    },
    /// The request does not fit into a frame, and was not sent.
    #[error("a request of {bytes} bytes is larger than a frame may be ({limit} bytes)")]
    TooLarge {
        /// The size of the payload.
        bytes: usize,
        /// `max_frame_bytes` of this side.
        limit: usize,
    },
    /// The peer answered, but not with the service's reply.
    #[error("{peer} was asked, but {refusal}")]
    Refused {
        /// The address of the peer.
        peer: String,
        /// What it answered.
        refusal: CallRefusal,
    },
}

impl CallError {
    /// Whether the peer may have seen the request. `false` is a promise: it has not, and will not.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        !matches!(self, Self::NotSent { .. } | Self::TooLarge { .. })
    }
}

/// Why a request was not even sent.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum NotSentWhy {
    /// The connection had ended already.
    #[error("the connection has ended ({0})")]
    Closed(Closed),
    /// As many requests or bytes as may wait do so already.
    #[error("too much waits for this peer already")]
    QueueFull,
    /// The deadline passed while the request waited for a place in the queue.
    #[error("no place in the queue within {after:?}")]
    Deadline {
        /// How long was waited.
        after: Duration,
    },
}

impl From<io::Error> for Closed {
    fn from(error: io::Error) -> Self {
        Self::Socket(Arc::new(error))
    }
}
