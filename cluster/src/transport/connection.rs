//! The dialing side of a connection: many requests under way at once.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::{Mutex as FairMutex, oneshot};
use tracing::debug_span;

use super::{
    Accepted, CallError, CallRefusal, Closed, ConnectError, Hello, Lane, NotSentWhy, PeerIdentity,
    TransportConfig,
    clock::{self, Instant},
    frame::{Frame, FrameKind},
    handshake::{self, Halves},
    links::Gate,
    outbox::Outbox,
    reader::FrameReader,
    socket::{self, ReadHalf, Stream},
    task::OwnedTask,
    writer::Side,
};

/// A connection to one peer on one lane. Clones share it; it is closed when the last one is dropped.
#[derive(Clone)]
pub struct Connection {
    link: Arc<Link>,
}

/// A connection with the tasks that work for it.
struct Link {
    calls: Arc<Calls>,
    peer: Accepted,
    lane: Lane,
    payload_bytes_max: usize,
    /// How many wait for room. While there are any, nobody may pass them.
    queueing: AtomicUsize,
    /// Whose turn it is to wait for room. Waiters are served in the order in which they came.
    turn: FairMutex<()>,
    reader: Option<OwnedTask>,
    writer: Option<OwnedTask>,
}

/// The requests of a connection that wait for their replies.
struct Calls {
    addr: Arc<str>,
    outbox: Arc<Outbox>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Ids rise by one and are never used twice on a connection.
    last_id: u64,
    callers: HashMap<u64, oneshot::Sender<Result<Bytes, CallError>>>,
}

/// The reply to a started call, some time later. Dropping it does not call the request back.
#[must_use = "a started call is answered through this future"]
pub struct Answer {
    reply: oneshot::Receiver<Result<Bytes, CallError>>,
    addr: Arc<str>,
}

impl Connection {
    /// Connects to `addr` (host and port) and introduces this side with `hello`.
    ///
    /// # Errors
    ///
    /// Nobody answers, or the node there refuses; the error names the address and the reason.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up.
    pub async fn open(addr: &str, hello: Hello, config: &TransportConfig) -> Result<Self, ConnectError> {
        let timed_out = |stage, after| ConnectError::TimedOut { addr: addr.to_owned(), stage, after };
        let stream = clock::within(config.connect_timeout, connect(addr, &hello, config))
            .await
            .ok_or_else(|| timed_out("connecting", config.connect_timeout))??;
        let (halves, accepted) =
            clock::within(config.handshake_timeout, handshake::dial(addr, stream, &hello, config))
                .await
                .ok_or_else(|| timed_out("handshake", config.handshake_timeout))??;
        Ok(Self::start_tasks(addr, halves, &hello, accepted, config))
    }

    fn start_tasks(
        addr: &str,
        halves: Halves,
        hello: &Hello,
        peer: Accepted,
        config: &TransportConfig,
    ) -> Self {
        let outbox = Arc::new(Outbox::new(config));
        let calls =
            Arc::new(Calls { addr: addr.into(), outbox: Arc::clone(&outbox), waiting: Mutex::default() });
        let Halves { mut reader, writer } = halves;
        let gate = Gate::new(config.links.as_ref(), &peer.identity, &hello.from, true);
        reader.open_up(config.max_frame_bytes, gate);
        let span = debug_span!("peer", addr, lane = %hello.lane);
        let reading = read_replies(reader, Arc::clone(&calls));
        let writing = writer.run(outbox, Side::Client, config.close_timeout);
        let link = Link {
            calls,
            peer,
            lane: hello.lane,
            payload_bytes_max: config.max_frame_bytes,
            queueing: AtomicUsize::new(0),
            turn: FairMutex::new(()),
            reader: Some(OwnedTask::spawn(span.clone(), reading)),
            writer: Some(OwnedTask::spawn(span, writing)),
        };
        Self { link: Arc::new(link) }
    }

    /// Sends a request if there is room for it now. Requests arrive in the order in which they were started.
    ///
    /// # Errors
    ///
    /// [`CallError::NotSent`] or [`CallError::TooLarge`]: the peer will not see it.
    pub fn try_start(&self, payload: Bytes) -> Result<Answer, CallError> {
        self.check_size(&payload)?;
        if self.link.has_room() {
            self.link.calls.begin(payload)
        } else {
            Err(self.link.calls.not_sent(NotSentWhy::QueueFull))
        }
    }

