//! How connections end, and how each side learns of it.

use super::*;

fn silent() -> impl Fn(Bytes, Reply) + Send + Sync + 'static {
    let held = Mutex::new(Vec::new());
    move |_, reply| held.lock().unwrap().push(reply)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_the_peer_is_noticed_at_once_and_calls_under_way_may_have_arrived() {
    let config = with(&secret());
    let server = Server::start(config.clone(), silent()).await;
    let connection = server.connect(&config).await;
    let answer = connection.try_start("x".into()).unwrap();
    assert!(!connection.is_closed());
    // Dropping a listener closes its sockets as the death of its process would.
    drop(server);
    let why = soon("the notice of death", connection.closed()).await;
    assert!(matches!(why, Closed::Vanished | Closed::Socket(_)), "{why}");
    assert!(connection.is_closed());
    let error = soon("the end of the call", answer).await.unwrap_err();
    assert!(matches!(error, CallError::Disconnected { .. } | CallError::NotSent { .. }), "{error}");
    let error = connection.try_start("y".into()).unwrap_err();
    assert!(matches!(error, CallError::NotSent { why: NotSentWhy::Closed(_), .. }), "{error}");
    assert!(!error.may_have_arrived());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_reached_a_peer_that_died_may_have_been_carried_out() {
    let (seen_sender, mut seen) = mpsc::channel(QUEUE);
    let server =
        Server::start(TransportConfig::default(), move |_, reply| seen_sender.try_send(reply).unwrap()).await;
    let connection = server.connect(&TransportConfig::default()).await;
    let answer = connection.try_start("x".into()).unwrap();
    let _reply = soon("the request", seen.recv()).await;
    drop(server);
    let error = soon("the end of the call", answer).await.unwrap_err();
    assert!(matches!(error, CallError::Disconnected { .. }), "{error}");
    assert!(error.may_have_arrived());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shut_down_listener_says_good_bye_and_frees_its_port() {
    let config = with(&secret());
    let mut server = Server::echo(config.clone()).await;
    let connection = server.connect(&config).await;
    call(&connection, "x").await.unwrap();
    assert_eq!(server.listener.connections(), 1);
    soon("the shutdown", server.listener.shutdown()).await;
    let why = soon("the good-bye", connection.closed()).await;
    assert!(matches!(why, Closed::ByPeer), "{why}");
    assert!(matches!(soon("the session's end", server.closed.recv()).await, Some(Closed::Here)));
    let again = Server::start_at(&server.addr, config.clone(), |payload, reply| reply.send(payload)).await;
    call(&again.connect(&config).await, "y").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_dropped_handle_closes_the_connection_after_what_was_queued() {
    let (seen_sender, mut seen) = mpsc::channel(QUEUE);
    let mut server = Server::start(TransportConfig::default(), move |payload, reply| {
        seen_sender.try_send((payload, reply)).unwrap()
    })
    .await;
    let connection = server.connect(&TransportConfig::default()).await;
    let clone = connection.clone();
    drop(connection);
    let answer = clone.try_start("last words".into()).unwrap();
    drop(clone);
    let (payload, _reply) = soon("the queued request", seen.recv()).await.unwrap();
    assert_eq!(payload, "last words");
    let why = server.next_closed().await;
    assert!(matches!(why, Closed::ByPeer | Closed::Socket(_)), "{why}");
    assert!(soon("the abandoned call", answer).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_all_clones() {
    let mut server = Server::echo(TransportConfig::default()).await;
    let connection = server.connect(&TransportConfig::default()).await;
    let clone = connection.clone();
    soon("the close", connection.close()).await;
    assert!(matches!(soon("the end", clone.closed()).await, Closed::Here));
    assert!(matches!(server.next_closed().await, Closed::ByPeer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disconnecting_all_ends_present_connections_and_takes_new_ones_under_the_new_identity() {
    let server = Server::echo(TransportConfig::default()).await;
    let connection = server.connect(&TransportConfig::default()).await;
    *server.door.identity.lock().unwrap() = node("server@127.0.0.1", 99);
    server.listener.disconnect_all();
    assert!(matches!(soon("the good-bye", connection.closed()).await, Closed::ByPeer));
    let again = server.connect(&TransportConfig::default()).await;
    assert_eq!(again.peer().node_id, 99);
    call(&again, "x").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_does_not_wait_for_a_dialer_that_never_finishes_its_handshake() {
    let server = Server::echo(TransportConfig::default()).await;
    let _idle = tokio::net::TcpStream::connect(&server.addr).await.unwrap();
    let began = Instant::now();
    soon("the shutdown", server.listener.shutdown()).await;
    assert!(began.elapsed() < TransportConfig::default().handshake_timeout);
}
