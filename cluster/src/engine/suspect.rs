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
//! Only when no majority without such a memory gap is left (`verdict`) do the nodes start again together, once all voters
//! are present: the log that reaches furthest has all that was synced, and all that any other one has. So those with
//! shorter logs vote, and do not stand for election until there has been a leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use tabularaft_schema::NodeId;
use tabularaft_store::{LogIndex, Position};

use super::Engine;
use super::verdict::{Heard, Verdict, as_voter, verdict};
use crate::door;
use crate::inner::NodeInner;
use crate::peers::PeerError;
use crate::transport::{ConnectError, Lane, Refusal};
use crate::wire::{Answer, Call, Electorate, Presence};

const ASK_EVERY_MS: u64 = 300;
const ANSWER_MS: u64 = 1_000;

/// Asks the other voters until it is clear how this node may come back.
pub(crate) async fn resolve(node: Weak<NodeInner>, engine: Weak<Engine>) {
    loop {
        let (Some(node_now), Some(engine_now)) = (node.upgrade(), engine.upgrade()) else { return };
        let heard = ask(&engine_now).await;
        match verdict(engine_now.node(), &heard) {
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

/// Asks the voters that this node knows of, and then those of whom it has heard from them: other nodes may have become
/// voters, or the leader, since this one heard of anything.
async fn ask(engine: &Engine) -> Heard {
    let mut heard = Heard { electorates: vec![engine.electorate()], ..Heard::default() };
    let mut to_ask = engine.remembered().map(|remembered| remembered.voters.clone()).unwrap_or_default();
    let mut asked = BTreeSet::from([engine.node()]);
    loop {
        to_ask.retain(|id, _| asked.insert(*id));
        if to_ask.is_empty() {
            return heard;
        }
        let asking = to_ask.into_iter().map(|(id, address)| account(engine, id, address));
        let accounts = futures::future::join_all(asking).await;
        to_ask = BTreeMap::new();
        for (id, address, presence, electorate) in accounts.into_iter().flatten() {
            to_ask.extend(presence.leader.clone());
            let sets = electorate.iter().flat_map(|electorate| &electorate.sets);
            to_ask.extend(sets.flatten().map(|(id, address)| (*id, address.clone())));
            heard.present.insert(id, (address, as_voter(id, presence)));
            heard.electorates.extend(electorate);
        }
    }
}

/// What the node at this address says of itself, and of who votes. One of an earlier version says nothing of the latter; one
/// that knows of no voters has just begun to start, and is not there yet.
async fn account(
    engine: &Engine,
    id: NodeId,
    address: String,
) -> Option<(NodeId, String, Presence, Option<Electorate>)> {
    let address = engine.peers.address_of(id).unwrap_or(address);
    let deadline = door::now() + door::ms(ANSWER_MS);
    let presence = engine.peers.call_until(&address, &Call::Presence, deadline).await;
    let Ok(Answer::Presence(presence)) = presence else { return None };
    let electorate = match engine.peers.call_until(&address, &Call::Electorate, deadline).await {
        Ok(Answer::Electorate(electorate)) if electorate.sets.is_empty() => return None,
        Ok(Answer::Electorate(electorate)) => Some(electorate),
        _ => None,
    };
    Some((id, address, presence, electorate))
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
        // A suspect's log may be of another time.
        let in_own_log = engine.raft().and_then(|_| removed_in_own_log(&engine));
        let found = match in_own_log {
            Some(at) => Some((other_members(&engine), at)),
            None => told_removed(&engine).await.map(|(peer, at)| (vec![peer], at)),
        };
        let told = Arc::downgrade(&engine);
        drop(engine);
        let (Some((peers, at)), Some(node)) = (found, node.upgrade()) else { continue };
        accept_removal(&node, told, peers, at).await;
    }
}

/// The cluster says that the node's id has gone. If it knows the node under another one, from a join that the node did
/// not live to see through, the node comes back to its place. Both replace the engine, so they run on their own; they do
/// nothing while another change of the node's place is under way, so it is tried until this task ends.
pub(crate) async fn accept_removal(
    node: &Arc<NodeInner>,
    told: Weak<Engine>,
    peers: Vec<String>,
    at: LogIndex,
) {
    for peer in peers {
        match crate::join::has_other_id(node, &peer).await {
            // Whatever it was told, it is another node by now, perhaps the one under the other id.
            _ if !node.is_run_by(&told) => return,
            Some(true) => return node.heal_later(peer),
            Some(false) => return node.become_removed_later(told, at),
            None => {}
        }
    }
}

/// A removed node is sent the log until it has been told.
fn removed_in_own_log(engine: &Engine) -> Option<LogIndex> {
    engine.store.view().system().removed.get(&engine.node()).map(|removed| removed.at)
}

/// Who says so, and as of which index.
async fn told_removed(engine: &Engine) -> Option<(String, LogIndex)> {
    for address in other_members(engine) {
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

/// Where the other members are; under this node's address there may be another id of its own.
pub(crate) fn other_members(engine: &Engine) -> Vec<String> {
    let view = engine.store.view();
    let addresses = view.system().members.values().map(|member| member.address.clone());
    addresses.filter(|address| *address != engine.life.advertise).collect()
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