    /// Sends a request as soon as there is room for it. Requests arrive in the order in which they were started.
    ///
    /// # Errors
    ///
    /// [`CallError::NotSent`] or [`CallError::TooLarge`]: the peer will not see it.
    ///
    /// # Cancel safety
    ///
    /// Safe: a request whose start was dropped is not sent.
    pub async fn start(&self, payload: Bytes) -> Result<Answer, CallError> {
        self.check_size(&payload)?;
        if !self.link.has_room() {
            let _place = PlaceInQueue::take(&self.link.queueing);
            let _turn = self.link.turn.lock().await;
            self.link.calls.outbox.room().await;
            return self.link.calls.begin(payload);
        }
        self.link.calls.begin(payload)
    }

    /// Sends a request and waits for its reply until `deadline`.
    ///
    /// # Errors
    ///
    /// Each tells whether the peer may have seen the request ([`CallError::may_have_arrived`]).
    ///
    /// # Cancel safety
    ///
    /// A dropped call may or may not have been sent.
    pub async fn call(&self, payload: Bytes, deadline: Instant) -> Result<Bytes, CallError> {
        let began = clock::now();
        let Some(started) = clock::before(deadline, self.start(payload)).await else {
            return Err(self.link.calls.not_sent(NotSentWhy::Deadline { after: began.elapsed() }));
        };
        let peer = || self.link.calls.addr.to_string();
        match clock::before(deadline, started?).await {
            Some(result) => result,
            None => Err(CallError::TimedOut { peer: peer(), after: began.elapsed() }),
        }
    }

    fn check_size(&self, payload: &Bytes) -> Result<(), CallError> {
        let (bytes, limit) = (payload.len(), self.link.payload_bytes_max);
        if bytes > limit { Err(CallError::TooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// Waits for the end of the connection. A peer whose process dies is noticed at once, because the operating
    /// system closes its sockets.
    pub async fn closed(&self) -> Closed {
        self.link.calls.outbox.closed().await
    }

    /// Whether the connection has ended, or is about to.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.link.calls.outbox.has_ended()
    }

    /// Closes the connection for all its clones, after what is queued has been written.
    pub async fn close(&self) {
        self.link.calls.outbox.finish();
        self.closed().await;
    }

    /// The node at the other end.
    #[must_use]
    pub fn peer(&self) -> &PeerIdentity {
        &self.link.peer.identity
    }

    /// The newest set of features the node at the other end understands.
    #[must_use]
    pub fn peer_feature_level(&self) -> u32 {
        self.link.peer.feature_level
    }

    /// The address that was dialed.
    #[must_use]
    pub fn addr(&self) -> &str {
        &self.link.calls.addr
    }

    /// What the connection is for.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.link.lane
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("addr", &self.link.calls.addr)
            .field("lane", &self.link.lane)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Whether a request may be sent without waiting. An ended connection has room, too: it refuses by itself.
    fn has_room(&self) -> bool {
        let outbox = &self.calls.outbox;
        (self.queueing.load(Ordering::Acquire) == 0 && outbox.has_room()) || outbox.has_ended()
    }
}

/// Counts one who waits for room, for as long as it waits.
struct PlaceInQueue<'a>(&'a AtomicUsize);

impl<'a> PlaceInQueue<'a> {
    fn take(queueing: &'a AtomicUsize) -> Self {
        queueing.fetch_add(1, Ordering::AcqRel);
        Self(queueing)
    }
}

impl Drop for PlaceInQueue<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The reader ends now; the writer writes what is queued and then ends by itself, within the close timeout.
        self.calls.outbox.finish();
        self.reader = None;
        if let Some(writer) = self.writer.take() {
            writer.detach();
        }
    }
}

