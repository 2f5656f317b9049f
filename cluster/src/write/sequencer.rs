//! The sequencer: the one task that decides, in order, what happens, while this node leads.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tabularaft_schema::{Schema, Table};
use tabularaft_store::{Batch, Decided, Effect, LogIndex, OpResult, RequestId, Seen, Store, View};
use tokio::sync::{mpsc, oneshot};

use super::decide::{Decider, Settled};
use super::locking::{LockAnswer, LockDesk, LockId, LockRequest};
use super::overlay::Overlay;
use super::recent::Recent;
use super::request::Request;
use crate::door::simulation::{self, Bug};
use crate::raft::{Leadership, Proposal, ProposalOutcome, RaftHandle};
use crate::watch;
use crate::wire::{RequestOutcome, WriteAnswer, WriteBatch};

/// What the sequencer is asked for.
pub(crate) enum Work {
    /// To decide a batch of requests.
    Batch(BatchWork),
    /// To be the next to change these records.
    Lock(LockRequest),
    /// No longer to be it.
    Unlock(LockId),
}

/// A batch of requests and where its answer goes.
pub(crate) struct BatchWork {
    pub(crate) batch: WriteBatch,
    pub(crate) reply: oneshot::Sender<WriteAnswer>,
}

impl Work {
    /// The answer of a node that does not lead.
    fn turn_away(self, leader: Option<(u64, String)>) {
        match self {
            Work::Batch(work) => drop(work.reply.send(WriteAnswer::Retry { leader })),
            Work::Lock(request) => drop(request.reply.send(LockAnswer::Unavailable)),
            Work::Unlock(_) => {}
        }
    }
}

/// Bounds of the sequencer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SequencerLimits {
    /// Entries proposed and not yet applied. More of them make batches smaller, not writes faster.
    pub(crate) entries_in_flight: usize,
    /// An entry is closed once its requests hold this many bytes.
    pub(crate) entry_bytes: usize,
    pub(crate) record_bytes_max: u64,
    /// False only in the test that shows what the check of reads prevents.
    pub(crate) checks_reads: bool,
}

pub(crate) struct Sequencer {
    pub(crate) raft: RaftHandle,
    pub(crate) store: Arc<Store>,
    pub(crate) leadership: watch::Receiver<Leadership>,
    pub(crate) work: mpsc::Receiver<Work>,
    pub(crate) limits: SequencerLimits,
}

/// What the sequencer knows while it leads one term. A new leader starts with a new one.
struct Term {
    term: u64,
    overlay: Overlay,
    recent: Recent,
    next_version: u64,
    /// The last version of everything proposed so far: what the next entry rests on.
    proposed_upto: u64,
    next_entry: u64,
    in_flight: VecDeque<InFlight>,
    /// Requests of entries in flight, so that a retry of one is not decided a second time.
    deciding: HashSet<RequestId>,
    locks: LockDesk,
}

struct InFlight {
    entry: u64,
    proposal: Proposal,
    /// What became of it, once that is known.
    settled: Option<ProposalOutcome>,
    requests: Vec<RequestId>,
    replies: Vec<PendingReply>,
}

/// The answer of one work item; outcomes of requests in the entry lack its index until it is applied.
struct PendingReply {
    reply: oneshot::Sender<WriteAnswer>,
    outcomes: Vec<PendingOutcome>,
}

enum PendingOutcome {
    Final(RequestOutcome),
    InEntry(Vec<OpResult>),
}

/// The entry being filled.
struct Open {
    entry: u64,
    /// What its decisions rest on, besides the overlay. Taken when the entry was opened, and not newer than the last
    /// retirement from the overlay, so that nothing falls between the two.
    view: Arc<View>,
    batch: Batch,
    bytes: usize,
    replies: Vec<PendingReply>,
}

/// The term is over for this sequencer: leadership or the engine is gone.
struct TermOver;

