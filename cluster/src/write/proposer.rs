//! The proposer: gathers the requests of this node's callers into batches and sees each through to an outcome.
//!
//! While one batch travels the next one fills, so batching needs no timer. A request keeps its id over every retry;
//! the exactly-once window at the leader makes a repeated sending harmless.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tabularaft_store::{Incarnation, LogIndex, OpResult};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::request::Request;
use super::sequencer::{BatchWork, Work};
use crate::door;
use crate::error::WriteError;
use crate::peers::Peers;
use crate::raft::Leadership;
use crate::watch;
use crate::wire::{Answer, Call, GROUP, RequestOutcome, WriteAnswer, WriteBatch};

/// Requests that may wait in the proposer, sent or not. The exactly-once window of an incarnation is larger.
const WAITING_MAX: usize = 16_384;
/// How many bytes they may have together.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a small request counts for, so that neither of the limits is exceeded.
const REQUEST_BYTES_MIN: usize = WAITING_BYTES_MAX / WAITING_MAX;
/// Batches that may travel at once.
const BATCHES_IN_FLIGHT: usize = 4;
const BATCH_REQUESTS_MAX: usize = 4_096;
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// How long to wait before asking again when there is no leader, or the one asked is none.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// A committed request: applied on this node at `index`.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    pub(crate) index: LogIndex,
    pub(crate) results: Vec<OpResult>,
}

type Outcome = Result<Committed, WriteError>;

/// The callers' end.
#[derive(Clone)]
pub(crate) struct Proposer {
    submissions: mpsc::Sender<Submission>,
    /// One permit for each byte that may wait; callers beyond it wait in the order in which they came.
    room: Arc<Semaphore>,
}

struct Submission {
    request: Request,
    reply: oneshot::Sender<Outcome>,
    journey: Arc<Journey>,
    /// Whether it is of no use once its caller has gone.
    is_droppable: bool,
    /// Its part of what may wait.
    _room: OwnedSemaphorePermit,
}

/// Whether a request may have reached the leader: from then on a lost outcome is unknown, not refused. The caller that
/// gives up and the task that sends settle it between them, so that nothing is sent of which the caller was told that
/// it did not happen.
#[derive(Debug, Default)]
struct Journey(AtomicU8);

const WAITS: u8 = 0;
const SENT: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Journey {
    /// Whether the request may be sent: unless its caller has given it up before.
    fn begin(&self) -> bool {
        self.0.compare_exchange(WAITS, SENT, Ordering::AcqRel, Ordering::Acquire) != Err(GIVEN_UP)
    }

    /// Whether the request was never sent, and now never will be.
    fn give_up(&self) -> bool {
        self.0.compare_exchange(WAITS, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire) == SENT
    }
}

struct Waiting {
    sequence: u64,
    submission: Submission,
}

/// What the proposer's task works with.
pub(crate) struct ProposerParts {
    pub(crate) incarnation: Incarnation,
    pub(crate) peers: Arc<Peers>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) sequencer: mpsc::Sender<Work>,
    pub(crate) applied: watch::Receiver<u64>,
}

impl Proposer {
    /// The handle, and the task that its owner runs.
    pub(crate) fn new(parts: ProposerParts) -> (Self, impl Future<Output = ()> + Send) {
        let (submissions, incoming) = mpsc::channel(WAITING_MAX);
        let task = Task {
            parts,
            incoming,
            queue: VecDeque::new(),
            outstanding: BTreeSet::new(),
            next_sequence: 1,
            travelling: FuturesUnordered::new(),
            hold_until: None,
        };
        (Self { submissions, room: Arc::new(Semaphore::new(WAITING_BYTES_MAX)) }, task.run())
    }

    /// Writes, and waits until the write is applied on this node.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may or may not have written.
    pub(crate) async fn write(&self, request: Request, deadline: Instant) -> Outcome {
        self.send(request, true, deadline).await?.outcome(deadline).await
    }

    /// Takes a place in the order of this node's requests: whatever is submitted later is decided later. Others may
    /// rest on it, so it is sent even if its caller has gone by then.
    pub(crate) async fn submit(&self, request: Request, deadline: Instant) -> Result<Submitted, WriteError> {
        self.send(request, false, deadline).await
    }

