//! What the leader does for nodes that come and go.

use std::sync::Arc;

use tabularaft_schema::{CopyMode, NodeId, NodeName, SchemaChange, TableName};
use tabularaft_store::{LogIndex, MemberChange};

use crate::door;
use crate::engine::Engine;
use crate::peers;
use crate::raft::{RaftError, RaftHandle};
use crate::transport::Lane;
use crate::wire::{Answer, Call};
use crate::write::{Op, Request};

/// How long a peer may take to show that it lives.
const SIGN_OF_LIFE_MS: u64 = 1_000;
const WRITE_MS: u64 = 10_000;
/// How long a node that is added may take to catch up with the log, while nobody else comes or goes.
const CATCH_UP_MS: u64 = 120_000;

/// Gives a joining node an id. A member of the same name that is dead is replaced: it has lost its data, or it would
/// not join again.
pub(crate) async fn admit(
    engine: &Arc<Engine>,
    name: NodeName,
    address: String,
    copies: Vec<(TableName, Option<CopyMode>)>,
) -> Answer {
    let Some(raft) = engine.raft().filter(|_| engine.is_leading()) else { return not_leader(engine) };
    let _one_at_a_time = engine.membership.lock().await;
    let view = engine.store.view();
    let former = view.system().member_named(&name).map(|(id, member)| (id, member.address.clone()));
    drop(view);
    if let Some((former, former_address)) = former {
        if lives(engine, former, &former_address).await {
            return Answer::Failed(format!("the name {name} is taken by the node at {former_address}"));
        }
        if let Err(error) = take_out(engine, raft, former).await {
            return refusal(engine, error, &format!("the dead member {name} cannot be replaced: "));
        }
    }
    let node = engine.store.view().system().free_node_id();
    let change = MemberChange::Admit { node, name: name.clone(), address };
    let mut at = match write(engine, Op::Member(change)).await {
        Ok(at) => at,
        Err(why) => return Answer::Failed(why),
    };
    for (table, mode) in copies {
        let change = match mode {
            Some(mode) => SchemaChange::SetCopy { table, node: name.clone(), mode },
            None => SchemaChange::DeleteCopy { table, node: name.clone() },
        };
        at = match write(engine, Op::Schema(change)).await {
            Ok(at) => at,
            Err(why) => return Answer::Failed(why),
        };
    }
    Answer::Admitted { node, at }
}

/// Adds an admitted node, which has copied everything, to the Raft group.
pub(crate) async fn finish(engine: &Arc<Engine>, node: NodeId, voter: bool) -> Answer {
    let Some(raft) = engine.raft().filter(|_| engine.is_leading()) else { return not_leader(engine) };
    let _one_at_a_time = engine.membership.lock().await;
    let view = engine.store.view();
    let Some(member) = view.system().members.get(&node).cloned() else {
        return Answer::Failed(format!("node id {node} was not admitted, or was removed meanwhile"));
    };
    drop(view);
    let added = raft.add_learner(node, member.name.clone(), member.address);
    match door::until(door::now() + door::ms(CATCH_UP_MS), added).await {
        Some(Ok(())) => {}
        Some(Err(error)) => return refusal(engine, error, ""),
        None => return Answer::Failed(format!("{} did not catch up with the log in time", member.name)),
    }
    let voters = raft.membership().voters.len();
    if voter
        && voters < engine.config.voters_max as usize
        && let Err(error) = raft.promote(node).await
    {
        return refusal(engine, error, "");
    }
    Answer::Done
}

/// Takes a member out, dead or alive, and fences its id.
pub(crate) async fn remove(engine: &Arc<Engine>, node: NodeId, force: bool) -> Answer {
    let Some(raft) = engine.raft().filter(|_| engine.is_leading()) else { return not_leader(engine) };
    if node == engine.node() {
        return step_aside(engine, raft).await;
    }
    let view = engine.store.view();
    let Some(member) = view.system().members.get(&node).cloned() else {
        return Answer::Failed(format!("node id {node} is not a member of the cluster"));
    };
    drop(view);
    let _one_at_a_time = engine.membership.lock().await;
    if !force && let Err(why) = keeps_majority(engine, raft, node, &member.name).await {
        return Answer::Failed(why);
    }
    match take_out(engine, raft, node).await {
        Ok(()) => {
            tell_removed(engine, member.address);
            Answer::Done
        }
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

/// Out of the Raft group first, so that it has no vote when its id is fenced.
async fn take_out(engine: &Arc<Engine>, raft: &RaftHandle, node: NodeId) -> Result<(), RaftError> {
    raft.remove(node).await?;
    let view = engine.store.view();
    let Some(member) = view.system().members.get(&node).cloned() else { return Ok(()) };
    drop(view);
    write(engine, Op::Member(MemberChange::Remove { node })).await.map_err(RaftError::Failed)?;
    write(engine, Op::Schema(SchemaChange::ForgetNode(member.name))).await.map_err(RaftError::Failed)?;
    Ok(())
}

/// Who asked a node that has just lost its leadership asks the next leader.
fn refusal(engine: &Engine, error: RaftError, context: &str) -> Answer {
    match error {
        RaftError::NotLeader => not_leader(engine),
        RaftError::Failed(why) => Answer::Failed(format!("{context}{why}")),
    }
}

/// Best effort: a node that cannot be told finds out when its next connection is refused.
fn tell_removed(engine: &Arc<Engine>, address: String) {
    let at = engine.store.view().applied_index();
    let peers = Arc::clone(&engine.peers);
    tokio::spawn(async move {
        if let Err(error) =
            peers.call_until(&address, &Call::Removed { at }, door::now() + door::ms(2_000)).await
        {
            tracing::debug!(%error, "a removed node was not told");
        }
    });
}

/// Whether the node answers. A connection alone says nothing: one to a machine without power looks whole for a while.
pub(super) async fn lives(engine: &Engine, node: NodeId, address: &str) -> bool {
    let asked = async {
        let connection = engine.peers.connect(address, Lane::Calls, Some(node)).await?;
        let answer = connection.start(peers::encode(&Call::Presence)?).await?.await?;
        peers::decode::<Answer>(&answer)
    };
    matches!(door::until(door::now() + door::ms(SIGN_OF_LIFE_MS), asked).await, Some(Ok(_)))
}

async fn write(engine: &Engine, op: Op) -> Result<LogIndex, String> {
    let deadline = door::now() + door::ms(WRITE_MS);
    engine.write(Request::one(op), deadline).await.map(|done| done.index).map_err(|error| error.to_string())
}

pub(crate) fn not_leader(engine: &Engine) -> Answer {
    Answer::NotLeader { leader: engine.leadership.borrow().leader() }
}
