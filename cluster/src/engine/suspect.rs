//! Nodes that may not take part: those whose machine crashed, and those that were removed.
//!
//! A crashed machine may have forgotten entries of ram tables that this node acknowledged before they were on disc. If
//! it voted as if nothing had happened, it could help to elect a leader that lacks them:
//!
//! ```text
//! unsafe: n1, n2 hold entry 7 (n3 not yet) -> n1's machine crashes, forgets 7 -> n1 votes for n3 -> 7 is lost
//! safe:   ... -> n1 does not vote, comes back under a new id -> only n2 can be elected -> 7 is there
//! ```
//!
//! Only when no majority without such a memory gap is left do the nodes start again together, once all voters are
//! present: the log that reaches furthest has all that was synced, and all that any other one has. So those with
//! shorter logs vote, and do not stand for election until there has been a leader.

use std::sync::{Arc, Weak};

use tabularaft_schema::NodeId;
use tabularaft_store::{LogIndex, Position};

use super::Engine;
use crate::door;
use crate::inner::NodeInner;
use crate::peers::PeerError;
use crate::transport::{ConnectError, Lane, Refusal};
use crate::wire::{Answer, Call, Presence};

const ASK_EVERY_MS: u64 = 300;
const ANSWER_MS: u64 = 1_000;

/// What a suspect node may do, as far as its peers tell.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// A majority without a memory gap has a leader: come back under a new id, through this member.
    ComeBack(String),
    /// All voters are here, and those without a gap are no majority: start again together. The furthest log among the
    /// others reaches up to `others_last`.
    StartTogether {
        others_last: Option<Position>,
    },
    Wait,
}

/// Asks the other voters until it is clear how this node may come back.
pub(crate) async fn resolve(node: Weak<NodeInner>, engine: Weak<Engine>) {
    loop {
        let (Some(node_now), Some(engine_now)) = (node.upgrade(), engine.upgrade()) else { return };
        let voters = voters(&engine_now);
        let present = presences(&engine_now, &voters).await;
        match verdict(voters.len(), &present) {
            Verdict::StartTogether { others_last } => {
                node_now.home.settle_crash();
                drop(node_now);
                start_together(&engine_now, others_last).await;
                return;
            }
            Verdict::ComeBack(peer) => {
                // The cycle stops this engine and with it this task, so it runs on its own. It may be turned away before
                // it has touched anything, so this task goes on until it is ended.
                node_now.heal_later(peer);
            }
            Verdict::Wait => {}
        }
        drop((node_now, engine_now));
        door::sleep(door::ms(ASK_EVERY_MS)).await;
    }
}

async fn start_together(engine: &Arc<Engine>, others_last: Option<Position>) {
    let own_last = engine.last_position();
    let furthest = own_last >= others_last;
    tracing::info!(
        furthest,
        "all voters are present after a crash of the machines, they start again together"
    );
    if let Err(error) = engine.take_part_campaigning(furthest).await {
        tracing::error!(%error, "raft did not start");
        return;
    }
    // Who led according to the disc proves nothing; an entry behind all that this node had comes from a leader.
    let mut applied = engine.applied.clone();
    let led = applied.wait_for(|applied| *applied > own_last.map_or(0, |last| last.index)).await;
    if led.is_ok()
        && let Some(raft) = engine.raft()
    {
        raft.campaigns(true);
    }
}

/// The other voters of every membership that may be in force, as far as this node's disc tells.
fn voters(engine: &Engine) -> Vec<(u64, String)> {
    let remembered = engine.remembered().map(|remembered| remembered.voters.clone()).unwrap_or_default();
    let others = remembered.into_iter().filter(|(id, _)| *id != engine.node());
    others.map(|(id, address)| (id, engine.peers.address_of(id).unwrap_or(address))).collect()
}

