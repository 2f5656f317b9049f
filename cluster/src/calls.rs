//! Serves one connection of the calls lane: forwarded writes, reads, membership, administration.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::admin::DigestOf;
use crate::engine::Engine;
use crate::engine::suspect::{accept_removal, other_members};
use crate::inner::NodeInner;
use crate::join;
use crate::peers;
use crate::transport::{Peer, Reply, Role, Session};
use crate::wire::{Answer, Call, DescribedTable, Description, GROUP, Presence, WriteAnswer, WriteBatch};
use crate::write::{BatchWork, Work, lock_here};

/// Write batches of one peer that may wait for the sequencer; a peer sends a handful at once.
const BATCHES_WAITING_MAX: usize = 64;

pub(crate) struct CallsSession {
    node: Weak<NodeInner>,
    peer: Peer,
    /// Write batches keep the order in which they came.
    batches: mpsc::Sender<(WriteBatch, Reply)>,
}

impl CallsSession {
    pub(crate) fn open(node: Weak<NodeInner>, peer: Peer) -> Self {
        let (batches, waiting) = mpsc::channel(BATCHES_WAITING_MAX);
        tokio::spawn(forward(node.clone(), waiting));
        Self { node, peer, batches }
    }
}

impl Session for CallsSession {
    fn request(&mut self, payload: Bytes, reply: Reply) {
        let call: Call = match peers::decode(&payload) {
            Ok(call) => call,
            Err(error) => return send(reply, &Answer::Failed(error.to_string())),
        };
        match call {
            Call::Write { group: GROUP, batch } if self.peer.role == Role::Member => {
                // A dropped reply makes the proposer send the batch again.
                if self.batches.try_send((batch, reply)).is_err() {
                    tracing::warn!("write batches of a peer dropped, too many wait");
                }
            }
            Call::Admin(request) => {
                let node = self.node.clone();
                tokio::spawn(async move {
                    if let Some(node) = node.upgrade() {
                        send(reply, &Answer::Admin(crate::admin::serve(&node, &request).await));
                    }
                });
            }
            call if self.peer.role == Role::Member => {
                let node = self.node.clone();
                tokio::spawn(async move {
                    if let Some(node) = node.upgrade() {
                        send(reply, &answer(&node, call).await);
                    }
                });
            }
            _ => send(reply, &Answer::Failed("a client may only send administrative requests".to_owned())),
        }
    }
}

fn send(reply: Reply, answer: &Answer) {
    match peers::encode(answer) {
        Ok(bytes) => reply.send(bytes),
        Err(error) => tracing::error!(%error, "an answer cannot be encoded"),
    }
}

/// Hands batches to the sequencer in order, and waits for their answers side by side.
async fn forward(node: Weak<NodeInner>, mut waiting: mpsc::Receiver<(WriteBatch, Reply)>) {
    while let Some((batch, reply)) = waiting.recv().await {
        let Some(engine) = node.upgrade().and_then(|node| node.engine()) else { continue };
        let (answered, answer) = oneshot::channel();
        if engine.work.send(Work::Batch(BatchWork { batch, reply: answered })).await.is_err() {
            continue;
        }
        tokio::spawn(async move {
            let answer = answer.await.unwrap_or(WriteAnswer::Retry { leader: None });
            send(reply, &Answer::Write(answer));
        });
    }
}

