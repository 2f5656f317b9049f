//! What a simulated process holds of the network.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tabularaft::transport::{Accept, ByteStream, Network};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::network::{Host, SimNetwork};

/// The network as one machine sees it.
#[derive(Clone)]
pub(super) struct Socket {
    pub(super) network: SimNetwork,
    pub(super) host: Host,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Network for Socket {
    fn connect(&self, target: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        let socket = self.clone();
        async move {
            let id = socket.network.wires().dial(socket.host, target);
            let stream = SimStream { network: socket.network, id, number: 0 };
            poll_fn(|context| stream.network.wires().poll_dialed(id, context)).await?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        }
        .boxed()
    }

    fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Accept>> {
        self.network.wires().listen(address)?;
        Ok(Box::new(Listening { network: self.network.clone(), address }))
    }
}

struct Listening {
    network: SimNetwork,
    address: SocketAddr,
}

impl Accept for Listening {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn ByteStream>, SocketAddr)>> {
        async move {
            let (id, from) =
                poll_fn(|context| self.network.wires().poll_accept(self.address, context)).await?;
            let stream = SimStream { network: self.network.clone(), id, number: 1 };
            Ok((Box::new(stream) as Box<dyn ByteStream>, from))
        }
        .boxed()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.network.wires().stop_listening_at(self.address);
    }
}

/// One end of a connection.
struct SimStream {
    network: SimNetwork,
    id: u64,
    number: usize,
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.network.wires().poll_read(self.id, self.number, buffer.remaining(), context);
        read.map_ok(|bytes| buffer.put_slice(&bytes))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.network.wires().poll_write(self.id, self.number, bytes, context)
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.wires().shut_down(self.id, self.number);
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.network.wires().leave(self.id, self.number);
    }
}