impl Calls {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // No code panics while it holds the lock, so what it guards is consistent even if poisoned.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_sent(&self, why: NotSentWhy) -> CallError {
        CallError::NotSent { peer: self.addr.to_string(), why }
    }

    /// Queues a request. The caller is registered before the request can be sent, and both happen under one lock, so
    /// ids are queued in order.
    fn begin(&self, payload: Bytes) -> Result<Answer, CallError> {
        let (sender, reply) = oneshot::channel();
        let mut waiting = self.waiting();
        let id = waiting.last_id + 1;
        let request = Frame { kind: FrameKind::Request, id, payload };
        self.outbox.asked();
        self.outbox.push(request).map_err(|why| self.not_sent(NotSentWhy::Closed(why)))?;
        waiting.last_id = id;
        waiting.callers.insert(id, sender);
        Ok(Answer { reply, addr: Arc::clone(&self.addr) })
    }

    fn take_reply(&self, frame: Frame) -> Result<(), Closed> {
        let result = match frame.kind {
            FrameKind::Reply => Ok(frame.payload),
            FrameKind::NoReply => Err(self.refused(&frame.payload)),
            _ => {
                return Err(Closed::Damaged { what: "a frame that a listener does not send" });
            }
        };
        let caller = self.waiting().callers.remove(&frame.id);
        let caller =
            caller.ok_or(Closed::Damaged { what: "a reply to a request that does not wait for one" })?;
        self.outbox.answered(1);
        // A caller that has gone away does not want the reply.
        let _ = caller.send(result);
        Ok(())
    }

    fn refused(&self, payload: &[u8]) -> CallError {
        let unknown = || CallRefusal::Other("it gave a reason that this version does not know".to_owned());
        let refusal = postcard::from_bytes(payload).unwrap_or_else(|_| unknown());
        CallError::Refused { peer: self.addr.to_string(), refusal }
    }

    /// Tells all who still wait that no reply will come. The outbox is closed, so no caller is added any more.
    fn fail_all(&self, why: &Closed) {
        let mut callers: Vec<_> = std::mem::take(&mut self.waiting().callers).into_iter().collect();
        callers.sort_unstable_by_key(|(id, _)| *id);
        for (id, caller) in callers {
            let error = if self.outbox.may_have_sent(id) {
                CallError::Disconnected { peer: self.addr.to_string(), why: why.clone() }
            } else {
                self.not_sent(NotSentWhy::Closed(why.clone()))
            };
            let _ = caller.send(Err(error));
        }
    }
}

impl Future for Answer {
    type Output = Result<Bytes, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.reply).poll(context).map(|received| {
            // The sender is dropped unused only when the last handle of the connection goes away.
            received.unwrap_or_else(|_| {
                Err(CallError::Disconnected { peer: self.addr.to_string(), why: Closed::Here })
            })
        })
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("addr", &self.addr).finish_non_exhaustive()
    }
}

async fn connect(addr: &str, hello: &Hello, config: &TransportConfig) -> Result<Stream, ConnectError> {
    if let Some(links) = &config.links {
        let passable = links.passable(&hello.from, addr).await;
        passable
            .map_err(|error| ConnectError::Unreachable { addr: addr.to_owned(), error: Arc::new(error) })?;
    }
    let resolved = socket::resolve(addr).await;
    let mut targets =
        resolved.map_err(|error| ConnectError::Resolve { addr: addr.to_owned(), error: Arc::new(error) })?;
    if config.secret.is_none() {
        targets.retain(|target| target.ip().to_canonical().is_loopback());
        if targets.is_empty() {
            return Err(ConnectError::SecretRequired { addr: addr.to_owned() });
        }
    }
    let connected = socket::connect(&targets, config).await;
    connected.map_err(|error| ConnectError::Unreachable { addr: addr.to_owned(), error: Arc::new(error) })
}

/// Hands replies to their callers until the connection ends, and then tells those who are left.
async fn read_replies(mut reader: FrameReader<ReadHalf>, calls: Arc<Calls>) {
    let pump = async {
        loop {
            let taken = match reader.next().await {
                Ok(frame) => calls.take_reply(frame),
                Err(why) => Err(why),
            };
            if let Err(why) = taken {
                break why;
            }
        }
    };
    // The connection is over when either arm is ready, so it does not matter where the other one is dropped.
    let why = tokio::select! {
        biased;
        why = pump => why,
        why = calls.outbox.closed() => why,
    };
    let why = calls.outbox.close(why);
    tracing::debug!(%why, "connection ended");
    calls.fail_all(&why);
}
