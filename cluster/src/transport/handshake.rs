//! The handshake: two strangers become a dialer and a listener who trust each other, or know why not.
//!
//! ```text
//! dialer                      listener
//!   | preamble  ------------->  |   plain: magic, version, has a secret?
//!   |  <-------------  preamble |
//!   | step: key offer  ------>  |   only with a secret
//!   |  <------ step: key answer |   or: step: refusal
//!   | Hello frame  ---------->  |   in records from here on
//!   |  <--------  Accepted frame|   or: Refused frame
//! ```
//!
//! Persistent: a step is `tag u8 | length u16 LE | body`; tag 1 is a key message, tag 2 a refusal (postcard).

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{
    Accepted, Admission, Closed, ConnectError, HandshakeError, Hello, Refusal, Secret, TransportConfig,
    clock,
    frame::{Frame, FrameKind},
    noise,
    preamble::{PREAMBLE_BYTES, Preamble, PreambleError},
    reader::FrameReader,
    record::{Opener, Protection, Sealer},
    socket::{ReadHalf, Stream, WriteHalf},
    writer::FrameWriter,
};

const STEP_KEY: u8 = 1;
const STEP_REFUSAL: u8 = 2;
const STEP_HEADER_BYTES: usize = 3;

/// The size limit of the frames of a handshake.
const HANDSHAKE_FRAME_BYTES: usize = 64 * 1024;

/// How long, and for how many bytes, a refused dialer may go on sending before its socket is closed on it. Closing at
/// once would make the operating system discard the refusal that is on its way.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// Both halves of a connection that is past its handshake.
pub(crate) struct Halves {
    pub(crate) reader: FrameReader<ReadHalf>,
    pub(crate) writer: FrameWriter<WriteHalf>,
}

impl Halves {
    fn new(stream: Stream, protection: Protection, stall_timeout: Duration) -> Self {
        let (read, write) = stream.into_split();
        let opener = Opener::new(protection.clone());
        Self {
            reader: FrameReader::new(read, opener, HANDSHAKE_FRAME_BYTES, stall_timeout),
            writer: FrameWriter::new(write, Sealer::new(protection)),
        }
    }
}

/// A dialer that was let in.
pub(crate) struct Arrival {
    pub(crate) halves: Halves,
    pub(crate) hello: Hello,
    pub(crate) accepted: Accepted,
    /// Its place among the connections of the listener; given back when dropped.
    pub(crate) place: OwnedSemaphorePermit,
}

/// Does the dialer's part on a fresh socket.
pub(crate) async fn dial(
    addr: &str,
    mut stream: Stream,
    hello: &Hello,
    config: &TransportConfig,
) -> Result<(Halves, Accepted), ConnectError> {
    let at = Dialed(addr);
    let protection = at.secure(&mut stream, config.secret.as_deref()).await?;
    let mut halves = Halves::new(stream, protection, config.stall_timeout);
    let hello = Frame::control(FrameKind::Hello, encode(hello));
    // If this fails, the listener has closed the socket, and what it said before tells more than the error does.
    let _ = halves.writer.send(&hello).await;
    let answer = halves.reader.next().await.map_err(|why| at.broken(why))?;
    match answer.kind {
        FrameKind::Accepted => {
            let accepted = postcard::from_bytes(&answer.payload).map_err(|_| at.broken(UNDECODABLE))?;
            Ok((halves, accepted))
        }
        FrameKind::Refused => Err(at.refused(decode_refusal(&answer.payload))),
        _ => {
            Err(at
                .broken(Closed::Damaged { what: "the hello was not answered by an acceptance or a refusal" }))
        }
    }
}

const UNDECODABLE: Closed = Closed::Damaged { what: "the acceptance cannot be decoded" };

/// The dialed address, for errors.
struct Dialed<'a>(&'a str);