async fn answer(node: &Arc<NodeInner>, call: Call) -> Answer {
    let Some(engine) = node.engine() else {
        return match call {
            // Whoever asks the leader for this goes on to the next.
            Call::JoinAdmit { .. } | Call::JoinFinish { .. } | Call::Remove { .. } => {
                Answer::NotLeader { leader: None }
            }
            _ => Answer::Failed("this node is between two lives; try again".to_owned()),
        };
    };
    match call {
        Call::ReadIndex { group: GROUP } => read_index(&engine).await,
        Call::JoinCheck(request) => Answer::JoinCheck(Box::new(join::check_joiner(&engine, &request).await)),
        Call::JoinAdmit { name, address, copies } => join::admit(&engine, name, address, copies).await,
        Call::JoinFinish { node, voter } => join::finish(&engine, node, voter).await,
        Call::Remove { node, force } => join::remove(&engine, node, force).await,
        Call::Presence => Answer::Presence(presence(&engine).await),
        Call::Describe => Answer::Describe(Box::new(describe(&engine))),
        Call::Digests { token } => crate::admin::digests(&engine, token, DigestOf::Copies).await,
        Call::ContentDigests { token } => crate::admin::digests(&engine, token, DigestOf::Content).await,
        Call::PreferSource { table, from } => {
            engine.loading.prefer(table, from);
            Answer::Done
        }
        Call::Checkpoint => checkpoint(engine).await,
        Call::Indexes { table } => Answer::Indexes(crate::indexes::reports(&engine, table)),
        Call::Removed { node: removed, at } => {
            // A node that does not take part since its machine crashed finds out by itself.
            let is_meant = engine.node() == removed && engine.raft().is_some();
            if is_meant {
                let (node, told, peers) = (Arc::clone(node), Arc::downgrade(&engine), other_members(&engine));
                tokio::spawn(async move { accept_removal(&node, told, peers, at).await });
            }
            Answer::Done
        }
        Call::Place { name, address } => {
            let view = engine.store.view();
            let named = view.system().member_named(&name).filter(|(_, member)| member.address == address);
            Answer::Place(named.map(|(id, _)| id))
        }
        Call::Lock { group: GROUP, places } => Answer::Lock(lock_here(&engine.work, places).await),
        Call::Unlock { group: GROUP, lock } => {
            let _ = engine.work.send(Work::Unlock(lock)).await;
            Answer::Done
        }
        Call::Electorate => Answer::Electorate(engine.electorate()),
        Call::IsGone { node } => Answer::IsGone(crate::engine::failover::is_gone(&engine, node).await),
        Call::Write { group, .. }
        | Call::ReadIndex { group }
        | Call::Lock { group, .. }
        | Call::Unlock { group, .. } => Answer::Failed(format!("no raft group {group} here")),
        Call::Admin(_) => Answer::Failed("an administrative request came twice wrapped".to_owned()),
    }
}

async fn read_index(engine: &Engine) -> Answer {
    let Some(raft) = engine.raft() else { return join::not_leader(engine) };
    match raft.read_index().await {
        Ok(index) => Answer::ReadIndex(index),
        Err(_) => join::not_leader(engine),
    }
}

async fn checkpoint(engine: Arc<Engine>) -> Answer {
    match crate::door::blocking(move || engine.store.checkpoint_now(true)).await {
        Ok(Ok(())) => Answer::Done,
        Ok(Err(error)) => Answer::Failed(error.to_string()),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

async fn presence(engine: &Engine) -> Presence {
    let leader = if engine.is_leading() {
        Some((engine.node(), engine.life.advertise.clone()))
    } else {
        engine.leadership.borrow().leader()
    };
    Presence {
        node: engine.node(),
        suspect: engine.raft().is_none(),
        crashed: engine.began_after_crash(),
        leader,
        leads: engine.proves_leadership().await,
        last: engine.last_position(),
    }
}

pub(crate) fn describe(engine: &Engine) -> Description {
    let view = engine.store.view();
    let status = engine.raft().map(crate::raft::RaftHandle::status);
    let tables = view.tables().map(|copy| DescribedTable {
        id: copy.id(),
        name: copy.def().name.to_string(),
        mode: copy.mode(),
        loading: !copy.is_ready(),
        records: copy.len(),
        bytes: copy.bytes(),
        progress: engine.loading.progress(copy.id()),
    });
    Description {
        name: engine.life.name.clone(),
        incarnation: engine.life.incarnation,
        applied: view.applied_index(),
        term: status.as_ref().map_or(0, |status| status.term),
        leader: status.and_then(|status| status.leader),
        tables: tables.collect(),
    }
}
