//! Attempts of a transaction, until one is accepted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tabularaft_schema::TableId;
use tabularaft_store::LogIndex;

use super::conflict::Conflict;
use super::error::{TransactionError, TxError};
use super::options::{Transacted, TransactionOptions};
use super::state::TxState;
use super::tx::Tx;
use crate::door;
use crate::engine::Engine;
use crate::error::WriteError;
use crate::inner::NodeInner;
use crate::turns::{Claim, Turn};
use crate::write::{Op, Place, Rejection, Request};

/// So often a closure may want turns at more records than at its last run; then it goes on without.
const DISCOVERIES_MAX: u32 = 8;
/// After so many conflicts a transaction asks for a turn at the record that it failed at.
const CONFLICTS_BEFORE_TURN: u32 = 2;

/// A transaction that has not been accepted yet.
struct Run<'n> {
    node: &'n Arc<NodeInner>,
    deadline: Instant,
    attempts_max: u32,
    attempts: u32,
    /// The records that it wants a turn at.
    places: BTreeSet<Place>,
    discoveries: u32,
}

/// What one run of the closure came to.
struct Attempt<T> {
    outcome: Result<T, TxError>,
    state: TxState,
    /// Of the view that was read.
    last_version: u64,
    index: LogIndex,
}

/// What became of an attempt.
enum Verdict {
    /// A view at this index shows what was written and read.
    Accepted(LogIndex),
    /// Something that was read has changed.
    Conflict(Conflict),
    /// The leader has no loaded copy of a table yet.
    TooEarly,
}

/// Runs the closure until what it read is what the cluster holds at the moment of its writes.
pub(super) async fn run<T>(
    node: &Arc<NodeInner>,
    options: TransactionOptions,
    mut body: impl FnMut(&Tx) -> Result<T, TxError>,
) -> Result<Transacted<T>, TransactionError> {
    let mut run = Run {
        node,
        deadline: door::now() + options.timeout.unwrap_or(node.config.write_timeout()),
        attempts_max: options.attempts_max.unwrap_or(node.config.transaction_attempts_max),
        attempts: 1,
        places: BTreeSet::new(),
        discoveries: 0,
    };
    loop {
        let engine = node.engine().ok_or(WriteError::Stopped)?;
        let turn = run.turn(&engine).await?;
        let mut attempt = run.attempt(&engine, turn.as_ref(), &mut body);
        let claim = run.spares_turns(&engine, &attempt.state);
        if claim.is_none() && run.wants_more(&mut attempt.state) {
            continue;
        }
        let value = match attempt.outcome {
            Ok(value) => Ok(value),
            Err(TxError::Aborted(reason)) => {
                // Whether to give up was decided on what was read, so that must have been true as well.
                attempt.state.writes.take_back(0);
                Err(reason)
            }
            Err(error) => return Err(error.into()),
        };
        let Attempt { state, last_version, index, .. } = attempt;
        match run.submit(&engine, turn, state, last_version, index).await? {
            Verdict::Accepted(index) => {
                if let Some(claim) = claim {
                    claim.was_alone();
                }
                let value = value.map_err(TransactionError::Aborted)?;
                return Ok(Transacted { value, index, attempts: run.attempts });
            }
            Verdict::Conflict(conflict) => {
                run.places.extend(claim.map(Claim::has_met).unwrap_or_default());
                run.after(&engine, conflict).await?;
            }
            Verdict::TooEarly if door::now() < run.deadline => door::sleep(door::ms(20)).await,
            Verdict::TooEarly => return Err(WriteError::NoLeader.into()),
        }
    }
}

