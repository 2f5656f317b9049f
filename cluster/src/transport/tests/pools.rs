//! Shared connections to all peers.

use super::*;

fn pool(config: &TransportConfig) -> Pool {
    Pool::new(config.clone(), Arc::new(|lane, wants| Hello { lane, wants, ..hello() }))
}

#[tokio::test]
async fn however_many_ask_at_once_each_lane_is_dialed_once() {
    let config = with(&secret());
    let server = Server::echo(config.clone()).await;
    let pool = pool(&config);
    let gets =
        (0..50).map(|i| pool.get(&server.addr, if i % 2 == 0 { Lane::Raft } else { Lane::Bulk }, Some(2)));
    for connection in soon("all connections", futures::future::join_all(gets)).await {
        call(&connection.unwrap(), "x").await.unwrap();
    }
    assert_eq!(server.opened.load(Ordering::Relaxed), 2);
    assert!(pool.existing(&server.addr, Lane::Raft).is_some());
    assert!(pool.existing(&server.addr, Lane::Calls).is_none());
}

#[tokio::test]
async fn a_dial_goes_on_for_others_when_the_first_who_asked_gives_up() {
    let config = TransportConfig::default();
    let server = Server::echo(config.clone()).await;
    let pool = pool(&config);
    {
        let first = pool.get(&server.addr, Lane::Calls, None);
        tokio::pin!(first);
        assert!(futures::poll!(&mut first).is_pending());
    }
    soon("the connection", pool.get(&server.addr, Lane::Calls, None)).await.unwrap();
    assert_eq!(server.opened.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_peer_that_was_restarted_again_and_again_is_found_each_time() {
    let config = with(&secret());
    let mut server = Server::echo(config.clone()).await;
    let pool = pool(&config);
    for _ in 0..20 {
        let connection = pool.get_until(&server.addr, Lane::Calls, None, deadline()).await.unwrap();
        call(&connection, "x").await.unwrap();
        let addr = server.addr.clone();
        server.listener.shutdown().await;
        soon("the end", connection.closed()).await;
        server = Server::start_at(&addr, config.clone(), |payload, reply| reply.send(payload)).await;
    }
}

#[tokio::test]
async fn a_failed_address_is_left_alone_for_a_growing_while() {
    let config = TransportConfig { backoff_initial: Duration::from_secs(3), ..TransportConfig::default() };
    let config = TransportConfig { backoff_max: Duration::from_secs(10), ..config };
    let server = Server::echo(config.clone()).await;
    let addr = server.addr.clone();
    server.listener.shutdown().await;
    let pool = pool(&config);
    let error = pool.get(&addr, Lane::Calls, None).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    let error = pool.get(&addr, Lane::Calls, None).await.unwrap_err();
    let ConnectError::BackingOff { retry_in, last, .. } = &error else { panic!("{error}") };
    assert!(*retry_in <= Duration::from_secs(3), "{retry_in:?}");
    assert!(matches!(**last, ConnectError::Unreachable { .. }), "{last}");
    assert!(error.is_retryable());
    // Whoever knows better makes the pool forget the failure.
    let _server = Server::start_at(&addr, config.clone(), |payload, reply| reply.send(payload)).await;
    pool.forget(&addr);
    call(&pool.get(&addr, Lane::Calls, None).await.unwrap(), "x").await.unwrap();
}

#[tokio::test]
async fn waiting_until_a_deadline_ends_with_the_error_of_the_last_attempt() {
    let config = TransportConfig::default();
    let server = Server::echo(config.clone()).await;
    let addr = server.addr.clone();
    server.listener.shutdown().await;
    let pool = pool(&config);
    let deadline = Instant::now() + Duration::from_millis(500);
    let error = soon("the deadline", pool.get_until(&addr, Lane::Calls, None, deadline)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    // What waiting does not mend is reported at once.
    let _server = Server::start_at(&addr, with(&secret()), |payload, reply| reply.send(payload)).await;
    let error =
        soon("the refusal", pool.get_until(&addr, Lane::Calls, None, self::deadline())).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::SecretRequired), "{error}");
}

#[tokio::test]
async fn another_node_at_a_known_address_is_noticed() {
    let config = TransportConfig::default();
    let server = Server::echo(config.clone()).await;
    let pool = pool(&config);
    let old = pool.get(&server.addr, Lane::Calls, Some(2)).await.unwrap();
    let error = pool.get(&server.addr, Lane::Calls, Some(3)).await.unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::WrongNode { wanted: 3, actual: 2 }));
    *server.door.identity.lock().unwrap() = node("server@127.0.0.1", 3);
    let new = pool.get_until(&server.addr, Lane::Calls, Some(3), deadline()).await;
    // A wrong node is no passing trouble, so the pause after it is reported and not waited for.
    let error = new.unwrap_err();
    assert!(matches!(error, ConnectError::BackingOff { .. }), "{error}");
    pool.forget(&server.addr);
    assert_eq!(pool.get(&server.addr, Lane::Calls, Some(3)).await.unwrap().peer().node_id, 3);
    call(&old, "x").await.unwrap();
}

#[tokio::test]
async fn closing_all_ends_connections_and_attempts_and_the_pool_can_go_on() {
    let config = TransportConfig::default();
    let server = Server::echo(config.clone()).await;
    let hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nowhere = hole.local_addr().unwrap().to_string();
    let pool = pool(&config);
    let connection = pool.get(&server.addr, Lane::Calls, None).await.unwrap();
    let attempt = pool.get(&nowhere, Lane::Calls, None);
    tokio::pin!(attempt);
    assert!(futures::poll!(&mut attempt).is_pending());
    soon("the close", pool.close_all()).await;
    assert!(matches!(soon("the end", connection.closed()).await, Closed::Here));
    let error = soon("the end of the attempt", attempt).await.unwrap_err();
    assert!(matches!(error, ConnectError::CalledOff { .. }), "{error}");
    call(&pool.get(&server.addr, Lane::Calls, None).await.unwrap(), "x").await.unwrap();
}
