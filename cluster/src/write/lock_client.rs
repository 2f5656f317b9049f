//! Asking the leader for locks, from any node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::locking::{LockAnswer, LockId, LockRequest};
use super::locks::Place;
use super::sequencer::Work;
use crate::door;
use crate::peers::Peers;
use crate::raft::Leadership;
use crate::watch;
use crate::wire::{Answer, Call, GROUP};

/// How long to wait before asking again when there is no leader, or the one asked is none.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// The way to the leader's lock desk.
#[derive(Clone)]
pub(crate) struct LockClient {
    pub(crate) peers: Arc<Peers>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) sequencer: mpsc::Sender<Work>,
}

/// Asks this node's own sequencer.
pub(crate) async fn lock_here(sequencer: &mpsc::Sender<Work>, places: Vec<Place>) -> LockAnswer {
    let (reply, answer) = oneshot::channel();
    if sequencer.send(Work::Lock(LockRequest { places, reply })).await.is_err() {
        return LockAnswer::Unavailable;
    }
    answer.await.unwrap_or(LockAnswer::Unavailable)
}

impl LockClient {
    /// Asks for all of these places, until the deadline whoever leads.
    pub(crate) async fn lock(&self, places: Vec<Place>, deadline: Instant) -> LockAnswer {
        loop {
            let answer = door::until(deadline, self.ask(places.clone())).await;
            match answer {
                Some(LockAnswer::Unavailable) if door::now() < deadline => door::sleep(RETRY_AFTER).await,
                answer => return answer.unwrap_or(LockAnswer::Unavailable),
            }
        }
    }

    async fn ask(&self, places: Vec<Place>) -> LockAnswer {
        let then = self.leadership.borrow().clone();
        let mut leadership = self.leadership.clone();
        let asked = async {
            match &then {
                Leadership::Leading { .. } => lock_here(&self.sequencer, places).await,
                Leadership::Following { leader: Some((_, address)) } => self.ask_there(address, places).await,
                Leadership::Following { leader: None } => LockAnswer::Unavailable,
            }
        };
        tokio::select! {
            biased;
            answer = asked => answer,
            // The answer of a leader that hangs, or is cut off, may never come.
            _ = leadership.wait_for(|now| *now != then) => LockAnswer::Unavailable,
        }
    }

    async fn ask_there(&self, address: &str, places: Vec<Place>) -> LockAnswer {
        match self.peers.call(address, &Call::Lock { group: GROUP, places }).await {
            Ok(Answer::Lock(answer)) => answer,
            _ => LockAnswer::Unavailable,
        }
    }

    /// Gives a lock back. If that is lost, the lock runs out by itself.
    pub(crate) async fn unlock(&self, lock: LockId) {
        let leadership = self.leadership.borrow().clone();
        match leadership {
            Leadership::Leading { .. } => drop(self.sequencer.send(Work::Unlock(lock)).await),
            Leadership::Following { leader: Some((_, address)) } => {
                drop(self.peers.call(&address, &Call::Unlock { group: GROUP, lock }).await);
            }
            Leadership::Following { leader: None } => {}
        }
    }
}
