//! A port that stays this test's own while nobody listens at it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port of the loopback interface, bound but not listened on.
///
/// A node that is down must be found at its old address when it starts again. Without a reservation the system may
/// give its port to another test meanwhile, or to an outgoing connection, which may even be a dial to this very port
/// that then connects to itself. With one, dials are refused as they are by a dead process. The node's listener binds
/// beside the reservation, because both allow the reuse of their address and only one of them listens.
#[derive(Debug)]
pub(crate) struct ReservedPort {
    address: SocketAddr,
    _socket: Socket,
}

impl ReservedPort {
    pub(crate) fn take() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address =
            socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("no socket address"))?;
        Ok(Self { address, _socket: socket })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_reserved_port_refuses_dials_until_someone_listens() {
        let port = ReservedPort::take().unwrap();
        let refused = TcpStream::connect(port.address()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let listener = std::net::TcpListener::bind(port.address()).unwrap();
        TcpStream::connect(port.address()).unwrap();
        drop(listener);
        assert!(TcpStream::connect(port.address()).is_err());
        std::net::TcpListener::bind(port.address()).unwrap();
    }
}