impl Sequencer {
    pub(crate) async fn run(mut self) {
        loop {
            let leadership = self.leadership.borrow_and_update().clone();
            if let Leadership::Leading { term } = leadership {
                self.lead(term).await;
                // Who tells of leadership may be gone for ever while the last word was that this node leads.
                if self.leadership.is_closed() {
                    return;
                }
                continue;
            }
            tokio::select! {
                // Both arms are cancel-safe: a watch change and a channel receive lose nothing when dropped.
                biased;
                changed = self.leadership.changed() => if changed.is_err() { return },
                work = self.work.recv() => match work {
                    Some(work) => work.turn_away(leadership.leader()),
                    None => return,
                },
            }
        }
    }

    async fn lead(&mut self, term: u64) {
        let last_version = self.store.view().last_version();
        let mut state = Term {
            term,
            overlay: Overlay::default(),
            recent: Recent::since(last_version),
            next_version: last_version + 1,
            proposed_upto: last_version,
            next_entry: 0,
            in_flight: VecDeque::new(),
            deciding: HashSet::new(),
            locks: LockDesk::new(term),
        };
        while self.step(&mut state).await.is_ok() {}
        let leader = self.leadership.borrow().leader();
        for entry in &mut state.in_flight {
            for pending in entry.replies.drain(..) {
                let _ = pending.reply.send(WriteAnswer::Retry { leader: leader.clone() });
            }
        }
        self.settle(term, state.in_flight).await;
    }

    /// Raft refuses a proposal also while it leads, when it has not heard a majority for a while. What it took before is
    /// in the log then, and in no view: nothing may be decided in this term before it is.
    async fn settle(&mut self, term: u64, mut in_flight: VecDeque<InFlight>) {
        let leads =
            |leadership: &Leadership| matches!(leadership, Leadership::Leading { term: now } if *now == term);
        while !in_flight.is_empty() && leads(&self.leadership.borrow()) {
            tokio::select! {
                // Both arms are cancel-safe: a watch change, and a oneshot polled in place.
                biased;
                changed = self.leadership.changed() => if changed.is_err() { return },
                () = oldest(&mut in_flight) => drop(in_flight.pop_front()),
            }
        }
    }

    async fn step(&mut self, state: &mut Term) -> Result<(), TermOver> {
        let room = state.in_flight.len() < self.limits.entries_in_flight;
        tokio::select! {
            // All arms are cancel-safe: a watch change, a oneshot polled in place, a timer, a channel receive.
            biased;
            changed = self.leadership.changed() => {
                let leading = matches!(*self.leadership.borrow(), Leadership::Leading { term } if term == state.term);
                if changed.is_err() || !leading { Err(TermOver) } else { Ok(()) }
            }
            outcome = front(&mut state.in_flight) => self.finish(state, outcome),
            () = expiry(state.locks.next_expiry()) => {
                let view = self.store.view();
                state.locks.expire(&Settled { view: &view, overlay: &state.overlay });
                Ok(())
            }
            work = self.work.recv(), if room => self.sequence(state, work.ok_or(TermOver)?).await,
        }
    }

    /// Decides all that waits, and proposes it as one entry.
    async fn sequence(&mut self, state: &mut Term, first: Work) -> Result<(), TermOver> {
        let mut open = state.open(self.store.view());
        let mut next = Some(first);
        while let Some(work) = next {
            let settled = Settled { view: &open.view, overlay: &state.overlay };
            match work {
                Work::Batch(work) => self.take(state, &mut open, work).await?,
                Work::Lock(request) => state.locks.ask(request, &settled),
                Work::Unlock(lock) => state.locks.release(lock, &settled),
            }
            next = if open.bytes < self.limits.entry_bytes { self.work.try_recv().ok() } else { None };
        }
        self.propose(state, open).await
    }

    async fn take(&mut self, state: &mut Term, open: &mut Open, work: BatchWork) -> Result<(), TermOver> {
        let WriteBatch { incarnation, completed_below, requests } = work.batch;
        let mut outcomes = Vec::with_capacity(requests.len());
        for (sequence, request) in requests {
            let id = RequestId { incarnation, sequence };
            if state.deciding.contains(&id) {
                // Its first sending is in flight here: the caller asks again when that has been applied.
                let _ = work.reply.send(WriteAnswer::Retry { leader: self.leadership.borrow().leader() });
                return Ok(());
            }
            if request.is_exclusive() {
                self.exclusive(state, open, &mut outcomes).await?;
            }
            let (exclusive, releases) = (request.is_exclusive(), request.releases);
            outcomes.push(self.decide(state, open, id, completed_below, request));
            if let Some(lock) = releases {
                state.locks.release(lock, &Settled { view: &open.view, overlay: &state.overlay });
            }
            if exclusive {
                self.exclusive(state, open, &mut outcomes).await?;
            }
        }
        open.replies.push(PendingReply { reply: work.reply, outcomes });
        Ok(())
    }

