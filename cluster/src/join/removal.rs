//! What the leader does for nodes that go.
//!
//! A removal has three steps, so that the cluster can go on after each of them, whoever dies:
//!
//! ```text
//! vote -> learner | Remove entry: the id is fenced | told -> out of the Raft group
//! \__ a member __/ \______________ whoever leads next completes it ______________/
//! ```
//!
//! *The vote first*: a node that finds out that it was removed stops at once, and with it the majority might be gone that
//! takes its vote. *The Raft group last*: a fenced id in the group says what is still to be done. The other way round, a
//! member that is not in the group might as well be one that joins.

use std::sync::{Arc, Weak};

use tabularaft_schema::{NodeId, NodeName, SchemaChange};
use tabularaft_store::MemberChange;

use super::leader::{lives, not_leader, refusal, write};
use crate::door;
use crate::engine::Engine;
use crate::raft::{RaftError, RaftHandle};
use crate::wire::{Answer, Call};
use crate::write::Op;

/// How long a node may take to hear that it was removed.
const TELL_MS: u64 = 1_000;
/// How often the leader looks for what a leader before it has left half done.
const LOOK_EVERY_MS: u64 = 500;

/// Takes a member out, dead or alive, and fences its id.
pub(crate) async fn remove(engine: &Arc<Engine>, node: NodeId, force: bool) -> Answer {
    let Some(raft) = engine.raft().filter(|_| engine.is_leading()) else { return not_leader(engine) };
    if node == engine.node() {
        return step_aside(engine, raft).await;
    }
    let _one_at_a_time = engine.membership.lock().await;
    if !engine.is_leading() {
        return not_leader(engine);
    }
    let view = engine.store.view();
    let member = view.system().members.get(&node).cloned();
    // Whoever asks for it may have asked a leader before this one, which died before it answered.
    let was_member = view.system().removed.contains_key(&node);
    drop(view);
    match &member {
        Some(member) if !force => {
            if let Err(why) = keeps_majority(engine, raft, node, &member.name).await {
                return Answer::Failed(why);
            }
        }
        None if !was_member => {
            return Answer::Failed(format!("node id {node} is not a member of the cluster"));
        }
        _ => {}
    }
    let removed = async {
        fence(engine, raft, node).await?;
        dismiss(engine, raft, node, member.map(|member| member.address)).await
    };
    match removed.await {
        Ok(()) => Answer::Done,
        Err(error) => refusal(engine, error, ""),
    }
}

/// A leader does not take itself out: it hands over, and whoever asked asks the next leader.
async fn step_aside(engine: &Arc<Engine>, raft: &RaftHandle) -> Answer {
    let next = raft.furthest_other_voter();
    if let Some(next) = next
        && let Err(error) = raft.hand_over_to(next).await
    {
        tracing::warn!(%error, "leadership was not handed over");
    }
    let mut leadership = engine.leadership.clone();
    let moved = leadership.wait_for(|leadership| leadership.leader().is_some());
    let _ = door::until(door::now() + door::ms(2_000), moved).await;
    not_leader(engine)
}

async fn keeps_majority(
    engine: &Arc<Engine>,
    raft: &RaftHandle,
    node: NodeId,
    name: &NodeName,
) -> Result<(), String> {
    let voters = raft.membership().voters;
    let remaining: Vec<NodeId> = voters.iter().copied().filter(|id| *id != node).collect();
    let mut alive = 0;
    for voter in &remaining {
        let address = engine.peers.address_of(*voter).unwrap_or_default();
        if *voter == engine.node() || lives(engine, *voter, &address).await {
            alive += 1;
        }
    }
    if alive > remaining.len() / 2 || !voters.contains(&node) {
        return Ok(());
    }
    Err(format!(
        "removing {name} would leave {alive} of {} voters alive, which is no majority; start the others first or use --force",
        remaining.len()
    ))
}

/// The first two steps, as far as they are not done: the node has no vote and no place any more, and stays in the Raft
/// group until it is dropped. The caller holds [`Engine::membership`].
async fn fence(engine: &Engine, raft: &RaftHandle, node: NodeId) -> Result<(), RaftError> {
    raft.demote(node).await?;
    let view = engine.store.view();
    let Some(member) = view.system().members.get(&node).cloned() else { return Ok(()) };
    drop(view);
    write(engine, removal_ops(node, member.name)).await.map(drop).map_err(RaftError::Failed)
}

/// Fences the id of a member, and forgets its name.
pub(super) fn removal_ops(node: NodeId, name: NodeName) -> Vec<Op> {
    vec![Op::Member(MemberChange::Remove { node }), Op::Schema(SchemaChange::ForgetNode(name))]
}

/// The last step, of a node that is fenced.
async fn dismiss(
    engine: &Engine,
    raft: &RaftHandle,
    node: NodeId,
    address: Option<String>,
) -> Result<(), RaftError> {
    if let Some(address) = address.or_else(|| raft.address_of(node)) {
        tell(engine, node, &address).await;
    }
    raft.drop_learner(node).await
}

/// Best effort: a node that cannot be told finds out when its next connection is refused.
async fn tell(engine: &Engine, node: NodeId, address: &str) {
    let call = Call::Removed { node, at: engine.store.view().applied_index() };
    let told = engine.peers.call_until(address, &call, door::now() + door::ms(TELL_MS)).await;
    if let Err(error) = told {
        tracing::debug!(%error, "a removed node was not told");
    }
}

/// While this node leads: completes the changes of members that a leader before it has begun.
pub(crate) async fn complete(engine: Weak<Engine>) {
    loop {
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
        let Some(engine) = engine.upgrade() else { return };
        let Some(raft) = engine.raft().filter(|_| engine.leads_a_majority()) else { continue };
        // While a change is under way nothing is half done.
        let Ok(_one_at_a_time) = engine.membership.try_lock() else { continue };
        if let Err(error) = complete_now(&engine, raft).await {
            tracing::debug!(%error, "a change of the members is not completed yet");
        }
    }
}

async fn complete_now(engine: &Engine, raft: &RaftHandle) -> Result<(), RaftError> {
    raft.complete_change().await?;
    let view = engine.store.view();
    let membership = raft.membership();
    let in_group = membership.voters.iter().chain(&membership.learners).copied();
    let fenced: Vec<NodeId> = in_group.filter(|node| view.system().removed.contains_key(node)).collect();
    drop(view);
    for node in fenced.into_iter().filter(|node| *node != engine.node()) {
        tracing::info!(node, "completes a removal that a leader before this one has begun");
        raft.demote(node).await?;
        dismiss(engine, raft, node, None).await?;
        door::simulation::count("removal completed by the next leader");
    }
    Ok(())
}