impl Dialed<'_> {
    fn refused(&self, refusal: Refusal) -> ConnectError {
        ConnectError::Refused { addr: self.0.to_owned(), refusal }
    }

    fn broken(&self, why: Closed) -> ConnectError {
        ConnectError::Broken { addr: self.0.to_owned(), why }
    }

    fn socket(&self, error: io::Error) -> ConnectError {
        let ended = error.kind() == io::ErrorKind::UnexpectedEof;
        self.broken(if ended { Closed::Vanished } else { error.into() })
    }

    async fn secure(&self, stream: &mut Stream, secret: Option<&Secret>) -> Result<Protection, ConnectError> {
        let ours = Preamble::ours(secret.is_some());
        let _ = stream.write_all(&ours.encode()).await;
        let theirs = Preamble::read(stream).await.map_err(|error| match error {
            PreambleError::NotOurProtocol => ConnectError::NotOurProtocol { addr: self.0.to_owned() },
            PreambleError::Io(error) => self.socket(error),
        })?;
        if let Some(refusal) = mismatch(ours, theirs) {
            return Err(self.refused(refusal));
        }
        match secret {
            None => Ok(Protection::Checksum),
            Some(secret) => self.agree(stream, secret, &prologue(ours, theirs)).await,
        }
    }

    async fn agree(
        &self,
        stream: &mut Stream,
        secret: &Secret,
        prologue: &[u8],
    ) -> Result<Protection, ConnectError> {
        let noise_failed = |_| self.broken(Closed::Damaged { what: "the key agreement cannot be started" });
        let (offer, message) = noise::offer(secret, prologue).map_err(noise_failed)?;
        let _ = stream.write_all(&step(STEP_KEY, &message)).await;
        let (tag, body) = read_step(stream).await.map_err(|error| self.socket(error))?;
        match (tag, noise::Message::try_from(body.as_slice())) {
            (STEP_KEY, Ok(answer)) => offer.conclude(&answer).map_err(|_| self.refused(Refusal::WrongSecret)),
            (STEP_REFUSAL, _) => Err(self.refused(decode_refusal(&body))),
            _ => Err(self.broken(Closed::Damaged { what: "an unknown step of the handshake" })),
        }
    }
}

/// Does the listener's part on a fresh socket. A refusal has been sent to the dialer when this returns it.
pub(crate) async fn accept(
    mut stream: Stream,
    config: &TransportConfig,
    admission: &dyn Admission,
    places: &Arc<Semaphore>,
) -> Result<Arrival, HandshakeError> {
    let protection = match secure(&mut stream, config.secret.as_deref()).await {
        Ok(protection) => protection,
        Err(HandshakeError::Refused(refusal)) => {
            let _ = stream.write_all(&step(STEP_REFUSAL, &encode(&refusal))).await;
            let _ = stream.shutdown().await;
            linger(&mut stream).await;
            return Err(HandshakeError::Refused(refusal));
        }
        Err(error) => return Err(error),
    };
    let mut halves = Halves::new(stream, protection, config.stall_timeout);
    let first = halves.reader.next().await.map_err(HandshakeError::Broken)?;
    match decide(&first, config, admission, places) {
        Ok((hello, accepted, place)) => {
            let answer = Frame::control(FrameKind::Accepted, encode(&accepted));
            halves.writer.send(&answer).await.map_err(broken)?;
            Ok(Arrival { halves, hello, accepted, place })
        }
        Err(refusal) => {
            let _ = halves.writer.send(&Frame::control(FrameKind::Refused, encode(&refusal))).await;
            let _ = halves.writer.shutdown().await;
            linger(&mut halves.reader.into_source()).await;
            Err(HandshakeError::Refused(refusal))
        }
    }
}

