//! Who gets in, and what those are told who do not.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::transport::preamble::Preamble;

async fn refused(server: &Server, hello: Hello, config: &TransportConfig) -> Refusal {
    let began = Instant::now();
    let error = soon("a refusal", Connection::open(&server.addr, hello, config)).await.unwrap_err();
    assert!(began.elapsed() < config.handshake_timeout, "a refusal is no timeout");
    assert!(error.to_string().contains(&server.addr), "{error}");
    error.refusal().cloned().unwrap_or_else(|| panic!("no refusal: {error}"))
}

async fn refused_on_both_sides(ours: &TransportConfig, theirs: &TransportConfig) -> Refusal {
    let mut server = Server::echo(ours.clone()).await;
    let refusal = refused(&server, hello(), theirs).await;
    match server.next_turned_away().await {
        HandshakeError::Refused(told) => assert_eq!(told, refusal),
        other => panic!("the listener reports {other}"),
    }
    refusal
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_named_at_once_on_both_sides() {
    assert_eq!(refused_on_both_sides(&with(&secret()), &with(&secret())).await, Refusal::WrongSecret);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_on_one_side_only_is_named_at_once_on_both_sides() {
    let (some, none) = (with(&secret()), TransportConfig::default());
    assert_eq!(refused_on_both_sides(&some, &none).await, Refusal::SecretRequired);
    assert_eq!(refused_on_both_sides(&none, &some).await, Refusal::NoSecretHere);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialer_of_another_version_gets_both_versions_named() {
    let config = with(&secret());
    let mut server = Server::echo(config.clone()).await;
    let mut stream = TcpStream::connect(&server.addr).await.unwrap();
    let newer = Preamble { version: 7, has_secret: true };
    stream.write_all(&newer.encode()).await.unwrap();
    let mut answer = Vec::new();
    soon("the end of the answer", stream.read_to_end(&mut answer)).await.unwrap();
    let (preamble, step) = answer.split_first_chunk::<12>().unwrap();
    assert_eq!(Preamble::decode(*preamble), Some(Preamble::ours(true)));
    let expected = Refusal::ProtocolVersion { acceptor: PROTOCOL_VERSION, dialer: 7 };
    assert_eq!(step[0], 2, "the step is a refusal");
    assert_eq!(postcard::from_bytes::<Refusal>(&step[3..]).unwrap(), expected);
    assert!(matches!(server.next_turned_away().await, HandshakeError::Refused(told) if told == expected));
}

/// A listener that answers whatever comes with these bytes.
async fn stranger(answer: impl Into<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let answer = answer.into();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(&answer).await;
            open.push(stream);
        }
    });
    addr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_of_another_version_is_named_with_both_versions() {
    let addr = stranger(Preamble { version: 9, has_secret: false }.encode()).await;
    let error =
        soon("a refusal", Connection::open(&addr, hello(), &TransportConfig::default())).await.unwrap_err();
    let expected = Refusal::ProtocolVersion { acceptor: 9, dialer: PROTOCOL_VERSION };
    assert_eq!(error.refusal(), Some(&expected), "{error}");
    assert!(error.to_string().contains("version 9"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_of_another_kind_is_recognised_at_its_first_bytes() {
    for answer in ["SSH-2.0-x\r\n", "x"] {
        let addr = stranger(answer).await;
        let error = soon("an error", Connection::open(&addr, hello(), &TransportConfig::default()))
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::NotOurProtocol { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_turned_away_at_once_and_the_listener_stays_up() {
    let config = with(&secret());
    let mut server = Server::echo(config.clone()).await;
    let mut after_preamble = Preamble::ours(true).encode().to_vec();
    after_preamble.extend([1, 48, 0]);
    after_preamble.extend([0xa5; 48]);
    let mut long_step = Preamble::ours(true).encode().to_vec();
    long_step.extend([0xff; 70_000]);
    let garbage = [b"GET / HTTP/1.1\r\n\r\n".to_vec(), b"\0".to_vec(), after_preamble, long_step];
    for bytes in garbage {
        let mut stream = TcpStream::connect(&server.addr).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        soon("the end of the answer", stream.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.starts_with(b"TABRAFT\n"), "even a stranger is told whom it has reached");
        drop(stream);
        let why = server.next_turned_away().await;
        assert!(
            matches!(why, HandshakeError::Refused(Refusal::NotOurProtocol | Refusal::WrongSecret)),
            "{why} after {bytes:?}"
        );
    }
    call(&server.connect(&config).await, "x").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_says_nothing_is_cut_off_by_either_side() {
    let config =
        TransportConfig { handshake_timeout: Duration::from_millis(50), ..TransportConfig::default() };
    let mut server = Server::echo(config.clone()).await;
    let _silent = TcpStream::connect(&server.addr).await.unwrap();
    assert!(matches!(server.next_turned_away().await, HandshakeError::TimedOut { .. }));
    let addr = stranger("").await;
    let error = soon("the timeout", Connection::open(&addr, hello(), &config)).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { stage: "handshake", .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_the_admission_reaches_the_dialer_as_it_is() {
    let name = || "dialer@127.0.0.1".parse().unwrap();
    let text = || "other".to_owned();
    let config = with(&secret());
    let server = Server::echo(config.clone()).await;
    for refusal in [
        Refusal::ClusterName { ours: "ours".to_owned(), theirs: "theirs".to_owned() },
        Refusal::ClusterId { ours: 1, theirs: u128::MAX },
        Refusal::Removed { name: name(), at: 17 },
        Refusal::NameTaken { name: name(), by: text() },
        Refusal::NotReady { why: text() },
        Refusal::Other(text()),
    ] {
        *server.door.refusal.lock().unwrap() = Some(refusal.clone());
        assert_eq!(refused(&server, hello(), &config).await, refusal);
    }
}

#[tokio::test]
async fn a_peer_that_is_fenced_while_it_is_connected_is_cut_off_and_told_why_when_it_returns() {
    let config = with(&secret());
    let server = Server::echo(config.clone()).await;
    let connection = server.connect(&config).await;
    call(&connection, "x").await.unwrap();
    let refusal = Refusal::Removed { name: "dialer@127.0.0.1".parse().unwrap(), at: 17 };
    *server.door.refusal.lock().unwrap() = Some(refusal.clone());
    soon("the end of the connection", connection.closed()).await;
    assert_eq!(refused(&server, hello(), &config).await, refusal);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialer_that_wants_another_node_is_told_who_lives_here() {
    let server = Server::echo(TransportConfig::default()).await;
    let refusal = refused(&server, Hello { wants: Some(5), ..hello() }, &TransportConfig::default()).await;
    assert_eq!(refusal, Refusal::WrongNode { wanted: 5, actual: 2 });
    let right = Hello { wants: Some(2), ..hello() };
    soon("a connection", Connection::open(&server.addr, right, &TransportConfig::default())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_listener_says_so_and_has_room_again_when_a_connection_ends() {
    let config = TransportConfig { max_connections: 1, ..with(&secret()) };
    let mut server = Server::echo(config.clone()).await;
    let first = server.connect(&config).await;
    assert_eq!(refused(&server, hello(), &config).await, Refusal::Busy { limit: 1 });
    drop(first);
    server.next_closed().await;
    let pool = Pool::new(config, Arc::new(|_, _| hello()));
    let second = pool.get_until(&server.addr, Lane::Calls, None, deadline()).await.unwrap();
    call(&second, "x").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dialers_beyond_the_limit_of_handshakes_wait_for_their_turn() {
    let config = TransportConfig {
        max_handshakes: 1,
        handshake_timeout: Duration::from_millis(500),
        ..TransportConfig::default()
    };
    let server = Server::echo(config).await;
    let _silent = TcpStream::connect(&server.addr).await.unwrap();
    let connection = server.connect(&TransportConfig::default()).await;
    call(&connection, "x").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_of_loopback_nothing_works_without_a_secret() {
    let server = Server::echo(TransportConfig::default()).await;
    let service = Arc::new(Functions::new(|_, _| (), mpsc::channel(QUEUE).0));
    let bind = |config| Listener::bind("0.0.0.0:0", config, server.door.clone(), service.clone());
    let error = bind(TransportConfig::default()).await.unwrap_err();
    assert!(matches!(error, TransportError::SecretRequired { .. }), "{error}");
    bind(with(&secret())).await.unwrap();
    let config = TransportConfig::default();
    let dial = Connection::open("192.0.2.1:7100", hello(), &config);
    let error = soon("a refusal", dial).await.unwrap_err();
    assert!(matches!(&error, ConnectError::SecretRequired { addr } if addr == "192.0.2.1:7100"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_and_a_port_without_listener_are_named() {
    let server = Server::echo(TransportConfig::default()).await;
    let service = Arc::new(Functions::new(|_, _| (), mpsc::channel(QUEUE).0));
    let error = Listener::bind(&server.addr, TransportConfig::default(), server.door.clone(), service).await;
    let error = error.unwrap_err();
    assert!(matches!(&error, TransportError::AddressInUse { listen } if *listen == server.addr), "{error}");
    let addr = server.addr.clone();
    server.listener.shutdown().await;
    let error = Connection::open(&addr, hello(), &TransportConfig::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&addr), "{error}");
}
