//! Bytes that were cut, changed or made up.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::transport::{
    frame::{Frame, FrameKind},
    preamble::Preamble,
    record::{Protection, Sealer},
};

/// A dialer without a secret that can send whatever it wants once it was let in.
struct RawDialer {
    stream: TcpStream,
    sealer: Sealer,
}

impl RawDialer {
    async fn connect(addr: &str) -> Self {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(&Preamble::ours(false).encode()).await.unwrap();
        let mut dialer = Self { stream, sealer: Sealer::new(Protection::Checksum) };
        let frame = Frame::control(FrameKind::Hello, postcard::to_stdvec(&hello()).unwrap());
        dialer.send(&[frame.header().as_slice(), &frame.payload].concat()).await;
        // Its preamble and at least the start of the acceptance.
        let mut answer = BytesMut::new();
        while answer.len() <= 12 {
            soon("the acceptance", dialer.stream.read_buf(&mut answer)).await.unwrap();
        }
        dialer
    }

    async fn send(&mut self, plain: &[u8]) {
        let mut sealed = Vec::new();
        self.sealer.seal(plain, &mut sealed);
        self.stream.write_all(&sealed).await.unwrap();
    }
}

fn request(payload: &'static [u8]) -> Vec<u8> {
    let frame = Frame { kind: FrameKind::Request, id: 1, payload: payload.into() };
    [frame.header().as_slice(), payload].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stalls_in_the_middle_of_a_frame_is_cut_off() {
    let config = TransportConfig { stall_timeout: Duration::from_millis(50), ..TransportConfig::default() };
    let mut server = Server::echo(config.clone()).await;
    let idle = server.connect(&config).await;
    let mut dialer = RawDialer::connect(&server.addr).await;
    dialer.send(&request(b"half")[..15]).await;
    let why = server.next_closed().await;
    assert!(matches!(why, Closed::Stalled { have: 15, .. }), "{why}");
    // Who is between two frames may be silent for as long as it likes.
    call(&idle, "x").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_in_the_middle_of_a_frame_says_so() {
    let mut server = Server::echo(TransportConfig::default()).await;
    let mut dialer = RawDialer::connect(&server.addr).await;
    dialer.send(&request(b"half")[..15]).await;
    drop(dialer);
    let why = server.next_closed().await;
    assert!(matches!(why, Closed::MidFrame { have: 15 } | Closed::Socket(_)), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announced_frame_beyond_the_limit_ends_the_connection_with_both_sizes() {
    let small = TransportConfig { max_frame_bytes: 1000, ..TransportConfig::default() };
    let mut server = Server::echo(small).await;
    let mut dialer = RawDialer::connect(&server.addr).await;
    let mut header = request(b"");
    header[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    dialer.send(&header).await;
    let why = server.next_closed().await;
    assert!(matches!(why, Closed::FrameTooLarge { bytes: 0xffff_ffff, limit: 1000 }), "{why}");
    // A client with a larger limit learns that the connection ended, and the server serves the next one.
    let connection = server.connect(&TransportConfig::default()).await;
    let error = call(&connection, vec![0; 1001]).await.unwrap_err();
    assert!(matches!(error, CallError::Disconnected { .. }), "{error}");
    call(&server.connect(&TransportConfig::default()).await, "x").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_out_of_place_and_wrong_checksums_end_the_connection() {
    let mut server = Server::echo(TransportConfig::default()).await;
    let mut dialer = RawDialer::connect(&server.addr).await;
    dialer.send(&Frame::control(FrameKind::Accepted, "").header()).await;
    let why = server.next_closed().await;
    assert!(matches!(why, Closed::Damaged { what } if what.contains("dialer does not send")), "{why}");

    let mut dialer = RawDialer::connect(&server.addr).await;
    let mut unknown = request(b"");
    unknown[4] = 0x77;
    dialer.send(&unknown).await;
    let why = server.next_closed().await;
    assert!(matches!(why, Closed::Damaged { what } if what.contains("unknown kind")), "{why}");

    for record in [&[3, 0, 1, 2, 3][..], &[5, 0, 1, 2, 3, 4, 5]] {
        let mut dialer = RawDialer::connect(&server.addr).await;
        dialer.stream.write_all(record).await.unwrap();
        let why = server.next_closed().await;
        assert!(matches!(why, Closed::Damaged { .. }), "{why}");
    }
}

/// A man in the middle who changes one bit of what the listener or the dialer sends, when told to.
async fn meddler(target: String, of_listener: bool, now: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (dialer, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(target).await.unwrap();
        let ((dialer_read, dialer_write), (server_read, server_write)) =
            (dialer.into_split(), server.into_split());
        let (mut faithful_from, mut faithful_to, mut from, mut to) = if of_listener {
            (dialer_read, server_write, server_read, dialer_write)
        } else {
            (server_read, dialer_write, dialer_read, server_write)
        };
        let faithful = tokio::spawn(async move { copy(&mut faithful_from, &mut faithful_to).await });
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            if now.load(Ordering::SeqCst) {
                bytes[count / 2] ^= 0x10;
            }
            if to.write_all(&bytes[..count]).await.is_err() {
                break;
            }
        }
        faithful.abort();
    });
    addr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_bit_is_detected_by_whichever_side_receives_it() {
    for of_listener in [false, true] {
        let config = with(&secret());
        let mut server = Server::echo(config.clone()).await;
        let meddle = Arc::new(AtomicBool::new(false));
        let addr = meddler(server.addr.clone(), of_listener, Arc::clone(&meddle)).await;
        let connection = soon("a connection", Connection::open(&addr, hello(), &config)).await.unwrap();
        call(&connection, "untouched").await.unwrap();
        meddle.store(true, Ordering::SeqCst);
        let error = call(&connection, vec![b'x'; 300]).await.unwrap_err();
        assert!(error.may_have_arrived(), "{error}");
        let why =
            if of_listener { soon("the end", connection.closed()).await } else { server.next_closed().await };
        assert!(matches!(why, Closed::Damaged { what } if what.contains("decrypt")), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_handshake_does_not_become_a_connection() {
    let config = with(&secret());
    let server = Server::echo(config.clone()).await;
    let addr = meddler(server.addr.clone(), true, Arc::new(AtomicBool::new(true))).await;
    assert!(soon("an error", Connection::open(&addr, hello(), &config)).await.is_err());
}
