//! The one door to the operating system's sockets, so that a simulation can put its own network behind it.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, tcp},
};

use super::{
    TransportConfig, TransportError,
    network::{Accept, ByteStream},
};

/// How long a connection may be silent before the kernel asks whether the other machine still knows it. A reply that was
/// lost with its link is waited for that long after the link is mended: the other side gave the connection up meanwhile,
/// and says so when it is asked.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(2);
/// The pause between those questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);
/// After how many unanswered ones the connection counts as broken.
const KEEPALIVE_PROBES: u32 = 3;
/// After how long a connection on which nothing that was sent arrives counts as broken. Otherwise the kernel tries again
/// after pauses that double, and a link that was down for a minute would be of use a minute after it is mended.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// A connected socket.
pub(crate) struct Stream {
    read: ReadHalf,
    write: WriteHalf,
}

/// What reads from a socket.
pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Simulated(tokio::io::ReadHalf<Box<dyn ByteStream>>),
}

/// What writes to a socket.
pub(crate) enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    Simulated(tokio::io::WriteHalf<Box<dyn ByteStream>>),
}

/// A bound socket.
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    Simulated(Box<dyn Accept>, SocketAddr),
}

/// All addresses that `addr` (host and port) stands for.
pub(crate) async fn resolve(addr: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host(addr).await?.collect())
}

/// Connects to the first of `targets` that answers.
pub(crate) async fn connect(targets: &[SocketAddr], config: &TransportConfig) -> io::Result<Stream> {
    if let (Some(network), Some(target)) = (&config.network, targets.first()) {
        return network.connect(*target).await.map(Stream::simulated);
    }
    let stream = TcpStream::connect(targets).await?;
    tune(&stream)?;
    Ok(Stream::tcp(stream))
}

/// Binds a listener; port 0 lets the system choose.
pub(crate) async fn listen(addr: &str, config: &TransportConfig) -> Result<Acceptor, TransportError> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => TransportError::AddressInUse { listen: addr.to_owned() },
        _ => TransportError::Bind { listen: addr.to_owned(), error },
    };
    let loopback_only = config.secret.is_none();
    let targets = resolve(addr).await.map_err(refused)?;
    if let Some(listen) =
        targets.iter().find(|target| loopback_only && !target.ip().to_canonical().is_loopback())
    {
        return Err(TransportError::SecretRequired { listen: *listen });
    }
    if let (Some(network), Some(target)) = (&config.network, targets.first()) {
        return network.listen(*target).map(|accept| Acceptor::Simulated(accept, *target)).map_err(refused);
    }
    TcpListener::bind(targets.as_slice()).await.map(Acceptor::Tcp).map_err(refused)
}

/// Small frames leave at once, and a machine that lost its power is noticed though it cannot close its sockets: by
/// questions while nothing is on its way, and otherwise by the acknowledgement that does not come.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    let socket = SockRef::from(stream);
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    socket.set_tcp_keepalive(&keepalive)
}

impl Acceptor {
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Simulated(_, address) => Ok(*address),
        }
    }

    /// Waits for the next one who dials, and says from where.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                tune(&stream)?;
                Ok((Stream::tcp(stream), remote))
            }
            Self::Simulated(accept, _) => {
                let (stream, remote) = accept.accept().await?;
                Ok((Stream::simulated(stream), remote))
            }
        }
    }
}

impl Stream {
    fn tcp(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        Self { read: ReadHalf::Tcp(read), write: WriteHalf::Tcp(write) }
    }

    fn simulated(stream: Box<dyn ByteStream>) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self { read: ReadHalf::Simulated(read), write: WriteHalf::Simulated(write) }
    }

    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        (self.read, self.write)
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(context, buffer),
            Self::Simulated(half) => Pin::new(half).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_write(context, bytes),
            Self::Simulated(half) => Pin::new(half).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_write_vectored(context, bytes),
            Self::Simulated(half) => Pin::new(half).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(half) => half.is_write_vectored(),
            Self::Simulated(half) => half.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_flush(context),
            Self::Simulated(half) => Pin::new(half).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_shutdown(context),
            Self::Simulated(half) => Pin::new(half).poll_shutdown(context),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}