/// The listener's part up to the keys.
async fn secure(stream: &mut Stream, secret: Option<&Secret>) -> Result<Protection, HandshakeError> {
    let ours = Preamble::ours(secret.is_some());
    let theirs = match Preamble::read(stream).await {
        Ok(theirs) => Some(theirs),
        Err(PreambleError::NotOurProtocol) => None,
        Err(PreambleError::Io(error)) => return Err(broken(error)),
    };
    // Even a stranger is told with whom it speaks; a node of another version needs it to name both versions.
    stream.write_all(&ours.encode()).await.map_err(broken)?;
    let theirs = theirs.ok_or(HandshakeError::Refused(Refusal::NotOurProtocol))?;
    if let Some(refusal) = mismatch(theirs, ours) {
        return Err(HandshakeError::Refused(refusal));
    }
    let Some(secret) = secret else {
        return Ok(Protection::Checksum);
    };
    let (tag, body) = read_step(stream).await.map_err(broken)?;
    let offer = noise::Message::try_from(body.as_slice())
        .ok()
        .filter(|_| tag == STEP_KEY)
        .ok_or(HandshakeError::Refused(Refusal::NotOurProtocol))?;
    let (message, protection) = noise::answer(secret, &prologue(theirs, ours), &offer)
        .map_err(|_| HandshakeError::Refused(Refusal::WrongSecret))?;
    stream.write_all(&step(STEP_KEY, &message)).await.map_err(broken)?;
    Ok(protection)
}

/// Whether the dialer that sent `first` is let in.
fn decide(
    first: &Frame,
    config: &TransportConfig,
    admission: &dyn Admission,
    places: &Arc<Semaphore>,
) -> Result<(Hello, Accepted, OwnedSemaphorePermit), Refusal> {
    if first.kind != FrameKind::Hello {
        return Err(Refusal::NotOurProtocol);
    }
    let hello: Hello = postcard::from_bytes(&first.payload).map_err(|error| {
        Refusal::Other(format!("the hello of the dialing side cannot be decoded: {error}"))
    })?;
    let accepted = Accepted { identity: admission.identity(), feature_level: admission.feature_level() };
    if let Some(wanted) = hello.wants.filter(|wanted| *wanted != accepted.identity.node_id) {
        return Err(Refusal::WrongNode { wanted, actual: accepted.identity.node_id });
    }
    admission.admit(&hello)?;
    let busy = |_| Refusal::Busy { limit: config.max_connections };
    let place = Arc::clone(places).try_acquire_owned().map_err(busy)?;
    Ok((hello, accepted, place))
}

/// What keeps two sides from talking that have said this about themselves.
fn mismatch(dialer: Preamble, acceptor: Preamble) -> Option<Refusal> {
    if dialer.version != acceptor.version {
        return Some(Refusal::ProtocolVersion { acceptor: acceptor.version, dialer: dialer.version });
    }
    match (dialer.has_secret, acceptor.has_secret) {
        (true, false) => Some(Refusal::NoSecretHere),
        (false, true) => Some(Refusal::SecretRequired),
        (true, true) | (false, false) => None,
    }
}

fn prologue(dialer: Preamble, acceptor: Preamble) -> [u8; 2 * PREAMBLE_BYTES] {
    let mut bytes = [0; 2 * PREAMBLE_BYTES];
    let (first, second) = bytes.split_at_mut(PREAMBLE_BYTES);
    first.copy_from_slice(&dialer.encode());
    second.copy_from_slice(&acceptor.encode());
    bytes
}

fn broken(error: io::Error) -> HandshakeError {
    let ended = error.kind() == io::ErrorKind::UnexpectedEof;
    HandshakeError::Broken(if ended { Closed::Vanished } else { error.into() })
}

fn step(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("steps are keys and short refusals");
    let mut bytes = Vec::with_capacity(STEP_HEADER_BYTES + body.len());
    bytes.push(tag);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

async fn read_step(stream: &mut Stream) -> io::Result<(u8, Vec<u8>)> {
    let tag = stream.read_u8().await?;
    let length = stream.read_u16_le().await?;
    let mut body = vec![0; usize::from(length)];
    stream.read_exact(&mut body).await?;
    Ok((tag, body))
}

fn encode(message: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(message).expect("messages of the handshake consist of plain values")
}

/// A refusal of a newer version may be one that this version does not know.
fn decode_refusal(bytes: &[u8]) -> Refusal {
    postcard::from_bytes(bytes)
        .unwrap_or_else(|_| Refusal::Other("for a reason that this version does not know".to_owned()))
}

async fn linger(source: &mut (impl AsyncRead + Unpin)) {
    let rest = async {
        let _ = tokio::io::copy(&mut source.take(LINGER_BYTES), &mut tokio::io::sink()).await;
    };
    let _ = clock::within(LINGER, rest).await;
}