impl Run<'_> {
    /// Waits for a turn at the records that are wanted. Where there is none to be had, the check at the end has to do.
    async fn turn(&self, engine: &Engine) -> Result<Option<Turn>, TransactionError> {
        let Some(first) = self.places.first() else { return Ok(None) };
        let turn = engine.turns.take(self.places.clone(), self.deadline).await;
        if turn.is_none() && door::now() >= self.deadline {
            let view = engine.store.view();
            return Err(Conflict::at(first, &view).error(&view, self.attempts));
        }
        Ok(turn)
    }

    /// Runs the closure once, against the newest view of this node.
    fn attempt<T>(
        &self,
        engine: &Engine,
        turn: Option<&Turn>,
        body: &mut impl FnMut(&Tx) -> Result<T, TxError>,
    ) -> Attempt<T> {
        let contents = turn.map(|turn| turn.contents.clone()).unwrap_or_default();
        let tx = Tx::new(Arc::clone(self.node), engine.store.view(), contents);
        let index = tx.index();
        let outcome = body(&tx);
        let (state, last_version) = tx.into_parts();
        Attempt { outcome, state, last_version, index }
    }

    /// Leave to go on without turns at the records that were read for update, at the first attempt of several.
    fn spares_turns(&self, engine: &Engine, state: &TxState) -> Option<Claim> {
        let is_first_of_several = self.attempts == 1 && self.attempts_max > 1 && self.places.is_empty();
        match is_first_of_several && !state.wanted.is_empty() {
            true => engine.turns.spare(&state.wanted),
            false => None,
        }
    }

    /// Whether the closure is to run again with turns at records that it has just asked for.
    fn wants_more(&mut self, state: &mut TxState) -> bool {
        let known = self.places.len();
        self.places.append(&mut state.wanted);
        if self.places.len() == known {
            return false;
        }
        self.discoveries += 1;
        self.discoveries <= DISCOVERIES_MAX
    }

    /// Lets the leader decide, and the next in turn go on meanwhile.
    async fn submit(
        &self,
        engine: &Engine,
        turn: Option<Turn>,
        state: TxState,
        last_version: u64,
        index: LogIndex,
    ) -> Result<Verdict, TransactionError> {
        let left = state.left(&engine.store.view()).map_err(TxError::from)?;
        let TxState { reads, writes, record_versions, .. } = state;
        let (guards, ops) = (reads.into_guards(last_version), writes.into_ops());
        if guards.is_empty() && ops.is_empty() {
            return Ok(Verdict::Accepted(index));
        }
        let reads_only = ops.is_empty();
        let releases = turn.as_ref().and_then(Turn::releases);
        let written: BTreeSet<TableId> = ops.iter().filter_map(Op::table).collect();
        let mut request = Request::transaction(guards, ops, releases);
        for (table, version) in record_versions.into_iter().filter(|(table, _)| written.contains(table)) {
            request = request.with_record_version(table, version);
        }
        let submitted = engine.submit(request, self.deadline).await?;
        if let Some(turn) = turn {
            turn.pass_on(left);
        }
        match submitted.outcome(self.deadline).await {
            Ok(committed) => Ok(Verdict::Accepted(committed.index.max(index))),
            Err(WriteError::Rejected(Rejection::TableLoading { .. })) => Ok(Verdict::TooEarly),
            Err(WriteError::Rejected(rejection)) => match Conflict::of(rejection) {
                Ok(conflict) => Ok(Verdict::Conflict(conflict)),
                Err(rejection) => Err(WriteError::Rejected(rejection).into()),
            },
            // What only reads cannot have happened.
            Err(WriteError::Unknown) if reads_only => Err(WriteError::NoLeader.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Prepares the next attempt, if there may be one.
    async fn after(&mut self, engine: &Engine, conflict: Conflict) -> Result<(), TransactionError> {
        if self.attempts >= self.attempts_max || door::now() >= self.deadline {
            return Err(conflict.error(&engine.store.view(), self.attempts));
        }
        if self.attempts >= CONFLICTS_BEFORE_TURN {
            self.places.extend(conflict.place(&engine.store.view()));
        }
        conflict.wait(engine, self.attempts, self.deadline).await;
        self.attempts += 1;
        Ok(())
    }
}
