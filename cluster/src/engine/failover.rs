//! A leader whose process is gone is known by its broken connection: the election starts then, not after a timeout.
//!
//! Such an election overrides the lease of the leader, so it begins only when a majority of the voters finds the leader
//! gone: a node that is refused by a leader which others reach must not depose it.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tabularaft_schema::NodeId;

use super::Engine;
use crate::door;
use crate::raft::{Leadership, RaftHandle};
use crate::transport::{ConnectError, Lane};
use crate::wire::{Answer, Call};

/// How long a second connection to the leader is tried: a dead process refuses at once on its machine, a dead machine
/// does not answer.
const REDIAL: Duration = Duration::from_millis(300);
/// How long to wait before looking again at a leader that may live.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(5);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(200);
/// Voters start their elections this far apart, in the order of their ids, so that they do not split the vote.
const STAGGER_MS: u64 = 60;
/// How long a candidacy is waited for, plus up to the same again by chance, before the next one.
const CANDIDACY_MS: u64 = 150;
/// After so many candidacies there is no majority to be had, and the election timeout takes over.
const CANDIDACIES_MAX: usize = 8;

pub(super) async fn run(engine: Weak<Engine>, raft: RaftHandle) {
    let Some(mut leadership) = engine.upgrade().map(|engine| engine.leadership.clone()) else { return };
    loop {
        let leader = leadership.borrow_and_update().leader();
        let watched = async {
            match &leader {
                Some((id, address)) => gone(&engine, *id, address).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Both arms are cancel-safe: a watch change, and connections that are only looked at.
            biased;
            changed = leadership.changed() => if changed.is_err() { return },
            () = watched => {
                if let Some((id, _)) = leader {
                    elect(&engine, &raft, id).await;
                }
                // Whatever came of it shows as a change of leadership, or this is looked at again a little later.
                door::sleep(door::ms(100)).await;
            }
        }
    }
}

/// Resolves once the leader's process is known to be gone.
async fn gone(engine: &Weak<Engine>, leader: u64, address: &str) {
    loop {
        let Some(peers) = engine.upgrade().map(|engine| std::sync::Arc::clone(&engine.peers)) else {
            return std::future::pending().await;
        };
        match door::until(door::now() + REDIAL, peers.connect(address, Lane::Raft, Some(leader))).await {
            Some(Ok(connection)) => {
                let _ = connection.closed().await;
            }
            Some(Err(error)) if says_process_is_gone(&error) => return,
            // A process that is ending takes connections a moment longer and breaks them off.
            Some(Err(error)) => door::sleep(pause_after(&error)).await,
            // It hangs, or is cut off: that is for the election timeout to find out.
            None => door::sleep(LOOK_AGAIN_MAX).await,
        }
    }
}

/// How soon to look again at a leader of which the error says neither that it lives nor that it is gone.
fn pause_after(error: &ConnectError) -> Duration {
    match error {
        ConnectError::BackingOff { retry_in, .. } => (*retry_in).clamp(LOOK_AGAIN_MIN, LOOK_AGAIN_MAX),
        _ => LOOK_AGAIN_MIN,
    }
}

/// Its machine answers, and nobody listens at its address.
fn says_process_is_gone(error: &ConnectError) -> bool {
    match error {
        ConnectError::Unreachable { error, .. } => error.kind() == std::io::ErrorKind::ConnectionRefused,
        ConnectError::BackingOff { last, .. } => says_process_is_gone(last),
        _ => false,
    }
}

async fn elect(engine: &Weak<Engine>, raft: &RaftHandle, gone: u64) {
    let Some(node) = engine.upgrade().map(|engine| engine.node()) else { return };
    let voters = raft.membership().voters;
    if !voters.contains(&node) {
        return;
    }
    let rank = voters.iter().filter(|id| **id != gone).position(|id| *id == node).unwrap_or(0) as u64;
    let mut pause = rank * STAGGER_MS;
    let mut voted = raft.voted();
    for _ in 0..CANDIDACIES_MAX {
        door::sleep(door::ms(pause)).await;
        if !is_without_leader(engine, gone) {
            return;
        }
        // A vote that was split, or lost to a longer log, is not left to the election timeout.
        pause = CANDIDACY_MS + rank * STAGGER_MS + door::random_u64() % CANDIDACY_MS;
        let now = raft.voted();
        if std::mem::replace(&mut voted, now) != now && now.1 != node {
            // Another node stands, and this one has voted for it: a second candidate would only take that away.
            continue;
        }
        if !majority_finds_gone(engine, &voters, gone).await {
            tracing::debug!(leader = gone, "others do not find the leader gone");
        } else if !is_without_leader(engine, gone) {
            return;
        } else if let Err(error) = raft.elect_in_place_of_dead_leader().await {
            tracing::warn!(%error, "the election did not start");
        } else {
            tracing::info!(leader = gone, "the leader's process is gone, an election starts");
        }
    }
}

/// Whether so many voters find the process of the leader gone as could elect another one, this node among them.
async fn majority_finds_gone(engine: &Weak<Engine>, voters: &BTreeSet<NodeId>, leader: NodeId) -> bool {
    let Some(engine) = engine.upgrade() else { return false };
    let majority = voters.len() / 2 + 1;
    let others = voters.iter().filter(|id| **id != leader && **id != engine.node());
    let mut asked: FuturesUnordered<_> = others.map(|id| finds_gone(&engine, *id, leader)).collect();
    let mut agree = 1;
    while agree < majority {
        match asked.next().await {
            Some(agrees) => agree += usize::from(agrees),
            None => return false,
        }
    }
    true
}

async fn finds_gone(engine: &Engine, voter: NodeId, leader: NodeId) -> bool {
    let Some(address) = engine.peers.address_of(voter) else { return false };
    let call = Call::IsGone { node: leader };
    let asked = engine.peers.call_until(&address, &call, door::now() + REDIAL * 2);
    matches!(asked.await, Ok(Answer::IsGone(true)))
}

/// Whether the process of this member is gone, as far as can be told at once.
pub(crate) async fn is_gone(engine: &Arc<Engine>, node: NodeId) -> bool {
    let Some(address) = engine.peers.address_of(node) else { return false };
    let weak = Arc::downgrade(engine);
    door::until(door::now() + REDIAL, gone(&weak, node, &address)).await.is_some()
}

/// Whether nobody has taken the place of the leader that is gone.
fn is_without_leader(engine: &Weak<Engine>, gone: u64) -> bool {
    let leadership = engine.upgrade().map(|engine| engine.leadership.borrow().clone());
    match leadership {
        Some(Leadership::Following { leader }) => leader.is_none_or(|(id, _)| id == gone),
        Some(Leadership::Leading { .. }) | None => false,
    }
}
