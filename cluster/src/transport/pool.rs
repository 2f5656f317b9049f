//! Connections to all peers, each made once and shared.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::debug_span;

use crate::door;
use crate::watch;

use super::{
    ConnectError, Connection, Hello, Lane, TransportConfig,
    clock::{self, Instant},
    task::OwnedTask,
};

/// Makes the hello for a connection that is about to be dialed on this lane to the node with this id: what the local
/// node says about itself may have changed since the last one.
pub type Greeting = Arc<dyn Fn(Lane, Option<u64>) -> Hello + Send + Sync>;

/// One connection per address and lane. However many ask for it at once, it is dialed once; after a failure it is not
/// dialed again before a growing pause has passed. A peer whose address changes is simply found under the new one.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    config: TransportConfig,
    greeting: Greeting,
    slots: Mutex<Slots>,
}

type Key = (String, Lane);
type Outcome = Result<Connection, ConnectError>;

#[derive(Default)]
struct Slots {
    by_key: BTreeMap<Key, Slot>,
    /// The number of the last attempt, so that the outcome of one that was called off is not taken for another's.
    last_attempt: u64,
}

struct Slot {
    state: State,
    /// Failed attempts since the last success.
    failures: u32,
}

enum State {
    Dialing { attempt: u64, outcome: watch::Receiver<Option<Outcome>>, _task: OwnedTask },
    Connected(Connection),
    Failed { until: Instant, last: ConnectError },
}

/// What someone who asks for a connection has to do.
enum Step {
    Done(Outcome),
    Wait(watch::Receiver<Option<Outcome>>),
}

impl Pool {
    /// A pool without connections.
    #[must_use]
    pub fn new(config: TransportConfig, greeting: Greeting) -> Self {
        Self { shared: Arc::new(Shared { config, greeting, slots: Mutex::default() }) }
    }

    /// The connection to `addr` on `lane`, dialed if need be; `wants` is the id of the node that must be there.
    ///
    /// # Errors
    ///
    /// The dial failed, or an earlier one did and the pause after it is not over: then [`ConnectError::BackingOff`] is
    /// returned at once, so that the caller can try another node.
    ///
    /// # Cancel safety
    ///
    /// Safe: the dial goes on for others who wait for it.
    pub async fn get(&self, addr: &str, lane: Lane, wants: Option<u64>) -> Outcome {
        loop {
            let mut outcome = match self.step(addr, lane, wants) {
                Step::Done(outcome) => return outcome,
                Step::Wait(outcome) => outcome,
            };
            let decided = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
            match decided {
                // Another caller may have dialed for another node, or for whichever there is.
                Some(Ok(connection)) if !is_wanted(&connection, wants) => {}
                Some(outcome) => return outcome,
                None => {
                    return Err(ConnectError::CalledOff { addr: addr.to_owned() });
                }
            }
        }
    }

