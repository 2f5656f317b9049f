use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tabularaft_schema::TableId;
use tabularaft_store::Incarnation;

use crate::admin::protocol::{AdminReply, AdminRequest, OperationId, Outcome, Progress, TableRef};
use crate::admin::{AdminClient, AdminError, AdminErrorKind};
use crate::transport::{
    Admission, Closed, Hello, Listener, Peer, PeerIdentity, Refusal, Reply, Role, Service, Session,
    TransportConfig,
};
use crate::wire::{Answer, Call};

const TIMEOUT: Duration = Duration::from_secs(20);

type Script = dyn Fn(AdminRequest) -> Reaction + Send + Sync;

/// What the node answers to a request; nothing, ever, if there is none.
type Reaction = Option<Result<AdminReply, AdminError>>;

/// Lets operators in.
struct Door;

impl Admission for Door {
    fn identity(&self) -> PeerIdentity {
        PeerIdentity {
            name: Some("n1@h".parse().unwrap()),
            node_id: 1,
            incarnation: Incarnation { node: 1, life: 1 },
            advertise: "h:1".into(),
        }
    }

    fn feature_level(&self) -> u32 {
        1
    }

    fn admit(&self, hello: &Hello) -> Result<(), Refusal> {
        assert_eq!(hello.role, Role::Client);
        Ok(())
    }
}

/// Answers by its script.
#[derive(Clone)]
struct Desk {
    script: Arc<Script>,
    silent: Arc<Mutex<Vec<Reply>>>,
}

impl Service for Desk {
    fn open(&self, _peer: Peer) -> Box<dyn Session> {
        Box::new(self.clone())
    }
}

impl Session for Desk {
    fn request(&mut self, payload: Bytes, reply: Reply) {
        let Call::Admin(request) = postcard::from_bytes(&payload).unwrap() else {
            panic!("an administrative call")
        };
        match (self.script)(AdminRequest::decode(&request).unwrap()) {
            Some(answer) => {
                let answer = Answer::Admin(AdminReply::encode(&answer));
                reply.send(postcard::to_stdvec(&answer).unwrap().into());
            }
            None => self.silent.lock().unwrap().push(reply),
        }
    }

    fn closed(&mut self, _why: &Closed) {}
}

async fn node(script: impl Fn(AdminRequest) -> Reaction + Send + Sync + 'static) -> Listener {
    let desk = Desk { script: Arc::new(script), silent: Arc::default() };
    Listener::bind("127.0.0.1:0", TransportConfig::default(), Arc::new(Door), Arc::new(desk)).await.unwrap()
}

async fn client(node: &Listener, timeout: Duration) -> AdminClient {
    AdminClient::connect(&node.local_addr().to_string(), None, timeout).await.unwrap()
}

fn progress(records_done: u64, finished: Option<Result<Outcome, AdminError>>) -> Reaction {
    let progress = Progress {
        phase: "copy".into(),
        records_done,
        records_total: Some(3),
        bytes_done: 0,
        bytes_total: None,
        finished,
    };
    Some(Ok(AdminReply::Progress(progress)))
}

fn table() -> TableRef {
    TableRef { name: "route".parse().unwrap(), id: TableId(1) }
}

#[tokio::test]
async fn an_operation_is_followed_until_it_has_ended() {
    let asked = AtomicUsize::new(0);
    let node = node(move |request| match request {
        AdminRequest::Leave => Some(Ok(AdminReply::Started(OperationId(4)))),
        AdminRequest::Progress { operation: OperationId(4) } => match asked.fetch_add(1, Ordering::Relaxed) {
            2 => progress(3, Some(Ok(Outcome::Done))),
            asked => progress(asked as u64, None),
        },
        _ => None,
    })
    .await;
    let mut seen = Vec::new();
    client(&node, TIMEOUT).await.leave(|progress| seen.push(progress.records_done)).await.unwrap();
    assert_eq!(seen, [0, 1, 3]);
}