    fn decide(
        &self,
        state: &mut Term,
        open: &mut Open,
        id: RequestId,
        completed_below: u64,
        request: Request,
    ) -> PendingOutcome {
        let seen = match simulation::has(Bug::RequestsForgotten) {
            true => Seen::No,
            false => self.store.outcome(&id),
        };
        match seen {
            Seen::Done { index, results } => {
                simulation::count("request that came twice");
                return PendingOutcome::Final(RequestOutcome::Committed { index, results });
            }
            Seen::Forgotten => return PendingOutcome::Final(RequestOutcome::Forgotten),
            Seen::No => {}
        }
        let mut decider = Decider {
            view: &open.view,
            overlay: &mut state.overlay,
            recent: &mut state.recent,
            entry: open.entry,
            next_version: &mut state.next_version,
            record_bytes_max: self.limits.record_bytes_max,
            local: false,
            checks_reads: self.limits.checks_reads,
        };
        open.bytes += request.bytes();
        match decider.decide(id.incarnation, &request, &mut open.batch.effects) {
            // What was only read is as it was read, which needs no entry.
            Ok(results) if request.ops.is_empty() => {
                PendingOutcome::Final(RequestOutcome::Committed { index: LogIndex(0), results })
            }
            Ok(results) => {
                state.deciding.insert(id);
                open.batch.decided.push(Decided { request: id, completed_below, results: results.clone() });
                PendingOutcome::InEntry(results)
            }
            Err(rejection) => PendingOutcome::Final(RequestOutcome::Rejected(rejection)),
        }
    }

    /// Proposes what is open and waits until nothing is in flight, so that the next decision sees all of it applied.
    async fn exclusive(
        &mut self,
        state: &mut Term,
        open: &mut Open,
        outcomes: &mut [PendingOutcome],
    ) -> Result<(), TermOver> {
        let entry = std::mem::replace(open, state.open(self.store.view()));
        self.propose(state, entry).await?;
        let mut index = None;
        while !state.in_flight.is_empty() {
            let outcome = front(&mut state.in_flight).await;
            if let ProposalOutcome::Applied(at) = outcome {
                index = Some(at);
            }
            self.finish(state, outcome)?;
        }
        // What comes next rests on everything that has just been applied, which the overlay no longer holds.
        open.view = self.store.view();
        state.overlay.forget_counts();
        for outcome in outcomes {
            if let (PendingOutcome::InEntry(results), Some(index)) = (&mut *outcome, index) {
                let results = std::mem::take(results);
                *outcome = PendingOutcome::Final(RequestOutcome::Committed { index, results });
            }
        }
        Ok(())
    }

    async fn propose(&mut self, state: &mut Term, mut open: Open) -> Result<(), TermOver> {
        if open.batch.decided.is_empty() {
            self.answer_without_entry(state, open.replies);
            return Ok(());
        }
        open.batch.rests_on = Some(state.proposed_upto);
        let versions = open.batch.effects.iter().filter_map(Effect::version);
        state.proposed_upto = versions.fold(state.proposed_upto, u64::max);
        let requests = open.batch.decided.iter().map(|decided| decided.request).collect();
        let bytes = open.batch.encode(needs_sync(open.view.schema(), &open.batch.effects));
        simulation::wait_for_processor(self.raft.node()).await;
        match self.raft.propose(bytes).await {
            Ok(proposal) => {
                let Open { entry, replies, .. } = open;
                state.in_flight.push_back(InFlight { entry, proposal, settled: None, requests, replies });
                Ok(())
            }
            Err(_) => {
                self.retry(open.replies);
                Err(TermOver)
            }
        }
    }