    async fn send(
        &self,
        request: Request,
        is_droppable: bool,
        deadline: Instant,
    ) -> Result<Submitted, WriteError> {
        let overloaded = || WriteError::Overloaded { waiting: WAITING_MAX };
        let bytes = request.bytes().clamp(REQUEST_BYTES_MIN, WAITING_BYTES_MAX) as u32;
        let room = door::until(deadline, Arc::clone(&self.room).acquire_many_owned(bytes)).await;
        let _room = room.ok_or_else(overloaded)?.map_err(|_| WriteError::Stopped)?;
        let (reply, outcome) = oneshot::channel();
        let journey = Arc::new(Journey::default());
        let submission = Submission { request, reply, journey: Arc::clone(&journey), is_droppable, _room };
        match door::until(deadline, self.submissions.send(submission)).await {
            Some(Ok(())) => Ok(Submitted { outcome, journey }),
            Some(Err(_)) => Err(WriteError::Stopped),
            None => Err(overloaded()),
        }
    }
}

/// A request that has its place in the order.
pub(crate) struct Submitted {
    outcome: oneshot::Receiver<Outcome>,
    journey: Arc<Journey>,
}

impl Submitted {
    /// Waits until the write is applied on this node, or certainly will not be.
    pub(crate) async fn outcome(self, deadline: Instant) -> Outcome {
        match door::until(deadline, self.outcome).await {
            Some(Ok(outcome)) => outcome,
            // The engine stopped, or time ran out, with the request on its way.
            _ if !self.journey.give_up() => Err(WriteError::Unknown),
            Some(Err(_)) => Err(WriteError::Stopped),
            None => Err(WriteError::NoLeader),
        }
    }
}

struct Task {
    parts: ProposerParts,
    incoming: mpsc::Receiver<Submission>,
    /// Requests that wait to be sent, in sequence order.
    queue: VecDeque<Waiting>,
    /// Sequence numbers without an outcome; the smallest is what the window must reach back to.
    outstanding: BTreeSet<u64>,
    next_sequence: u64,
    travelling: FuturesUnordered<BoxFuture<'static, Returned>>,
    /// Nothing is sent before this instant: the last answer said that it would be in vain.
    hold_until: Option<Instant>,
}

struct Returned {
    requests: Vec<Waiting>,
    answer: WriteAnswer,
}

impl Task {
    async fn run(mut self) {
        let mut gathered = Vec::new();
        loop {
            self.send_what_may_travel();
            let room = WAITING_MAX.saturating_sub(self.outstanding.len());
            let held = self.hold_until.filter(|_| !self.queue.is_empty());
            tokio::select! {
                // All arms are cancel-safe: stream next, channel receive, a watch change and a timer.
                // What comes seldom is looked at first, so that callers in plenty hide nothing.
                biased;
                changed = self.parts.leadership.changed() => {
                    if changed.is_err() { return; }
                    self.hold_until = None;
                }
                Some(returned) = self.travelling.next(), if !self.travelling.is_empty() => self.settle(returned),
                () = hold(held) => self.hold_until = None,
                received = self.incoming.recv_many(&mut gathered, room.min(BATCH_REQUESTS_MAX)), if room > 0 => {
                    if received == 0 { return; }
                    self.take(&mut gathered);
                }
            }
        }
    }

    fn take(&mut self, gathered: &mut Vec<Submission>) {
        for submission in gathered.drain(..) {
            let sequence = self.next_sequence;
            self.next_sequence += 1;
            self.outstanding.insert(sequence);
            self.queue.push_back(Waiting { sequence, submission });
        }
    }

    fn send_what_may_travel(&mut self) {
        while self.travelling.len() < BATCHES_IN_FLIGHT && self.hold_until.is_none() && !self.queue.is_empty()
        {
            let leadership = self.parts.leadership.borrow_and_update().clone();
            if leadership == (Leadership::Following { leader: None }) {
                self.hold_until = Some(door::now() + RETRY_AFTER);
                return;
            }
            let requests = self.next_batch();
            if requests.is_empty() {
                return;
            }
            let batch = self.batch_of(&requests);
            let journey = match leadership.clone() {
                Leadership::Leading { .. } => decide_here(self.parts.sequencer.clone(), batch).boxed(),
                Leadership::Following { leader: Some((_, address)) } => {
                    decide_there(Arc::clone(&self.parts.peers), address, batch).boxed()
                }
                Leadership::Following { leader: None } => {
                    std::future::ready(WriteAnswer::Retry { leader: None }).boxed()
                }
            };
            let applied = self.parts.applied.clone();
            let watched = self.parts.leadership.clone();
            self.travelling.push(
                async move {
                    // An answer of a leader that hangs, or is cut off, may never come: once another leads, it decides.
                    let answer = tokio::select! {
                        biased;
                        answer = journey => answer,
                        () = moved(watched, leadership) => WriteAnswer::Retry { leader: None },
                    };
                    wait_applied(applied, &answer).await;
                    Returned { requests, answer }
                }
                .boxed(),
            );
        }
    }

