//! Requests and replies.

use super::*;

fn pattern(bytes: usize) -> Bytes {
    (0..bytes).map(|i| (i * 7 % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_of_all_sizes_come_back_unchanged_with_and_without_a_secret() {
    for config in [TransportConfig::default(), with(&secret())] {
        let config = TransportConfig { max_frame_bytes: 4 << 20, ..config };
        let server = Server::echo(config.clone()).await;
        let connection = server.connect(&config).await;
        for bytes in [0, 1, 100, 65_506, 65_507, 65_519, 65_535, 65_536, 200_000, config.max_frame_bytes] {
            let payload = pattern(bytes);
            let reply = call(&connection, payload.clone()).await.unwrap();
            assert!(reply == payload, "a payload of {bytes} bytes was changed");
        }
        assert_eq!(connection.peer().node_id, 2);
        assert_eq!(connection.peer_feature_level(), 3);
        assert_eq!(connection.addr(), server.addr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_arrive_in_the_order_of_their_start_and_replies_find_their_callers() {
    let (seen_sender, mut seen) = mpsc::channel(QUEUE);
    let held = Mutex::new(Vec::new());
    let config = with(&secret());
    // Replies are given in pairs, the second request's first.
    let server = Server::start(config.clone(), move |payload, reply| {
        seen_sender.try_send(payload.clone()).unwrap();
        let mut held = held.lock().unwrap();
        held.push((payload, reply));
        if held.len() == 2 {
            held.drain(..).rev().for_each(|(payload, reply)| reply.send(payload));
        }
    })
    .await;
    let connection = server.connect(&config).await;
    let mut answers = Vec::new();
    for i in 0..1000u32 {
        answers.push(connection.try_start(Bytes::copy_from_slice(&i.to_le_bytes())).unwrap());
    }
    for (i, answer) in (0u32..).zip(answers) {
        assert_eq!(soon("a reply", answer).await.unwrap(), i.to_le_bytes().as_slice());
        assert_eq!(seen.recv().await.unwrap(), i.to_le_bytes().as_slice());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_reply_tells_the_caller() {
    let server = Server::start(TransportConfig::default(), |_, reply| drop(reply)).await;
    let connection = server.connect(&TransportConfig::default()).await;
    let error = call(&connection, "x").await.unwrap_err();
    assert!(matches!(error, CallError::Refused { refusal: CallRefusal::NoAnswer, .. }), "{error}");
    assert!(error.may_have_arrived());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_too_large_is_not_sent_and_names_both_sizes() {
    let config = TransportConfig { max_frame_bytes: 1000, ..TransportConfig::default() };
    let server = Server::echo(config.clone()).await;
    let connection = server.connect(&config).await;
    let error = call(&connection, pattern(1001)).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge { bytes: 1001, limit: 1000 }), "{error}");
    assert!(!error.may_have_arrived());
    assert_eq!(call(&connection, pattern(1000)).await.unwrap().len(), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_too_large_is_reported_to_the_caller() {
    let config = TransportConfig { max_frame_bytes: 1000, ..TransportConfig::default() };
    let server = Server::start(config.clone(), |_, reply| reply.send(pattern(5000))).await;
    let connection = server.connect(&config).await;
    let error = call(&connection, "x").await.unwrap_err();
    let refusal = CallRefusal::ReplyTooLarge { bytes: 5000, limit: 1000 };
    assert!(matches!(&error, CallError::Refused { refusal: actual, .. } if *actual == refusal), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_reply_ends_at_its_deadline() {
    let held = Mutex::new(Vec::new());
    let server =
        Server::start(TransportConfig::default(), move |_, reply| held.lock().unwrap().push(reply)).await;
    let connection = server.connect(&TransportConfig::default()).await;
    let deadline = Instant::now() + Duration::from_millis(50);
    let error = soon("the deadline", connection.call("x".into(), deadline)).await.unwrap_err();
    assert!(matches!(error, CallError::TimedOut { .. }), "{error}");
    assert!(error.may_have_arrived());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_client_refuses_or_waits_and_what_waited_past_its_deadline_was_not_sent() {
    let (held_sender, mut held) = mpsc::channel(QUEUE);
    let server =
        Server::start(TransportConfig::default(), move |_, reply| held_sender.try_send(reply).unwrap()).await;
    let config = TransportConfig { max_unanswered: 2, ..TransportConfig::default() };
    let connection = server.connect(&config).await;
    let first = connection.try_start("1".into()).unwrap();
    let _second = connection.try_start("2".into()).unwrap();
    let error = connection.try_start("3".into()).unwrap_err();
    assert!(matches!(error, CallError::NotSent { why: NotSentWhy::QueueFull, .. }), "{error}");
    let error = connection.call("4".into(), Instant::now() + Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, CallError::NotSent { why: NotSentWhy::Deadline { .. }, .. }), "{error}");
    // A reply makes room for the one who waits.
    let waiting = connection.start("5".into());
    tokio::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    soon("the first request", held.recv()).await.unwrap().send(Bytes::new());
    soon("the first reply", first).await.unwrap();
    let error = connection.try_start("6".into()).unwrap_err();
    assert!(
        matches!(error, CallError::NotSent { why: NotSentWhy::QueueFull, .. }),
        "nobody passes a waiter: {error}"
    );
    let _fifth = soon("room", waiting).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_reads_no_further_than_its_limit_of_unanswered_requests() {
    let (seen_sender, mut seen) = mpsc::channel(QUEUE);
    let config = TransportConfig { max_unanswered: 4, ..TransportConfig::default() };
    let server =
        Server::start(config, move |payload, reply| seen_sender.try_send((payload, reply)).unwrap()).await;
    let connection = server.connect(&TransportConfig::default()).await;
    let answers: Vec<_> = (0..10u8).map(|i| connection.try_start(vec![i].into()).unwrap()).collect();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(soon("a request", seen.recv()).await.unwrap());
    }
    // Each answer lets exactly one more request in; nothing else ever does.
    for i in 4..10u8 {
        assert!(seen.try_recv().is_err(), "more than four requests are unanswered");
        let (payload, reply) = held.remove(0);
        reply.send(payload);
        let next = soon("the next request", seen.recv()).await.unwrap();
        assert_eq!(next.0[0], i);
        held.push(next);
    }
    held.into_iter().for_each(|(payload, reply)| reply.send(payload));
    for answer in answers {
        soon("a reply", answer).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_bytes_than_the_queue_takes_flow_through_a_slow_reader_without_loss() {
    let config = TransportConfig { queue_bytes: 64 * 1024, ..with(&secret()) };
    let server = Server::echo(config.clone()).await;
    let connection = server.connect(&config).await;
    let calls = (0..200usize).map(|i| {
        let connection = connection.clone();
        async move {
            let payload = pattern(50_000 + i);
            assert!(call(&connection, payload.clone()).await.unwrap() == payload);
        }
    });
    soon("all replies", futures::future::join_all(calls)).await;
}
