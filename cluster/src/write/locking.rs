//! The sequencer's lock desk: answers those who ask for locks, with the records as they are decided so far.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::locks::{LockTable, Place};
use super::request::Rejection;
use crate::door;

/// How long a lock is held at most. Its holders need well under a millisecond; who dies with one is waited for so long.
const LEASE: Duration = Duration::from_secs(1);
/// How many may wait for locks; beyond that transactions go without.
const WAITING_MAX: usize = 4_096;

/// Names a lock: only the leader of this term knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LockId {
    pub(crate) term: u64,
    pub(crate) number: u64,
}

/// The answer to a request for locks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum LockAnswer {
    /// All are granted; these are the records, in the order of the request (`None`: there is none), as everything
    /// decided so far leaves them. They may never be committed, so whoever rests on them names their content as a
    /// guard, and not their versions: a new leader may use those again.
    Granted { lock: LockId, records: Vec<Option<Bytes>> },
    /// This node does not lead, or too many wait.
    Unavailable,
    /// A record cannot be locked.
    Refused(Rejection),
}

/// Somebody who asks for locks.
pub(crate) struct LockRequest {
    pub(crate) places: Vec<Place>,
    pub(crate) reply: oneshot::Sender<LockAnswer>,
}

/// Looks records up as they are decided so far.
pub(super) trait Decided {
    fn record(&self, place: &Place) -> Result<Option<Bytes>, Rejection>;
}

/// The locks of one term, and who waits for which.
pub(super) struct LockDesk {
    term: u64,
    table: LockTable,
    asking: HashMap<u64, oneshot::Sender<LockAnswer>>,
}

impl LockDesk {
    pub(super) fn new(term: u64) -> Self {
        Self { term, table: LockTable::default(), asking: HashMap::new() }
    }

    pub(super) fn ask(&mut self, request: LockRequest, decided: &impl Decided) {
        if self.table.waiting() >= WAITING_MAX {
            let _ = request.reply.send(LockAnswer::Unavailable);
            return;
        }
        let lock = self.table.ask(request.places);
        self.asking.insert(lock, request.reply);
        self.grant(decided);
    }

    /// Gives a lock back; one of another term is none of this desk's.
    pub(super) fn release(&mut self, lock: LockId, decided: &impl Decided) {
        if lock.term == self.term {
            self.table.release(lock.number);
            self.asking.remove(&lock.number);
            self.grant(decided);
        }
    }

    pub(super) fn expire(&mut self, decided: &impl Decided) {
        self.table.expire(door::now());
        self.grant(decided);
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.table.next_expiry()
    }

    fn grant(&mut self, decided: &impl Decided) {
        loop {
            let granted = self.table.grant(door::now() + LEASE);
            if granted.is_empty() {
                return;
            }
            for (number, places) in granted {
                self.answer(number, &places, decided);
            }
        }
    }

    fn answer(&mut self, number: u64, places: &[Place], decided: &impl Decided) {
        let Some(reply) = self.asking.remove(&number) else { return self.table.release(number) };
        let records: Result<Vec<_>, _> = places.iter().map(|place| decided.record(place)).collect();
        let (answer, is_granted) = match records {
            Ok(records) => {
                let lock = LockId { term: self.term, number };
                (LockAnswer::Granted { lock, records }, true)
            }
            Err(rejection) => (LockAnswer::Refused(rejection), false),
        };
        // Nobody hears the answer of one who has gone: the lock is free again.
        if reply.send(answer).is_err() || !is_granted {
            self.table.release(number);
        }
    }
}
