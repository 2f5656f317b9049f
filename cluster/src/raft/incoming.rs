//! Raft messages from one peer, handed to openraft in the order in which they came.

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use openraft::Raft;
use tokio::sync::mpsc;

use super::codec;
use super::handle::RaftHandle;
use super::network::{RaftAnswer, RaftMessage};
use super::state_machine::StateMachine;
use super::types::TypeConfig;
use crate::transport::{Reply, Session};
use crate::wire::GROUP;

/// Messages of one peer that may wait for openraft.
const WAITING_MAX: usize = 1_024;

/// Serves one connection of the Raft lane.
pub(crate) struct RaftSession {
    messages: mpsc::Sender<(Bytes, Reply)>,
}

impl RaftSession {
    /// `raft` tells the handle of the moment, since a reboot cycle replaces it.
    pub(crate) fn open(raft: impl Fn() -> Option<RaftHandle> + Send + 'static) -> Self {
        let (messages, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(serve(raft, waiting));
        Self { messages }
    }
}

impl Session for RaftSession {
    fn request(&mut self, payload: Bytes, reply: Reply) {
        // A peer that floods is answered "no answer" by the dropped reply, and sends again.
        if self.messages.try_send((payload, reply)).is_err() {
            tracing::warn!("raft messages of a peer dropped, too many wait");
        }
    }
}

async fn serve(raft: impl Fn() -> Option<RaftHandle>, mut waiting: mpsc::Receiver<(Bytes, Reply)>) {
    let mut answering: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            // Both arms are cancel-safe: a channel receive and a stream's next.
            biased;
            Some(()) = answering.next(), if !answering.is_empty() => {}
            message = waiting.recv() => {
                let Some((payload, reply)) = message else { return };
                let mut answer: BoxFuture<'static, ()> = match (raft(), decode(&payload)) {
                    (Some(handle), Some(message)) => Box::pin(answer(handle.raft, message, reply)),
                    (None, Some(_)) => Box::pin(async move { send(reply, &RaftAnswer::Stopped) }),
                    (_, None) => continue,
                };
                // Polled once here, so that openraft has taken the message before the next one is looked at.
                if futures::poll!(&mut answer).is_pending() {
                    answering.push(answer);
                }
            }
        }
    }
}

fn decode(payload: &[u8]) -> Option<RaftMessage> {
    match codec::decode::<(u32, RaftMessage)>(payload) {
        Ok((GROUP, message)) => Some(message),
        Ok((group, _)) => {
            tracing::warn!(group, "a raft message for a group that this node does not have");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "a raft message that cannot be read");
            None
        }
    }
}

async fn answer(raft: Raft<TypeConfig, StateMachine>, message: RaftMessage, reply: Reply) {
    let answer = match message {
        RaftMessage::Append(request) => raft.append_entries(request).await.map(RaftAnswer::Append),
        RaftMessage::Vote(request) => raft.vote(request).await.map(RaftAnswer::Vote),
        RaftMessage::PreVote(request) => raft.pre_vote(request).await.map(RaftAnswer::Vote),
        RaftMessage::TransferLeader(request) => {
            raft.handle_transfer_leader(request).await.map(RaftAnswer::TransferLeader).map_err(Into::into)
        }
    };
    send(reply, &answer.unwrap_or(RaftAnswer::Stopped));
}

fn send(reply: Reply, answer: &RaftAnswer) {
    match codec::encode(answer) {
        Ok(bytes) => reply.send(bytes.into()),
        Err(error) => tracing::error!(%error, "a raft answer cannot be encoded"),
    }
}
