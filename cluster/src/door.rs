//! The one door through which time and randomness enter, so that a simulation can own both.
//!
//! Time is tokio's: a simulation pauses its clock. Randomness, the time of day and threads for blocking work are taken
//! from the simulation that [`simulation::begin`] has begun on this thread, if there is one.
#![expect(clippy::disallowed_methods, reason = "this is the door the lint guards")]

use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;

/// Monotonic time.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Milliseconds since 1970, for names and reports, and for the age of records across a restart: see `engine::expiry`.
pub(crate) fn unix_ms() -> u64 {
    let since_1970 =
        || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    simulation::unix_ms().unwrap_or_else(since_1970)
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Runs `future` until `deadline`; `None` when time ran out.
pub(crate) async fn until<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    tokio::time::timeout_at(deadline.into(), future).await.ok()
}

/// A number from the process's random generator.
pub(crate) fn random_u64() -> u64 {
    simulation::random_u64().unwrap_or_else(rand::random)
}

/// An identifier that no other cluster has.
pub(crate) fn random_u128() -> u128 {
    u128::from(random_u64()) << 64 | u128::from(random_u64())
}

/// A number from 0 up to, but without, 1.
pub(crate) fn random_fraction() -> f64 {
    // As many bits as a double holds.
    (random_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Starts work that blocks, on a thread for such. It goes on when the handle is dropped.
pub(crate) fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    if simulation::is_running() {
        // A thread would run at its own pace.
        return tokio::spawn(async move { work() });
    }
    tokio::task::spawn_blocking(work)
}

/// A simulation's side of the door. It concerns the calling thread alone, on which the whole simulated cluster runs.
#[doc(hidden)]
pub mod simulation {
    use std::cell::RefCell;
    use std::collections::{BTreeMap, BTreeSet};

    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    thread_local! {
        static RUNNING: RefCell<Option<Simulation>> = const { RefCell::new(None) };
    }

    struct Simulation {
        random: StdRng,
        unix_ms: u64,
        bug: Option<Bug>,
        /// By the node's id.
        afflicted: BTreeSet<(Affliction, u64)>,
        rare: BTreeMap<&'static str, u64>,
    }

    /// What is wrong with a node above its disc and its network.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Affliction {
        /// Its sequencer gets no processor between a decision and its proposal, while everything else goes on.
        Starved,
        /// Its memory loses a record on the way into each chunk of a copy that it hands out.
        Forgetful,
    }

    /// A bug put back on purpose, to see that a simulation finds it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Bug {
        /// A vote is given without being written down.
        VoteNotSaved,
        /// Entries of disc tables are acknowledged before they are synced.
        AcknowledgedBeforeSync,
        /// A request that comes again is decided again.
        RequestsForgotten,
        /// An entry that was decided in another term than it was logged in is applied all the same.
        FenceOff,
        /// A copy is taken on without a look at the digest of its source.
        CopyUnchecked,
    }

    /// From now on this thread's randomness comes from `seed`, and its time of day from [`set_unix_ms`].
    pub fn begin(seed: u64) {
        let random = StdRng::seed_from_u64(seed);
        let (afflicted, rare) = (BTreeSet::new(), BTreeMap::new());
        RUNNING.set(Some(Simulation { random, unix_ms: 0, bug: None, afflicted, rare }));
    }

    /// Gives this thread back to the world.
    pub fn end() {
        RUNNING.set(None);
    }

    /// Puts a bug back into the nodes of this thread's simulation.
    pub fn put_back(bug: Bug) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(simulation) = running {
                simulation.bug = Some(bug);
            }
        });
    }

    /// Whether this thread simulates nodes with this bug.
    pub(crate) fn has(bug: Bug) -> bool {
        RUNNING.with_borrow(|running| running.as_ref().is_some_and(|simulation| simulation.bug == Some(bug)))
    }

    /// Afflicts the node of this id, until it comes back under another one, or is relieved.
    pub fn afflict(affliction: Affliction, node: u64) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(simulation) = running {
                simulation.afflicted.insert((affliction, node));
            }
        });
    }

    /// Relieves all nodes of it.
    pub fn relieve(affliction: Affliction) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(simulation) = running {
                simulation.afflicted.retain(|(afflicted_with, _)| *afflicted_with != affliction);
            }
        });
    }

    /// Whether this thread simulates a node of this id that is afflicted so.
    pub(crate) fn is_afflicted(affliction: Affliction, node: u64) -> bool {
        RUNNING.with_borrow(|running| {
            running.as_ref().is_some_and(|simulation| simulation.afflicted.contains(&(affliction, node)))
        })
    }

    /// Waits while the node is starved; outside of a simulation it is never.
    pub(crate) async fn wait_for_processor(node: u64) {
        while is_afflicted(Affliction::Starved, node) {
            super::sleep(super::ms(1)).await;
        }
    }

    /// Counts that something happened that only happens when things go wrong.
    pub(crate) fn count(what: &'static str) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(simulation) = running {
                *simulation.rare.entry(what).or_default() += 1;
            }
        });
    }

    /// What has been counted since [`begin`], and how often.
    pub fn counted() -> BTreeMap<&'static str, u64> {
        RUNNING.with_borrow(|running| {
            running.as_ref().map(|simulation| simulation.rare.clone()).unwrap_or_default()
        })
    }

    /// Sets the time of day that nodes on this thread see, in milliseconds since 1970. It may jump.
    pub fn set_unix_ms(unix_ms: u64) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(simulation) = running {
                simulation.unix_ms = unix_ms;
            }
        });
    }

    pub(super) fn is_running() -> bool {
        RUNNING.with_borrow(Option::is_some)
    }

    pub(super) fn random_u64() -> Option<u64> {
        RUNNING.with_borrow_mut(|running| running.as_mut().map(|simulation| simulation.random.next_u64()))
    }

    pub(super) fn unix_ms() -> Option<u64> {
        RUNNING.with_borrow(|running| running.as_ref().map(|simulation| simulation.unix_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let draw = |seed| {
            simulation::begin(seed);
            let drawn = (random_u64(), random_u128(), unix_ms());
            simulation::end();
            drawn
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[tokio::test]
    async fn blocking_work_is_done_and_its_result_comes_back() {
        assert_eq!(blocking(|| 7).await.unwrap(), 7);
    }
}
