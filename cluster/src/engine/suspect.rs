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
//! Only when no majority without such a memory gap is left do the nodes start again together: once all voters are
//! present, the one with the most complete log leads, and what was synced is whole.

use std::sync::Weak;

use tabularaft_store::LogIndex;

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
    /// All voters are here, and those without a gap are no majority: start again together.
    StartTogether,
    Wait,
}

/// Asks the other voters until it is clear how this node may come back.
pub(crate) async fn resolve(node: Weak<NodeInner>, engine: Weak<Engine>) {
    loop {
        let (Some(node_now), Some(engine_now)) = (node.upgrade(), engine.upgrade()) else { return };
        let voters = voters(&engine_now);
        let present = presences(&engine_now, &voters).await;
        match verdict(voters.len(), &present) {
            Verdict::StartTogether => {
                node_now.home.settle_crash();
                tracing::info!("all voters are present after a crash of the machines, they start again together");
                if let Err(error) = engine_now.take_part().await {
                    tracing::error!(%error, "raft did not start");
                }
                return;
            }
            Verdict::ComeBack(peer) => {
                // The cycle stops this engine and with it this task, so it runs on its own.
                node_now.heal_later(peer);
                // A failed attempt opens a new engine, which asks anew.
                return;
            }
            Verdict::Wait => {}
        }
        drop((node_now, engine_now));
        door::sleep(door::ms(ASK_EVERY_MS)).await;
    }
}

/// The other voters of the membership that this node last knew.
fn voters(engine: &Engine) -> Vec<(u64, String)> {
    let view = engine.store.view();
    let known = crate::raft::voters_of(&view);
    let others = known.into_iter().filter(|(id, _)| *id != engine.node());
    others.map(|(id, address)| (id, engine.peers.address_of(id).unwrap_or(address))).collect()
}

async fn presences(engine: &Engine, voters: &[(u64, String)]) -> Vec<(String, Presence)> {
    let asked = voters.iter().map(|(_, address)| async move {
        let deadline = door::now() + door::ms(ANSWER_MS);
        match engine.peers.call_until(address, &Call::Presence, deadline).await {
            Ok(Answer::Presence(presence)) => Some((address.clone(), presence)),
            _ => None,
        }
    });
    futures::future::join_all(asked).await.into_iter().flatten().collect()
}

fn verdict(other_voters: usize, present: &[(String, Presence)]) -> Verdict {
    let led = present.iter().find(|(_, presence)| !presence.suspect && presence.leader.is_some());
    if let Some((address, _)) = led {
        return Verdict::ComeBack(address.clone());
    }
    let voters = other_voters + 1;
    let without_gap = present.iter().filter(|(_, presence)| !presence.crashed).count();
    if present.len() == other_voters && without_gap <= voters / 2 {
        return Verdict::StartTogether;
    }
    Verdict::Wait
}

/// Finds out whether the cluster has removed this node: then its members refuse connections, and say why. The leader
/// that this node believes in may be of an earlier life, so it is no reason not to look.
pub(crate) async fn watch_removal(node: Weak<NodeInner>, engine: Weak<Engine>) {
    loop {
        door::sleep(door::ms(ASK_EVERY_MS)).await;
        let Some(engine) = engine.upgrade() else { return };
        if engine.is_leading() {
            continue;
        }
        if let Some(at) = told_removed(&engine).await {
            drop(engine);
            let Some(node) = node.upgrade() else { return };
            // It replaces this engine and ends this task, so it runs on its own.
            node.become_removed_later(at);
            return;
        }
    }
}

async fn told_removed(engine: &Engine) -> Option<LogIndex> {
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
            return Some(at);
        }
    }
    None
}

fn removal(error: &PeerError) -> Option<LogIndex> {
    match error {
        PeerError::Connect(ConnectError::Refused { refusal: Refusal::Removed { at, .. }, .. }) => Some(LogIndex(*at)),
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

    fn present(crashed: bool, suspect: bool, leader: Option<u64>) -> (String, Presence) {
        let leader = leader.map(|id| (id, "l".to_owned()));
        ("p".to_owned(), Presence { node: 2, suspect, crashed, leader })
    }

    #[test]
    fn a_crashed_node_comes_back_through_a_member_that_has_a_leader() {
        assert_eq!(verdict(2, &[present(false, false, Some(3))]), Verdict::ComeBack("p".to_owned()));
    }

    #[test]
    fn a_crashed_node_waits_while_a_healthy_majority_has_no_leader_yet() {
        assert_eq!(verdict(2, &[present(false, false, None), present(false, false, None)]), Verdict::Wait);
    }

    #[test]
    fn crashed_voters_start_together_once_all_of_them_are_present() {
        assert_eq!(verdict(2, &[present(true, true, None)]), Verdict::Wait);
        assert_eq!(verdict(2, &[present(true, true, None), present(true, false, None)]), Verdict::StartTogether);
        assert_eq!(verdict(0, &[]), Verdict::StartTogether);
    }

    #[test]
    fn a_suspect_does_not_come_back_through_another_suspect() {
        assert_eq!(verdict(2, &[present(true, true, Some(1))]), Verdict::Wait);
    }
}
