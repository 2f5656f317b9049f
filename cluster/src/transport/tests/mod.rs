//! The transport over real loopback sockets. What the tests share stands here.

#![expect(clippy::disallowed_methods, reason = "tests measure time")]

mod calls;
mod closing;
mod damage;
mod faults;
mod formats;
mod handshakes;
mod pools;
mod secrets;
mod throughput;

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tabularaft_store::Incarnation;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::*;

/// More than any test sends before it looks.
const QUEUE: usize = 16_384;

/// No condition of these tests takes this long; one that does has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for `what`, and fails with its name instead of hanging.
async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

fn secret() -> Arc<Secret> {
    Arc::new(Secret::generate().unwrap())
}

fn with(secret: &Arc<Secret>) -> TransportConfig {
    TransportConfig::with_secret(Arc::clone(secret))
}

fn node(name: &str, node_id: u64) -> PeerIdentity {
    PeerIdentity {
        name: Some(name.parse().unwrap()),
        node_id,
        incarnation: Incarnation { node: node_id, life: 1 },
        advertise: format!("{name}:7100"),
    }
}

fn hello() -> Hello {
    Hello {
        feature_level: 1,
        cluster_name: "test".to_owned(),
        cluster_id: None,
        from: node("dialer@127.0.0.1", 1),
        role: Role::Member,
        lane: Lane::Calls,
        wants: None,
    }
}

/// Lets everyone in, unless it is told otherwise, and reports whom it turned away.
struct Doorkeeper {
    identity: Mutex<PeerIdentity>,
    refusal: Mutex<Option<Refusal>>,
    turned_away: mpsc::Sender<HandshakeError>,
}

impl Admission for Doorkeeper {
    fn identity(&self) -> PeerIdentity {
        self.identity.lock().unwrap().clone()
    }

    fn feature_level(&self) -> u32 {
        3
    }

    fn admit(&self, _hello: &Hello) -> Result<(), Refusal> {
        self.refusal.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn turned_away(&self, _remote: SocketAddr, why: &HandshakeError) {
        self.turned_away.try_send(why.clone()).unwrap();
    }
}

type Handler = Arc<dyn Fn(Bytes, Reply) + Send + Sync>;

/// Serves each request with a function, and reports connections that end.
struct Functions {
    handler: Handler,
    opened: Arc<AtomicUsize>,
    closed: mpsc::Sender<Closed>,
}

impl Functions {
    fn new(handler: impl Fn(Bytes, Reply) + Send + Sync + 'static, closed: mpsc::Sender<Closed>) -> Self {
        Self { handler: Arc::new(handler), opened: Arc::default(), closed }
    }
}

impl Service for Functions {
    fn open(&self, _peer: Peer) -> Box<dyn Session> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let (handler, opened) = (Arc::clone(&self.handler), Arc::clone(&self.opened));
        Box::new(Functions { handler, opened, closed: self.closed.clone() })
    }
}

impl Session for Functions {
    fn request(&mut self, payload: Bytes, reply: Reply) {
        (self.handler)(payload, reply);
    }

    fn closed(&mut self, why: &Closed) {
        // The test may have looked away.
        let _ = self.closed.try_send(why.clone());
    }
}

/// A listening node, and what it reports.
struct Server {
    listener: Listener,
    addr: String,
    door: Arc<Doorkeeper>,
    /// How many connections there have been.
    opened: Arc<AtomicUsize>,
    turned_away: mpsc::Receiver<HandshakeError>,
    closed: mpsc::Receiver<Closed>,
}

impl Server {
    async fn start(config: TransportConfig, handler: impl Fn(Bytes, Reply) + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", config, handler).await
    }

    async fn start_at(
        addr: &str,
        config: TransportConfig,
        handler: impl Fn(Bytes, Reply) + Send + Sync + 'static,
    ) -> Self {
        let (turned_away_sender, turned_away) = mpsc::channel(QUEUE);
        let (closed_sender, closed) = mpsc::channel(QUEUE);
        let door = Arc::new(Doorkeeper {
            identity: Mutex::new(node("server@127.0.0.1", 2)),
            refusal: Mutex::default(),
            turned_away: turned_away_sender,
        });
        let service = Arc::new(Functions::new(handler, closed_sender));
        let opened = Arc::clone(&service.opened);
        let listener = Listener::bind(addr, config, door.clone(), service).await.unwrap();
        let addr = listener.local_addr().to_string();
        Self { listener, addr, door, opened, turned_away, closed }
    }

    async fn echo(config: TransportConfig) -> Self {
        Self::start(config, |payload, reply| reply.send(payload)).await
    }

    async fn connect(&self, config: &TransportConfig) -> Connection {
        soon("a connection", Connection::open(&self.addr, hello(), config)).await.unwrap()
    }

    async fn next_turned_away(&mut self) -> HandshakeError {
        soon("a dialer that is turned away", self.turned_away.recv()).await.unwrap()
    }

    async fn next_closed(&mut self) -> Closed {
        soon("the end of a connection at the listener", self.closed.recv()).await.unwrap()
    }
}

async fn call(connection: &Connection, payload: impl Into<Bytes>) -> Result<Bytes, CallError> {
    connection.call(payload.into(), deadline()).await
}