    /// As [`Self::get`], but tries again until `deadline` as long as that may help.
    ///
    /// # Errors
    ///
    /// The error of the last attempt.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn get_until(&self, addr: &str, lane: Lane, wants: Option<u64>, deadline: Instant) -> Outcome {
        let mut last =
            ConnectError::TimedOut { addr: addr.to_owned(), stage: "connecting", after: Duration::ZERO };
        loop {
            match clock::before(deadline, self.get(addr, lane, wants)).await {
                Some(Err(ConnectError::BackingOff { retry_in, last: error, .. })) if error.is_retryable() => {
                    last = *error;
                    if clock::before(deadline, clock::sleep(retry_in)).await.is_none() {
                        return Err(last);
                    }
                }
                Some(Err(error)) if error.is_retryable() => last = error,
                Some(outcome) => return outcome,
                None => return Err(last),
            }
        }
    }

    /// The connection to `addr` on `lane` if there is one now.
    #[must_use]
    pub fn existing(&self, addr: &str, lane: Lane) -> Option<Connection> {
        match &self.shared.slots().by_key.get(&(addr.to_owned(), lane))?.state {
            State::Connected(connection) if !connection.is_closed() => Some(connection.clone()),
            _ => None,
        }
    }

    /// Lets go of `addr` on all lanes: connections close when their last user is done, attempts are called off, and
    /// the next one is made without a pause.
    pub fn forget(&self, addr: &str) {
        self.shared.slots().by_key.retain(|(known, _), _| known != addr);
    }

    /// Closes all connections, also for those who use them now, and calls all attempts off. New ones may be made.
    pub async fn close_all(&self) {
        let slots = std::mem::take(&mut self.shared.slots().by_key);
        let closing = slots.into_values().filter_map(|slot| match slot.state {
            State::Connected(connection) => Some(connection),
            State::Dialing { .. } | State::Failed { .. } => None,
        });
        futures::future::join_all(closing.map(|connection| async move { connection.close().await })).await;
    }

    /// Looks at the slot of the address and lane, and starts to dial if nobody does.
    fn step(&self, addr: &str, lane: Lane, wants: Option<u64>) -> Step {
        let key = (addr.to_owned(), lane);
        let mut slots = self.shared.slots();
        let mut failures = 0;
        if let Some(slot) = slots.by_key.get(&key) {
            failures = slot.failures;
            match &slot.state {
                State::Connected(connection) if !connection.is_closed() && is_wanted(connection, wants) => {
                    return Step::Done(Ok(connection.clone()));
                }
                State::Dialing { outcome, .. } => return Step::Wait(outcome.clone()),
                State::Failed { until, last } if *until > clock::now() => {
                    return Step::Done(Err(backing_off(addr, *until, last)));
                }
                State::Connected(_) | State::Failed { .. } => {}
            }
        }
        slots.last_attempt += 1;
        let attempt = slots.last_attempt;
        let (sender, outcome) = watch::channel(None);
        let dialing = dial(Arc::clone(&self.shared), key.clone(), attempt, wants, sender);
        let task = OwnedTask::spawn(debug_span!("dial", addr, %lane), dialing);
        let state = State::Dialing { attempt, outcome: outcome.clone(), _task: task };
        slots.by_key.insert(key, Slot { state, failures });
        Step::Wait(outcome)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("slots", &self.shared.slots().by_key.len()).finish_non_exhaustive()
    }
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        // No code panics while it holds the lock, so what it guards is consistent even if poisoned.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Half to all of a wait that doubles with each failure: peers that failed together do not come back together.
    fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let longest = (self.config.backoff_initial * 2u32.pow(doublings)).min(self.config.backoff_max);
        longest.mul_f64(0.5 + door::random_fraction() / 2.0)
    }

    /// Notes how an attempt ended, unless it was called off.
    fn settle(&self, key: &Key, attempt: u64, outcome: &Outcome) {
        let mut slots = self.slots();
        let Some(slot) = slots.by_key.get_mut(key) else {
            return;
        };
        if !matches!(&slot.state, State::Dialing { attempt: current, .. } if *current == attempt) {
            return;
        }
        match outcome {
            Ok(connection) => *slot = Slot { state: State::Connected(connection.clone()), failures: 0 },
            Err(error) => {
                let failures = slot.failures.saturating_add(1);
                let until = clock::now() + self.pause(failures);
                *slot = Slot { state: State::Failed { until, last: error.clone() }, failures };
            }
        }
    }
}

/// One attempt. Settling drops the slot's handle of this very task, which aborts it at its next wait: there is none.
async fn dial(
    shared: Arc<Shared>,
    key: Key,
    attempt: u64,
    wants: Option<u64>,
    sender: watch::Sender<Option<Outcome>>,
) {
    let (addr, lane) = &key;
    let hello = (shared.greeting)(*lane, wants);
    let outcome = Connection::open(addr, hello, &shared.config).await;
    if let Err(error) = &outcome {
        tracing::debug!(%error, "dial failed");
    }
    shared.settle(&key, attempt, &outcome);
    sender.send_replace(Some(outcome));
}

fn is_wanted(connection: &Connection, wants: Option<u64>) -> bool {
    wants.is_none_or(|wanted| connection.peer().node_id == wanted)
}

fn backing_off(addr: &str, until: Instant, last: &ConnectError) -> ConnectError {
    let retry_in = until.saturating_duration_since(clock::now());
    ConnectError::BackingOff { addr: addr.to_owned(), retry_in, last: Box::new(last.clone()) }
}
