//! Authenticated, encrypted connections between nodes, and from tools to nodes.
//!
//! One TCP connection per peer and [`Lane`] carries pipelined requests one way and their replies the other way, so
//! that a table copy on the bulk lane never delays a heartbeat on the Raft lane.
//!
//! ```text
//! Connection --start--> Outbox --writer task--> records (Noise) ===TCP===> FrameReader --> Session::request(payload, reply)
//!     ^                                                                                             |
//!     '---- FrameReader <===TCP=== records (Noise) <--writer task-- Outbox <----- Reply::send ------'
//! ```
//!
//! Layers, outermost first: `preamble` (plain, the same in every version), `handshake` (who may talk to whom),
//! `record` (encryption), `frame` (requests and replies). Each side learns at once, and by name, why it was refused.

mod admission;
mod clock;
mod config;
mod connection;
mod decoders;
mod error;
mod frame;
mod handshake;
mod hello;
mod listener;
mod network;
mod noise;
mod outbox;
mod pool;
mod preamble;
mod reader;
mod record;
mod refusal;
mod reply;
mod secret;
mod served;
mod service;
mod socket;
mod task;
mod writer;

#[doc(hidden)]
pub mod links;

#[cfg(test)]
mod tests;

pub use admission::Admission;
pub use config::TransportConfig;
pub use connection::{Answer, Connection};
pub(crate) use decoders::{connection as decode_connection, handshake as decode_handshake};
pub use error::{CallError, Closed, ConnectError, HandshakeError, NotSentWhy, TransportError};
pub use hello::{Accepted, Hello, Lane, Peer, PeerIdentity, Role};
pub use links::Links;
pub use listener::Listener;
#[doc(hidden)]
pub use network::{Accept, ByteStream, Network};
pub use pool::{Greeting, Pool};
pub use preamble::PROTOCOL_VERSION;
pub use refusal::{CallRefusal, Refusal};
pub use reply::Reply;
pub use secret::{Secret, SecretError};
pub use service::{Service, Session};