/// What the voters say of themselves, and after them whoever they say leads: that may be a node that came later.
async fn presences(engine: &Engine, voters: &[(u64, String)]) -> Presences {
    let asked = voters.iter().map(|(id, address)| async move {
        let (address, presence) = presence(engine, address.clone()).await?;
        Some((address, as_voter(*id, presence)))
    });
    let voters_present: Vec<_> = futures::future::join_all(asked).await.into_iter().flatten().collect();
    let leaders = voters_present.iter().filter_map(|(_, presence)| presence.leader.clone());
    let unknown =
        leaders.filter(|(id, _)| *id != engine.node() && voters.iter().all(|(voter, _)| voter != id));
    let asked = unknown.map(|(_, address)| presence(engine, address));
    let later = futures::future::join_all(asked).await.into_iter().flatten().collect();
    Presences { voters: voters_present, later }
}

/// Who answers for a voter under another id has come back after a crash of its own, before this node heard of it: the
/// voter is gone for good, with all that it may have acknowledged.
fn as_voter(voter: NodeId, answered: Presence) -> Presence {
    match answered.node == voter {
        true => answered,
        false => Presence { crashed: true, last: None, ..answered },
    }
}

async fn presence(engine: &Engine, address: String) -> Option<(String, Presence)> {
    let deadline = door::now() + door::ms(ANSWER_MS);
    match engine.peers.call_until(&address, &Call::Presence, deadline).await {
        Ok(Answer::Presence(presence)) => Some((address, presence)),
        _ => None,
    }
}

/// Who answered, each with its address.
#[derive(Default)]
struct Presences {
    voters: Vec<(String, Presence)>,
    /// Leaders that are no voters as far as this node knows.
    later: Vec<(String, Presence)>,
}

fn verdict(other_voters: usize, present: &Presences) -> Verdict {
    let mut all = present.voters.iter().chain(&present.later);
    if let Some((address, _)) = all.find(|(_, presence)| presence.leads && !presence.suspect) {
        return Verdict::ComeBack(address.clone());
    }
    let voters = other_voters + 1;
    let without_gap = present.voters.iter().filter(|(_, presence)| !presence.crashed).count();
    if present.voters.len() == other_voters && without_gap <= voters / 2 {
        let others_last = present.voters.iter().filter_map(|(_, presence)| presence.last).max();
        return Verdict::StartTogether { others_last };
    }
    Verdict::Wait
}

/// Finds out whether the cluster has removed this node: then its members refuse connections, and say why. The leader
/// that this node believes in may be of an earlier life, so it is no reason not to look.
///
/// A suspect that died while it came back has lost its old id to the attempt, but not its place: it comes back again.
pub(crate) async fn watch_removal(node: Weak<NodeInner>, engine: Weak<Engine>) {
    loop {
        door::sleep(door::ms(ASK_EVERY_MS)).await;
        let Some(engine) = engine.upgrade() else { return };
        if engine.is_leading() {
            continue;
        }
        let suspect = engine.raft().is_none();
        if let Some(at) = removed_in_own_log(&engine).filter(|_| !suspect) {
            drop(engine);
            let Some(node) = node.upgrade() else { return };
            node.become_removed_later(at);
        } else if let Some((peer, at)) = told_removed(&engine).await {
            drop(engine);
            let Some(node) = node.upgrade() else { return };
            // Either replaces this engine and ends this task, so it runs on its own. It does nothing while another change
            // of this node's place is under way, so it is tried until this task ends.
            if suspect && crate::join::has_other_id(&node, &peer).await {
                node.heal_later(peer);
            } else {
                node.become_removed_later(at);
            }
        }
    }
}

/// A removed node is sent the log until it has been told.
fn removed_in_own_log(engine: &Engine) -> Option<LogIndex> {
    engine.store.view().system().removed.get(&engine.node()).map(|removed| removed.at)
}