    /// Takes requests off the queue; those whose callers have gone without a sending are forgotten.
    fn next_batch(&mut self) -> Vec<Waiting> {
        let mut requests = Vec::new();
        let mut bytes = 0;
        while requests.len() < BATCH_REQUESTS_MAX && bytes < BATCH_BYTES_MAX {
            let Some(waiting) = self.queue.pop_front() else { break };
            let Submission { journey, reply, is_droppable, .. } = &waiting.submission;
            let is_abandoned = *is_droppable && !journey.has_begun() && reply.is_closed();
            if is_abandoned || !journey.begin() {
                self.outstanding.remove(&waiting.sequence);
                continue;
            }
            bytes += waiting.submission.request.bytes();
            requests.push(waiting);
        }
        requests
    }

    fn batch_of(&self, requests: &[Waiting]) -> WriteBatch {
        WriteBatch {
            incarnation: self.parts.incarnation,
            completed_below: self.outstanding.first().copied().unwrap_or(self.next_sequence),
            requests: requests.iter().map(|w| (w.sequence, w.submission.request.clone())).collect(),
        }
    }

    fn settle(&mut self, returned: Returned) {
        match returned.answer {
            WriteAnswer::Decided(outcomes) if outcomes.len() == returned.requests.len() => {
                for (waiting, outcome) in returned.requests.into_iter().zip(outcomes) {
                    self.outstanding.remove(&waiting.sequence);
                    let _ = waiting.submission.reply.send(result_of(outcome));
                }
            }
            _ => {
                self.requeue(returned.requests);
                self.hold_until = Some(door::now() + RETRY_AFTER);
            }
        }
    }

    /// Puts requests back so that the queue stays in sequence order.
    fn requeue(&mut self, requests: Vec<Waiting>) {
        for waiting in requests.into_iter().rev() {
            let at = self.queue.partition_point(|other| other.sequence < waiting.sequence);
            self.queue.insert(at, waiting);
        }
    }
}

fn result_of(outcome: RequestOutcome) -> Outcome {
    match outcome {
        RequestOutcome::Committed { index, results } => Ok(Committed { index, results }),
        RequestOutcome::Rejected(rejection) => Err(WriteError::Rejected(rejection)),
        RequestOutcome::Forgotten => Err(WriteError::Unknown),
    }
}

async fn hold(until: Option<Instant>) {
    match until {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

/// Resolves when `then` leads no more.
async fn moved(mut leadership: watch::Receiver<Leadership>, then: Leadership) {
    let _ = leadership.wait_for(|now| *now != then).await;
}

async fn decide_here(sequencer: mpsc::Sender<Work>, batch: WriteBatch) -> WriteAnswer {
    let (reply, answer) = oneshot::channel();
    if sequencer.send(Work::Batch(BatchWork { batch, reply })).await.is_err() {
        return WriteAnswer::Retry { leader: None };
    }
    answer.await.unwrap_or(WriteAnswer::Retry { leader: None })
}

async fn decide_there(peers: Arc<Peers>, address: String, batch: WriteBatch) -> WriteAnswer {
    match peers.call(&address, &Call::Write { group: GROUP, batch }).await {
        Ok(Answer::Write(answer)) => answer,
        Ok(other) => {
            tracing::debug!(?other, "a write batch was not taken");
            WriteAnswer::Retry { leader: None }
        }
        Err(error) => {
            tracing::debug!(%error, "a write batch got no answer");
            WriteAnswer::Retry { leader: None }
        }
    }
}

/// A caller reads what it wrote, on its own node: its outcome waits until this node has applied it.
async fn wait_applied(mut applied: watch::Receiver<u64>, answer: &WriteAnswer) {
    let WriteAnswer::Decided(outcomes) = answer else { return };
    let index = outcomes.iter().map(|outcome| match outcome {
        RequestOutcome::Committed { index, .. } => index.0,
        _ => 0,
    });
    let index = index.max().unwrap_or(0);
    let _ = applied.wait_for(|applied| *applied >= index).await;
}
