//! Links that are disturbed by a test.

use tabularaft_schema::NodeName;

use super::*;

fn names() -> (NodeName, NodeName) {
    ("dialer@127.0.0.1".parse().unwrap(), "server@127.0.0.1".parse().unwrap())
}

/// A disturbed link between `dialer` and `server`, with the requests that arrive.
async fn linked() -> (Arc<Links>, Server, TransportConfig, mpsc::Receiver<Bytes>) {
    let links = Links::new();
    let config = TransportConfig { links: Some(Arc::clone(&links)), ..with(&secret()) };
    let (seen_sender, seen) = mpsc::channel(QUEUE);
    let server = Server::start(config.clone(), move |payload, reply| {
        let _ = seen_sender.try_send(payload.clone());
        reply.send(payload);
    })
    .await;
    links.register(server.addr.clone(), names().1);
    (links, server, config, seen)
}

/// Long enough that bytes which are not held back would have arrived on loopback.
const A_WHILE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_direction_holds_requests_back_until_it_is_healed() {
    let (links, server, config, mut seen) = linked().await;
    let (dialer, listener) = names();
    let connection = server.connect(&config).await;
    call(&connection, "before").await.unwrap();
    seen.recv().await;
    links.block(&dialer, &listener);
    let answers: Vec<_> = (0..100u8).map(|i| connection.try_start(vec![i].into()).unwrap()).collect();
    assert!(timeout(A_WHILE, seen.recv()).await.is_err(), "a request passed a blocked link");
    assert!(!connection.is_closed());
    links.heal(&dialer, &listener);
    for (i, answer) in (0..100u8).zip(answers) {
        assert_eq!(soon("a reply", answer).await.unwrap(), [i].as_slice());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_direction_flows_while_one_is_blocked() {
    let (links, server, config, mut seen) = linked().await;
    let (dialer, listener) = names();
    let connection = server.connect(&config).await;
    links.block(&listener, &dialer);
    let mut answer = connection.try_start("x".into()).unwrap();
    soon("the request", seen.recv()).await.unwrap();
    assert!(timeout(A_WHILE, &mut answer).await.is_err(), "a reply passed a blocked link");
    links.heal_all();
    soon("the reply", answer).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_link_hides_the_death_of_the_peer() {
    let (links, server, config, _seen) = linked().await;
    let connection = server.connect(&config).await;
    links.isolate(&names().1);
    drop(server);
    assert!(timeout(A_WHILE, connection.closed()).await.is_err(), "the end passed a blocked link");
    links.rejoin(&names().1);
    soon("the notice of death", connection.closed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_in_the_middle_of_a_frame_is_no_stall_of_the_peer() {
    let links = Links::new();
    let config = TransportConfig {
        links: Some(Arc::clone(&links)),
        stall_timeout: Duration::from_millis(20),
        ..with(&secret())
    };
    let (blocked_sender, mut blocked) = mpsc::channel(QUEUE);
    let block = Arc::clone(&links);
    let server = Server::start(config.clone(), move |payload, reply| {
        reply.send(payload);
        block.block(&names().1, &names().0);
        blocked_sender.try_send(()).unwrap();
    })
    .await;
    let connection = server.connect(&config).await;
    let payload = Bytes::from(vec![5; 8 << 20]);
    let mut answer = connection.try_start(payload.clone()).unwrap();
    soon("the block", blocked.recv()).await.unwrap();
    assert!(timeout(A_WHILE, &mut answer).await.is_err(), "8 MiB passed a link that was blocked at once");
    assert!(!connection.is_closed());
    links.heal_all();
    assert!(soon("the reply", answer).await.unwrap() == payload);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delayed_direction_delivers_late_and_in_order() {
    let (links, server, config, mut seen) = linked().await;
    let (dialer, listener) = names();
    let connection = server.connect(&config).await;
    links.delay(&dialer, &listener, Duration::from_millis(60));
    let began = Instant::now();
    let answers: Vec<_> = (0..50u8).map(|i| connection.try_start(vec![i].into()).unwrap()).collect();
    for (i, answer) in (0..50u8).zip(answers) {
        soon("a reply", answer).await.unwrap();
        assert_eq!(seen.recv().await.unwrap(), [i].as_slice());
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(60), "the delay was {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_hang_on_a_blocked_link_until_it_is_healed_or_their_timeout() {
    let (links, server, config, _seen) = linked().await;
    let (dialer, listener) = names();
    for (from, to) in [(&dialer, &listener), (&listener, &dialer)] {
        links.block(from, to);
        let hasty = TransportConfig { connect_timeout: A_WHILE, ..config.clone() };
        let error = soon("the timeout", Connection::open(&server.addr, hello(), &hasty)).await.unwrap_err();
        assert!(matches!(error, ConnectError::TimedOut { stage: "connecting", .. }), "{error}");
        let patient = TransportConfig { connect_timeout: PATIENCE, ..config.clone() };
        let (opened, ()) = tokio::join!(Connection::open(&server.addr, hello(), &patient), async {
            links.heal(from, to);
        });
        call(&opened.unwrap(), "x").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_no_node_is_never_blocked() {
    let (links, server, config, _seen) = linked().await;
    links.isolate(&names().1);
    let from = Hello { from: PeerIdentity::client(), role: Role::Client, ..hello() };
    let connection = soon("a connection", Connection::open(&server.addr, from, &config)).await.unwrap();
    call(&connection, "x").await.unwrap();
}