    /// Answers that rest on a decision but on no entry of their own still need proof that this node led when it
    /// decided: the next entry in flight is one, otherwise a round of ReadIndex.
    fn answer_without_entry(&self, state: &mut Term, replies: Vec<PendingReply>) {
        if replies.is_empty() {
            return;
        }
        if let Some(last) = state.in_flight.back_mut() {
            last.replies.extend(replies);
            return;
        }
        let raft = self.raft.clone();
        let leader = self.leadership.borrow().leader();
        tokio::spawn(async move {
            let leads = raft.read_index().await.is_ok();
            for pending in replies {
                let answer = if leads {
                    pending.answer(LogIndex(0))
                } else {
                    WriteAnswer::Retry { leader: leader.clone() }
                };
                let _ = pending.reply.send(answer);
            }
        });
    }

    fn finish(&self, state: &mut Term, outcome: ProposalOutcome) -> Result<(), TermOver> {
        let Some(entry) = state.in_flight.pop_front() else { return Ok(()) };
        state.overlay.retire(entry.entry);
        for request in &entry.requests {
            state.deciding.remove(request);
        }
        match outcome {
            ProposalOutcome::Applied(index) => {
                for pending in entry.replies {
                    let answer = pending.answer(index);
                    let _ = pending.reply.send(answer);
                }
                Ok(())
            }
            ProposalOutcome::Lost => {
                self.retry(entry.replies);
                Err(TermOver)
            }
        }
    }

    fn retry(&self, replies: Vec<PendingReply>) {
        let leader = self.leadership.borrow().leader();
        for pending in replies {
            let _ = pending.reply.send(WriteAnswer::Retry { leader: leader.clone() });
        }
    }
}

impl Term {
    fn open(&mut self, view: Arc<View>) -> Open {
        let entry = self.next_entry;
        self.next_entry += 1;
        let batch = Batch { term: self.term, ..Batch::default() };
        Open { entry, view, batch, bytes: 0, replies: Vec::new() }
    }
}

impl PendingReply {
    fn answer(&self, index: LogIndex) -> WriteAnswer {
        let outcome = |pending: &PendingOutcome| match pending {
            PendingOutcome::Final(outcome) => outcome.clone(),
            PendingOutcome::InEntry(results) => RequestOutcome::Committed { index, results: results.clone() },
        };
        WriteAnswer::Decided(self.outcomes.iter().map(outcome).collect())
    }
}

/// Whether a power loss of all nodes must not lose the entry: it touches a disc copy anywhere, or what the cluster is.
fn needs_sync(schema: &Schema, effects: &[Effect]) -> bool {
    effects.iter().any(|effect| match effect.table() {
        Some(table) => schema.table_by_id(table).is_some_and(|table| has_disc_copy(table)),
        None => !matches!(effect, Effect::Barrier { .. } | Effect::Clock { .. }),
    })
}

fn has_disc_copy(table: &Table) -> bool {
    table.def.copy.is_on_disc() || table.copies.values().flatten().any(|mode| mode.is_on_disc())
}

/// Resolves when the next lock runs out.
async fn expiry(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Resolves when the oldest entry in flight has been applied, or any has been lost; never, when there is none.
///
/// A lost one ends the term even if those before it are still under way: what is decided after it rests on it.
async fn front(in_flight: &mut VecDeque<InFlight>) -> ProposalOutcome {
    poll_fn(|context| {
        let lost = in_flight.iter_mut().any(|entry| entry.poll(context) == Some(ProposalOutcome::Lost));
        let oldest = in_flight.front().and_then(|entry| entry.settled);
        let outcome = if lost { Some(ProposalOutcome::Lost) } else { oldest };
        outcome.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Resolves when it is known what became of the oldest entry in flight; never, when there is none.
async fn oldest(in_flight: &mut VecDeque<InFlight>) {
    poll_fn(|context| match in_flight.front_mut().and_then(|entry| entry.poll(context)) {
        Some(_) => Poll::Ready(()),
        None => Poll::Pending,
    })
    .await;
}

impl InFlight {
    /// What became of it, if that is known; otherwise the task is woken once it is.
    fn poll(&mut self, context: &mut Context<'_>) -> Option<ProposalOutcome> {
        if self.settled.is_none()
            && let Poll::Ready(outcome) = pin!(self.proposal.outcome()).poll(context)
        {
            self.settled = Some(outcome);
        }
        self.settled
    }
}
