//! What the leader does for nodes that come.

use std::sync::Arc;

use tabularaft_schema::{CopyMode, NodeId, NodeName, SchemaChange, TableName};
use tabularaft_store::{LogIndex, MemberChange};

use super::removal::removal_ops;
use crate::door;
use crate::engine::Engine;
use crate::peers;
use crate::raft::RaftError;
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
    // The former place goes in the entry that gives the new one: a node that finds neither would take itself to be removed.
    let mut ops = Vec::new();
    if let Some((former, former_address)) = &former {
        if lives(engine, *former, former_address).await {
            return Answer::Failed(format!("the name {name} is taken by the node at {former_address}"));
        }
        if let Err(error) = raft.demote(*former).await {
            return refusal(engine, error, &format!("the dead member {name} cannot be replaced: "));
        }
        ops = removal_ops(*former, name.clone());
    }
    let node = engine.store.view().system().free_node_id();
    ops.push(Op::Member(MemberChange::Admit { node, name: name.clone(), address }));
    let mut at = match write(engine, ops).await {
        Ok(at) => at,
        Err(why) => return Answer::Failed(why),
    };
    if let Some((former, _)) = former
        && let Err(error) = raft.drop_learner(former).await
    {
        tracing::debug!(%error, former, "the dead member stays in the Raft group for now");
    }
    for (table, mode) in copies {
        let change = match mode {
            Some(mode) => SchemaChange::SetCopy { table, node: name.clone(), mode },
            None => SchemaChange::DeleteCopy { table, node: name.clone() },
        };
        at = match write(engine, vec![Op::Schema(change)]).await {
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

/// Who asked a node that has just lost its leadership asks the next leader.
pub(super) fn refusal(engine: &Engine, error: RaftError, context: &str) -> Answer {
    match error {
        RaftError::NotLeader => not_leader(engine),
        RaftError::Failed(why) => Answer::Failed(format!("{context}{why}")),
    }
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

/// All of it in one entry.
pub(super) async fn write(engine: &Engine, ops: Vec<Op>) -> Result<LogIndex, String> {
    let deadline = door::now() + door::ms(WRITE_MS);
    let done = engine.write(Request::transaction(Vec::new(), ops, None), deadline).await;
    done.map(|done| done.index).map_err(|error| error.to_string())
}

pub(crate) fn not_leader(engine: &Engine) -> Answer {
    Answer::NotLeader { leader: engine.leadership.borrow().leader() }
}
