//! The limits and timeouts of the transport.

use std::{fmt, sync::Arc, time::Duration};

use super::{Links, Network, Secret};

/// Limits and timeouts of connections, the same for both sides of one.
///
/// The default has no secret, and so works on loopback only.
#[derive(Clone)]
pub struct TransportConfig {
    /// The cluster's secret. Without one, only loopback addresses may be listened on or dialed. Default: none.
    pub secret: Option<Arc<Secret>>,
    /// The largest payload of a frame in bytes, both ways; at most `u32::MAX`. Default: 16 MiB.
    pub max_frame_bytes: usize,
    /// How many bytes may wait to be written on one connection before new requests (or, on a server, the reading of
    /// further requests) wait. A single frame may exceed it. Default: 4 MiB.
    pub queue_bytes: usize,
    /// How many requests of one connection may be without a reply; beyond it the client waits before it sends, and
    /// the server stops reading. Default: 4,096.
    pub max_unanswered: usize,
    /// How long name resolution and the TCP connection may take. Default: 5 s.
    pub connect_timeout: Duration,
    /// How long the handshake may take once TCP is connected. Default: 5 s.
    pub handshake_timeout: Duration,
    /// How long a peer may pause in the middle of a frame before it is cut off. Default: 10 s.
    pub stall_timeout: Duration,
    /// How long the closing side waits until what it has queued is written. Default: 1 s.
    pub close_timeout: Duration,
    /// How many connections a listener serves at once. Default: 1,024.
    pub max_connections: usize,
    /// How many connections of a listener may be in the handshake at once; further ones wait in the kernel's
    /// backlog. Default: 128.
    pub max_handshakes: usize,
    /// The wait before a failed address is dialed again; doubles with each failure. Default: 20 ms.
    pub backoff_initial: Duration,
    /// The longest such wait. Default: 1 s.
    pub backoff_max: Duration,
    /// Fault control for tests. Default: none.
    #[doc(hidden)]
    pub links: Option<Arc<Links>>,
    /// A network in place of the operating system's, for simulations. Default: none.
    #[doc(hidden)]
    pub network: Option<Arc<dyn Network>>,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            secret: None,
            max_frame_bytes: 16 << 20,
            queue_bytes: 4 << 20,
            max_unanswered: 4096,
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(1),
            max_connections: 1024,
            max_handshakes: 128,
            backoff_initial: Duration::from_millis(20),
            backoff_max: Duration::from_secs(1),
            links: None,
            network: None,
        }
    }
}

impl TransportConfig {
    /// The defaults, with the cluster's secret.
    #[must_use]
    pub fn with_secret(secret: Arc<Secret>) -> Self {
        Self { secret: Some(secret), ..Self::default() }
    }
}

impl fmt::Debug for TransportConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportConfig")
            .field("secret", &self.secret)
            .field("max_frame_bytes", &self.max_frame_bytes)
            .field("queue_bytes", &self.queue_bytes)
            .field("max_unanswered", &self.max_unanswered)
            .field("handshake_timeout", &self.handshake_timeout)
            .field("stall_timeout", &self.stall_timeout)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
