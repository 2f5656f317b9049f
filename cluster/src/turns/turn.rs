//! Waiting for a turn, and having one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::group::{Contents, Groups, Step};
use super::quiet::{Claim, Quiet};
use crate::door;
use crate::write::{LockAnswer, LockClient, LockId, Place};

/// Errands that may wait; each group has at most two.
const ERRANDS_MAX: usize = 4_096;
/// How long a group asks for its lock before its members go without.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// The turns of one node.
pub(crate) struct Turns {
    groups: Mutex<Groups<oneshot::Sender<Turn>>>,
    quiet: Arc<Quiet>,
    errands: mpsc::Sender<Errand>,
}

/// What has to travel to the leader.
enum Errand {
    Ask { group: u64, places: Vec<Place> },
    Unlock(LockId),
}

/// A turn: nobody else who asks has one for these records, until it is passed on or dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    group: u64,
    lock: LockId,
    is_last: bool,
    /// The records, as far as the member asked for them, as those before it leave them.
    pub(crate) contents: Contents,
    is_over: bool,
}

impl Turns {
    /// The handle, and the task that its owner runs.
    pub(crate) fn new(client: LockClient) -> (Arc<Self>, impl Future<Output = ()> + Send) {
        let (errands, waiting) = mpsc::channel(ERRANDS_MAX);
        let turns = Arc::new(Self { groups: Mutex::default(), quiet: Arc::default(), errands });
        let closing = Closing(Arc::clone(&turns));
        (turns, run_errands(closing, client, waiting))
    }

    /// Leave to change these places without a turn, where one is hardly worth its cost.
    pub(crate) fn spare(&self, places: &BTreeSet<Place>) -> Option<Claim> {
        let claim = self.quiet.claim(places.clone())?;
        if self.with(|groups| groups.concern(places)) { None } else { Some(claim) }
    }

    /// Waits for a turn at all of these places. `None`: there is none to be had, or not before the deadline.
    ///
    /// # Cancel safety
    ///
    /// A turn that nobody waits for any more passes to the next.
    pub(crate) async fn take(self: &Arc<Self>, places: BTreeSet<Place>, deadline: Instant) -> Option<Turn> {
        let (wake, turn) = oneshot::channel();
        let step = self.with(|groups| groups.join(places, wake));
        self.go_on(step.into_iter().collect());
        door::until(deadline, turn).await?.ok()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Groups<oneshot::Sender<Turn>>) -> T) -> T {
        act(&mut self.groups.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the steps, and those that follow when a member has gone meanwhile.
    fn go_on(self: &Arc<Self>, steps: Vec<Step<oneshot::Sender<Turn>>>) {
        let mut steps = std::collections::VecDeque::from(steps);
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Ask { group, places } => {
                    if self.errands.try_send(Errand::Ask { group, places }).is_err() {
                        self.unavailable(group);
                    }
                }
                // If it cannot be given back, it runs out.
                Step::Unlock(lock) => drop(self.errands.try_send(Errand::Unlock(lock))),
                Step::Run { group, wake, lock, contents, is_last } => {
                    let turns = Arc::clone(self);
                    let turn = Turn { turns, group, lock, is_last, contents, is_over: false };
                    if let Err(mut turn) = wake.send(turn) {
                        turn.is_over = true;
                        steps.extend(self.with(|groups| groups.ended(group, None)));
                    }
                }
            }
        }
    }

    fn granted(self: &Arc<Self>, group: u64, lock: LockId, contents: Contents) {
        let steps = self.with(|groups| groups.granted(group, lock, contents));
        self.go_on(steps);
    }

    /// Those who wait find their ends of the channel closed.
    fn unavailable(&self, group: u64) {
        let waiting = self.with(|groups| groups.unavailable(group));
        drop(waiting);
    }
}

impl Turn {
    /// The lock that the request of this turn gives back, if it is the last of its group.
    pub(crate) fn releases(&self) -> Option<LockId> {
        self.is_last.then_some(self.lock)
    }

    /// Ends the turn after its request was submitted; the next one runs on what that leaves of the records.
    pub(crate) fn pass_on(mut self, left: Contents) {
        self.end(Some(left));
    }

    fn end(&mut self, left: Option<Contents>) {
        if !std::mem::replace(&mut self.is_over, true) {
            let steps = self.turns.with(|groups| groups.ended(self.group, left));
            self.turns.go_on(steps);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end(None);
    }
}

/// Lets nobody wait once the task has ended that would get them their turns.
struct Closing(Arc<Turns>);

impl Drop for Closing {
    fn drop(&mut self) {
        let waiting = self.0.with(Groups::close);
        drop(waiting);
    }
}

async fn run_errands(closing: Closing, client: LockClient, mut waiting: mpsc::Receiver<Errand>) {
    let turns = &closing.0;
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            // Both arms are cancel-safe: a channel receive and stream next.
            biased;
            errand = waiting.recv() => match errand {
                Some(errand) => running.push(run(turns, &client, errand)),
                None => return,
            },
            Some(()) = running.next(), if !running.is_empty() => {}
        }
    }
}

async fn run(turns: &Arc<Turns>, client: &LockClient, errand: Errand) {
    let (group, places) = match errand {
        Errand::Ask { group, places } => (group, places),
        Errand::Unlock(lock) => return client.unlock(lock).await,
    };
    match client.lock(places.clone(), door::now() + ASK_TIMEOUT).await {
        LockAnswer::Granted { lock, records } if records.len() == places.len() => {
            turns.granted(group, lock, places.into_iter().zip(records).collect());
        }
        _ => turns.unavailable(group),
    }
}
