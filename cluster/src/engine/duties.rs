//! What a life owes the cluster: it says that it has started; and the leader deletes what ended lives have owned.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use tabularaft_schema::NodeId;
use tabularaft_store::{Incarnation, MemberChange, SystemState, View};

use super::Engine;
use super::silence::Silence;
use crate::door;
use crate::raft::Leadership;
use crate::write::{Op, Request};

const RETRY_MS: u64 = 200;
/// How often the leader looks for records of ended lives.
const LOOK_EVERY_MS: u64 = 1_000;
/// How many owned records one request deletes.
const DELETE_MAX: usize = 500;

/// Writes this life into the system state, so that peers know its address and what older lives have owned can go.
pub(super) async fn announce(engine: Weak<Engine>) {
    loop {
        let Some(engine) = engine.upgrade() else { return };
        let incarnation = engine.life.incarnation;
        let view = engine.store.view();
        let known = view.system().members.get(&incarnation.node);
        if known
            .is_some_and(|member| member.life == incarnation.life && member.address == engine.life.advertise)
        {
            return;
        }
        let admitted = known.is_some();
        drop(view);
        if admitted {
            let change = MemberChange::Started {
                node: incarnation.node,
                life: incarnation.life,
                address: engine.life.advertise.clone(),
            };
            let written = engine.write(Request::one(Op::Member(change)), door::now() + door::ms(5_000)).await;
            if let Err(error) = written {
                tracing::debug!(%error, "this life is not announced yet");
            }
        }
        drop(engine);
        door::sleep(door::ms(RETRY_MS)).await;
    }
}

/// While this node leads: deletes the records that ended lives have owned, and those of members that stay down.
pub(super) async fn lead(engine: Weak<Engine>) {
    let mut silence = Silence::default();
    loop {
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
        let Some(engine) = engine.upgrade() else { return };
        let silent = silent_members(&engine, &mut silence);
        if !engine.is_leading() {
            continue;
        }
        let view = engine.store.view();
        let looked = Arc::clone(&view);
        let ended = door::blocking(move || orphans(&looked, &silent)).await.unwrap_or_default();
        for request in ended {
            if let Err(error) = engine.write(request, door::now() + door::ms(5_000)).await {
                tracing::debug!(%error, "owned records of an ended life are not deleted yet");
            }
        }
    }
}

/// The members that this leader has not heard of past the grace period. Without a majority it judges nobody: it may be
/// the one that is cut off.
fn silent_members(engine: &Engine, silence: &mut Silence) -> BTreeSet<NodeId> {
    let leadership = engine.leadership.borrow().clone();
    let (Leadership::Leading { term }, Some(raft)) = (leadership, engine.raft()) else {
        silence.not_leading();
        return BTreeSet::new();
    };
    if !engine.leads_a_majority() {
        silence.not_leading();
        return BTreeSet::new();
    }
    silence.observe(door::now(), term, &raft.heard_of(), door::ms(engine.config.owner_grace_ms))
}

/// Requests that delete the owned records whose owners have ended or are silent, if nobody else has written them meanwhile.
fn orphans(view: &View, silent: &BTreeSet<NodeId>) -> Vec<Request> {
    let mut requests = Vec::new();
    for table in view.schema().tables() {
        if !table.def.options.owned {
            continue;
        }
        let Some(copy) = view.table(table.id).filter(|copy| copy.is_ready()) else { continue };
        let rows = copy.rows().filter_map(Result::ok).filter_map(|stored| {
            let gone = |owner: &Incarnation| silent.contains(&owner.node) || has_ended(view.system(), *owner);
            let owner = stored.owner().filter(gone)?;
            tracing::trace!(%owner, "a record outlived its owner");
            Some((Bytes::copy_from_slice(stored.key()), stored.version()))
        });
        let all: Vec<(Bytes, u64)> = rows.collect();
        let reap = |chunk: &[(Bytes, u64)]| Op::Reap { table: table.id, records: chunk.to_vec() };
        requests.extend(all.chunks(DELETE_MAX).map(|chunk| Request::one(reap(chunk))));
    }
    requests
}

/// A life has ended when its node was removed, or has started a newer one.
fn has_ended(system: &SystemState, owner: Incarnation) -> bool {
    system.members.get(&owner.node).is_none_or(|member| member.life > owner.life)
}