#[tokio::test]
async fn what_an_operation_says_in_the_end_is_the_callers_error() {
    let node = node(|request| match request {
        AdminRequest::Leave => Some(Ok(AdminReply::Started(OperationId(4)))),
        _ => progress(0, Some(Err(AdminError::refused("it is alone")))),
    })
    .await;
    let error = client(&node, TIMEOUT).await.leave(|_| {}).await.unwrap_err();
    assert_eq!(error, AdminError::refused("it is alone"));
}

#[tokio::test]
async fn a_node_that_forgot_an_operation_leaves_its_outcome_open() {
    let node = node(|request| match request {
        AdminRequest::Leave => Some(Ok(AdminReply::Started(OperationId(4)))),
        _ => Some(Err(AdminError::not_found("no operation 4"))),
    })
    .await;
    let error = client(&node, TIMEOUT).await.leave(|_| {}).await.unwrap_err();
    assert_eq!(error.kind, AdminErrorKind::Unknown);
}

#[tokio::test]
async fn an_operation_outlives_a_broken_connection() {
    let node = Arc::new(
        node(|request| match request {
            AdminRequest::Leave => Some(Ok(AdminReply::Started(OperationId(4)))),
            AdminRequest::Progress { .. } => progress(0, None),
            AdminRequest::Verify => None,
            _ => Some(Ok(AdminReply::Tables(Vec::new()))),
        })
        .await,
    );
    let client = client(&node, TIMEOUT).await;
    let polls = AtomicUsize::new(0);
    let leave = client.leave(|_| {
        if polls.fetch_add(1, Ordering::Relaxed) == 1 {
            node.disconnect_all();
        }
    });
    tokio::pin!(leave);
    let followed = tokio::time::timeout(TIMEOUT, async {
        while polls.load(Ordering::Relaxed) < 4 {
            tokio::select! {
                result = &mut leave => panic!("it has not ended: {result:?}"),
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    });
    followed.await.expect("the operation is asked for over a new connection");
}

#[tokio::test]
async fn a_write_without_an_answer_is_unknown_and_a_read_is_not() {
    let node = node(|_| None).await;
    let client = client(&node, Duration::from_millis(100)).await;
    let error = client.put_many(&table(), vec![Bytes::from_static(b"r")]).await.unwrap_err();
    assert_eq!(error.kind, AdminErrorKind::Unknown);
    let error = client.tables().await.unwrap_err();
    assert_eq!(error.kind, AdminErrorKind::Unreachable);
    assert!(error.message.contains("--timeout"), "{error}");
}

#[tokio::test]
async fn a_write_that_was_under_way_is_not_repeated_on_a_new_connection() {
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&writes);
    let node = node(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        None
    })
    .await;
    let client = client(&node, TIMEOUT).await;
    let reference = table();
    let write = client.put_many(&reference, vec![Bytes::from_static(b"r")]);
    tokio::pin!(write);
    let error = loop {
        tokio::select! {
            result = &mut write => break result.unwrap_err(),
            () = tokio::time::sleep(Duration::from_millis(5)) => {
                if writes.load(Ordering::Relaxed) > 0 {
                    node.disconnect_all();
                }
            }
        }
    };
    assert_eq!((error.kind, writes.load(Ordering::Relaxed)), (AdminErrorKind::Unknown, 1));
}

#[tokio::test]
async fn an_answer_to_another_question_is_an_error() {
    let node = node(|_| Some(Ok(AdminReply::Records(Vec::new())))).await;
    let error = client(&node, TIMEOUT).await.status().await.unwrap_err();
    assert_eq!(error.kind, AdminErrorKind::Internal);
}

#[tokio::test]
async fn a_node_that_is_not_there_is_named() {
    let node = node(|_| None).await;
    let address = node.local_addr().to_string();
    node.shutdown().await;
    let error = AdminClient::connect(&address, None, TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind, AdminErrorKind::Unreachable);
    assert!(error.message.contains(&address) && error.message.contains("--node"), "{error}");
}