/// Who says so, and as of which index.
async fn told_removed(engine: &Engine) -> Option<(String, LogIndex)> {
    let view = engine.store.view();
    let others: Vec<(u64, String)> = view
        .system()
        .members
        .iter()
        .filter(|(id, _)| **id != engine.node())
        .map(|(id, member)| (*id, member.address.clone()))
        .collect();
    drop(view);
    for (_, address) in others {
        let connected = engine.peers.connect(&address, Lane::Calls, None);
        let answer = door::until(door::now() + door::ms(ANSWER_MS), connected).await;
        if let Some(Err(error)) = answer
            && let Some(at) = removal(&PeerError::from(error))
        {
            return Some((address, at));
        }
    }
    None
}

/// Whether a peer refuses this node because it was removed, and as of which index.
pub(crate) fn removal(error: &PeerError) -> Option<LogIndex> {
    match error {
        PeerError::Connect(ConnectError::Refused { refusal: Refusal::Removed { at, .. }, .. }) => {
            Some(LogIndex(*at))
        }
        PeerError::Connect(ConnectError::BackingOff { last, .. }) => match last.as_ref() {
            ConnectError::Refused { refusal: Refusal::Removed { at, .. }, .. } => Some(LogIndex(*at)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voters, each given as (its machine crashed, it leads a majority, how far its log reaches).
    fn present(voters: &[(bool, bool, u64)]) -> Presences {
        let voter = |(number, (crashed, leads, last)): (usize, &(bool, bool, u64))| {
            let leader = leads.then(|| (9, "leader".to_owned()));
            let last = Some(Position::new(1, *last));
            let presence =
                Presence { node: 2, suspect: *crashed, crashed: *crashed, leader, leads: *leads, last };
            (format!("p{number}"), presence)
        };
        Presences { voters: voters.iter().enumerate().map(voter).collect(), later: Vec::new() }
    }

    #[test]
    fn a_crashed_node_comes_back_through_the_member_that_leads() {
        let verdict = verdict(2, &present(&[(false, false, 7), (false, true, 7)]));
        assert_eq!(verdict, Verdict::ComeBack("p1".to_owned()));
    }

    #[test]
    fn a_crashed_node_waits_while_a_healthy_majority_has_no_leader_yet() {
        assert_eq!(verdict(2, &present(&[(false, false, 7), (false, false, 7)])), Verdict::Wait);
    }

    #[test]
    fn crashed_voters_start_together_once_all_of_them_are_present() {
        assert_eq!(verdict(2, &present(&[(true, false, 7)])), Verdict::Wait);
        let others_last = Some(Position::new(1, 8));
        assert_eq!(
            verdict(2, &present(&[(true, false, 7), (true, false, 8)])),
            Verdict::StartTogether { others_last }
        );
        assert_eq!(
            verdict(2, &present(&[(true, false, 7), (false, false, 8)])),
            Verdict::StartTogether { others_last }
        );
        assert_eq!(verdict(0, &Presences::default()), Verdict::StartTogether { others_last: None });
    }

    #[test]
    fn a_node_comes_back_through_a_leader_that_was_no_voter_yet_when_it_crashed() {
        let mut presences = present(&[(true, false, 7), (false, false, 8)]);
        presences.later = present(&[(false, true, 9)]).voters;
        assert_eq!(verdict(2, &presences), Verdict::ComeBack("p0".to_owned()));
    }

    #[test]
    fn a_voter_that_lives_on_under_another_id_is_not_waited_for() {
        let mut presences = present(&[(false, false, 7), (false, false, 8)]);
        let replaced = presences.voters.remove(0);
        assert_eq!(as_voter(replaced.1.node, replaced.1.clone()), replaced.1);
        presences.voters.push((replaced.0, as_voter(1, replaced.1)));
        let others_last = Some(Position::new(1, 8));
        assert_eq!(verdict(2, &presences), Verdict::StartTogether { others_last });
    }

    #[test]
    fn a_suspect_does_not_come_back_through_another_suspect() {
        assert_eq!(verdict(2, &present(&[(true, true, 7)])), Verdict::Wait);
    }
}
