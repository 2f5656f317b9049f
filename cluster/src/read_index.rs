//! Linearizable reads: one round to the leader serves every read that waits for it.

use std::sync::Arc;
use std::time::Instant;

use tabularaft_store::LogIndex;
use tokio::sync::{mpsc, oneshot};

use crate::door;
use crate::error::ReadError;
use crate::peers::Peers;
use crate::raft::{Leadership, RaftHandle};
use crate::watch;
use crate::wire::{Answer, Call, GROUP};

const WAITING_MAX: usize = 16_384;

/// Asks for the index up to which a read that starts now must have applied.
#[derive(Clone)]
pub(crate) struct ReadIndex {
    questions: mpsc::Sender<oneshot::Sender<Result<LogIndex, ReadError>>>,
    applied: watch::Receiver<u64>,
}

impl ReadIndex {
    /// The handle, and the task that its owner runs.
    pub(crate) fn new(
        raft: RaftHandle,
        peers: Arc<Peers>,
        leadership: watch::Receiver<Leadership>,
        applied: watch::Receiver<u64>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (questions, waiting) = mpsc::channel(WAITING_MAX);
        (Self { questions, applied }, answer(waiting, raft, peers, leadership))
    }

    /// The index; every write acknowledged before the call is at or below it.
    pub(crate) async fn index(&self, deadline: Instant) -> Result<LogIndex, ReadError> {
        let mut last = ReadError::NoLeader;
        // A round may meet a leader that has just changed: it is repeated until the caller's time is over.
        while door::now() < deadline {
            let (reply, answer) = oneshot::channel();
            if self.questions.send(reply).await.is_err() {
                return Err(ReadError::Stopped);
            }
            match door::until(deadline, answer).await {
                Some(Ok(Ok(index))) => return Ok(index),
                Some(Ok(Err(error))) => last = error,
                Some(Err(_)) => return Err(ReadError::Stopped),
                None => break,
            }
            door::sleep(door::ms(10)).await;
        }
        Err(last)
    }

    /// Waits until this node has applied everything acknowledged before the call.
    pub(crate) async fn wait(&self, deadline: Instant) -> Result<LogIndex, ReadError> {
        let index = self.index(deadline).await?;
        self.wait_for(index, deadline).await?;
        Ok(index)
    }

    /// Waits until this node has applied `index`.
    pub(crate) async fn wait_for(&self, index: LogIndex, deadline: Instant) -> Result<(), ReadError> {
        let mut applied = self.applied.clone();
        match door::until(deadline, applied.wait_for(|applied| *applied >= index.0)).await {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) => Err(ReadError::Stopped),
            None => Err(ReadError::Behind { wanted: index, applied: LogIndex(*self.applied.borrow()) }),
        }
    }
}

async fn answer(
    mut waiting: mpsc::Receiver<oneshot::Sender<Result<LogIndex, ReadError>>>,
    raft: RaftHandle,
    peers: Arc<Peers>,
    mut leadership: watch::Receiver<Leadership>,
) {
    let mut round = Vec::new();
    while waiting.recv_many(&mut round, WAITING_MAX).await > 0 {
        let now = leadership.borrow_and_update().clone();
        let index = match now {
            Leadership::Leading { .. } => raft.read_index().await,
            Leadership::Following { leader: Some((_, address)) } => {
                tokio::select! {
                    // Both arms are cancel-safe: asking changes nothing.
                    biased;
                    index = ask(&peers, &address) => index,
                    // A leader whose machine is gone may never answer, and the next round asks its successor.
                    _ = leadership.changed() => Err(ReadError::NoLeader),
                }
            }
            Leadership::Following { leader: None } => Err(ReadError::NoLeader),
        };
        for reply in round.drain(..) {
            let _ = reply.send(index.clone());
        }
    }
}

async fn ask(peers: &Peers, leader: &str) -> Result<LogIndex, ReadError> {
    match peers.call(leader, &Call::ReadIndex { group: GROUP }).await {
        Ok(Answer::ReadIndex(index)) => Ok(index),
        _ => Err(ReadError::NoLeader),
    }
}
