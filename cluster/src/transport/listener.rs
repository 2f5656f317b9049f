//! The listening side: accepts connections and serves them until it is shut down.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tracing::{Instrument, debug, debug_span, info_span, warn};

use crate::watch;

use super::{
    Admission, Closed, HandshakeError, Hello, Service, TransportConfig, TransportError, clock,
    handshake::{self, Arrival},
    served,
    socket::{self, Acceptor, Stream},
    task::OwnedTask,
};

/// The pause after a failed accept, as when the process has no file descriptors left; it doubles up to the maximum.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How often it is looked whether a peer would still be let in.
const ADMIT_AGAIN: Duration = Duration::from_secs(1);

/// A bound address and all connections that were accepted there.
///
/// Dropping it is like the death of the process: all sockets close at once, and no [`Session`](super::Session) is told.
pub struct Listener {
    addr: SocketAddr,
    orders: watch::Sender<Orders>,
    places: Arc<Semaphore>,
    max_connections: usize,
    accepting: OwnedTask,
}

/// What the owner of the listener has asked for so far.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    /// Connections accepted under a smaller number are to end.
    generation: u64,
    /// Nothing is to be accepted or served any more.
    stop: bool,
}

/// What all connections of a listener share.
struct Shared {
    config: TransportConfig,
    admission: Arc<dyn Admission>,
    service: Arc<dyn Service>,
    /// One permit for each connection that may be served.
    places: Arc<Semaphore>,
}

impl Listener {
    /// Listens on `addr` (host and port; port 0 lets the system choose, see [`Self::local_addr`]).
    ///
    /// # Errors
    ///
    /// The address is in use or cannot be bound, or lies outside of loopback while there is no secret.
    pub async fn bind(
        addr: &str,
        config: TransportConfig,
        admission: Arc<dyn Admission>,
        service: Arc<dyn Service>,
    ) -> Result<Self, TransportError> {
        let socket = socket::listen(addr, &config).await?;
        let addr =
            socket.local_addr().map_err(|error| TransportError::Bind { listen: addr.to_owned(), error })?;
        let places = Arc::new(Semaphore::new(config.max_connections));
        let max_connections = config.max_connections;
        let orders = watch::Sender::new(Orders::default());
        let shared = Arc::new(Shared { config, admission, service, places: Arc::clone(&places) });
        let accepting = accept_all(socket, shared, orders.subscribe());
        let accepting = OwnedTask::spawn(info_span!("listener", %addr), accepting);
        Ok(Self { addr, orders, places, max_connections, accepting })
    }

    /// The address that is listened on, with the port that the system chose.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections are being served.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.max_connections - self.places.available_permits()
    }

    /// Ends all present connections in good order and goes on listening: after the local node has become another
    /// one, its peers are to introduce themselves again.
    pub fn disconnect_all(&self) {
        self.orders.send_modify(|orders| orders.generation += 1);
    }

    /// Stops listening, ends all connections in good order (replies that were given are still written, for at most
    /// the close timeout), and waits until all are gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what is left at once.
    pub async fn shutdown(self) {
        self.orders.send_modify(|orders| orders.stop = true);
        self.accepting.join().await;
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("addr", &self.addr)
            .field("connections", &self.connections())
            .finish()
    }
}

/// Owns all connections of the listener; returns when it was told to stop and all of them have ended.
async fn accept_all(socket: Acceptor, shared: Arc<Shared>, orders: watch::Receiver<Orders>) {
    let mut stop = orders.clone();
    let handshakes = Arc::new(Semaphore::new(shared.config.max_handshakes));
    let mut connections = JoinSet::new();
    let mut pause = ACCEPT_PAUSE;
    loop {
        // All arms are cancel-safe: an accept, a permit and a finished task are lost by none of them.
        tokio::select! {
            // Dialers in plenty hide neither the order to stop nor the end of a connection.
            biased;
            () = ordered_to_stop(&mut stop) => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    warn!(%error, "a connection ended by a panic");
                }
            }
            accepted = accept_one(&socket, &handshakes) => match accepted {
                Ok((stream, remote, in_handshake)) => {
                    pause = ACCEPT_PAUSE;
                    let span = debug_span!("peer", %remote);
                    let life = live(stream, remote, Arc::clone(&shared), in_handshake, orders.clone());
                    connections.spawn(life.instrument(span));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    let _ = clock::within(pause, ordered_to_stop(&mut stop.clone())).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
                }
            },
        }
    }
    drop(socket);
    while connections.join_next().await.is_some() {}
}

async fn accept_one(
    socket: &Acceptor,
    handshakes: &Arc<Semaphore>,
) -> std::io::Result<(Stream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(handshakes).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, remote) = socket.accept().await?;
    Ok((stream, remote, permit))
}

/// The life of one accepted socket.
async fn live(
    stream: Stream,
    remote: SocketAddr,
    shared: Arc<Shared>,
    in_handshake: OwnedSemaphorePermit,
    orders: watch::Receiver<Orders>,
) {
    let generation = orders.borrow().generation;
    let mut until = orders.clone();
    // Both arms may be dropped anywhere: nobody has been promised anything yet.
    let arrival = tokio::select! {
        biased;
        result = shake_hands(stream, &shared) => result,
        () = ordered_to_end(&mut until, generation) => return,
    };
    drop(in_handshake);
    match arrival {
        Ok(arrival) => {
            let hello = arrival.hello.clone();
            // Both arms only wait, so that either may be dropped.
            let over = async {
                tokio::select! {
                    biased;
                    () = ordered_to_end(&mut until, generation) => {}
                    () = admitted_no_more(shared.admission.as_ref(), &hello) => {}
                }
            };
            served::serve(arrival, remote, shared.service.as_ref(), &shared.config, over).await;
        }
        Err(why) => {
            report(&why);
            shared.admission.turned_away(remote, &why);
        }
    }
}

async fn shake_hands(stream: Stream, shared: &Shared) -> Result<Arrival, HandshakeError> {
    let config = &shared.config;
    let handshake = handshake::accept(stream, config, shared.admission.as_ref(), &shared.places);
    let timed_out = HandshakeError::TimedOut { after: config.handshake_timeout };
    clock::within(config.handshake_timeout, handshake).await.unwrap_or(Err(timed_out))
}

fn report(why: &HandshakeError) {
    match why {
        // Health checks and port scans connect and leave without a word.
        HandshakeError::Broken(Closed::Vanished) => debug!("a dialer left before the handshake"),
        _ => warn!(%why, "a connection was turned away"),
    }
}

/// A peer that is fenced while it is connected is told why when it connects again.
async fn admitted_no_more(admission: &dyn Admission, hello: &Hello) {
    loop {
        clock::sleep(ADMIT_AGAIN).await;
        if admission.admit(hello).is_err() {
            return;
        }
    }
}

async fn ordered_to_stop(orders: &mut watch::Receiver<Orders>) {
    ordered(orders, |orders| orders.stop).await;
}

async fn ordered_to_end(orders: &mut watch::Receiver<Orders>, generation: u64) {
    ordered(orders, |orders| orders.stop || orders.generation != generation).await;
}

async fn ordered(orders: &mut watch::Receiver<Orders>, what: impl FnMut(&Orders) -> bool) {
    if orders.wait_for(what).await.is_err() {
        // The listener was dropped without an order. That is no order to end well: this task is about to be aborted.
        std::future::pending::<()>().await;
    }
}
