//! Networks other than the operating system's: a simulation has one of its own.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes in order, both ways, until it breaks: what TCP gives.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> ByteStream for T {}

/// The network as one node sees it.
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// Connects to `target`. Where nobody answers it takes as long as its caller has patience.
    fn connect(&self, target: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>>;

    /// Listens on `address`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AddrInUse`].
    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Accept>>;
}

/// An address that is listened on until this is dropped.
pub trait Accept: Send + Sync + 'static {
    /// Waits for the next one who dials, and says from where.
    ///
    /// # Cancel safety
    ///
    /// MUST be cancel-safe: a dropped future has accepted nobody.
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn ByteStream>, SocketAddr)>>;
}
