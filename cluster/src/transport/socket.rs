//! The one door to the operating system's sockets, so that a simulation can put its own network behind it.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
pub(crate) use tokio::net::{
    TcpListener, TcpStream,
    tcp::{OwnedReadHalf, OwnedWriteHalf},
};

use super::TransportError;

/// How long a connection may be silent before the kernel asks whether the other machine still lives.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
/// The pause between those questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// After how many unanswered ones the connection counts as broken.
const KEEPALIVE_PROBES: u32 = 3;

/// All addresses that `addr` (host and port) stands for.
pub(crate) async fn resolve(addr: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host(addr).await?.collect())
}

/// Connects to the first of `targets` that answers.
pub(crate) async fn connect(targets: &[SocketAddr]) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(targets).await?;
    tune(&stream)?;
    Ok(stream)
}

/// Binds a listener; port 0 lets the system choose.
pub(crate) async fn listen(addr: &str, loopback_only: bool) -> Result<TcpListener, TransportError> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => TransportError::AddressInUse { listen: addr.to_owned() },
        _ => TransportError::Bind { listen: addr.to_owned(), error },
    };
    let targets = resolve(addr).await.map_err(refused)?;
    if let Some(listen) =
        targets.iter().find(|target| loopback_only && !target.ip().to_canonical().is_loopback())
    {
        return Err(TransportError::SecretRequired { listen: *listen });
    }
    TcpListener::bind(targets.as_slice()).await.map_err(refused)
}

/// Small frames leave at once, and a machine that lost its power is noticed though it cannot close its sockets.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
