//! openraft's outgoing messages, on the Raft lane of the transport.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec;
use super::snapshot::{self, Offering};
use super::state_machine::{SnapshotData, SnapshotOf};
use super::types::{Peer, TypeConfig, Vote};
use crate::peers::Peers;
use crate::transport::{Connection, Lane};
use crate::wire::GROUP;

type Rpc<T> = Result<T, RPCError<TypeConfig>>;

/// Append requests that may be on their way to one follower.
const APPENDS_IN_FLIGHT: usize = 8;

/// How long a replication stream waits before it tries again to reach its follower.
const RECONNECT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Wire format: add, never change or reuse a variant.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum RaftMessage {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    TransferLeader(TransferLeaderRequest<TypeConfig>),
}

/// Wire format: add, never change or reuse a variant.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum RaftAnswer {
    Append(AppendEntriesResponse<TypeConfig>),
    Vote(VoteResponse<TypeConfig>),
    TransferLeader(TransferLeaderResponse<TypeConfig>),
    /// This node's Raft is not running.
    Stopped,
}

/// Makes a link per peer and purpose.
pub(crate) struct Network {
    pub(super) peers: Arc<Peers>,
    pub(super) offering: Offering,
}

/// Sends to one peer. Replication, heartbeats and votes share the connection of the Raft lane.
pub(crate) struct Link {
    peers: Arc<Peers>,
    offering: Offering,
    target: u64,
    /// The address of the membership entry, for when the system state does not know a newer one.
    address: String,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, node: &Peer) -> Link {
        Link {
            peers: Arc::clone(&self.peers),
            offering: self.offering.clone(),
            target,
            address: node.address.clone(),
        }
    }
}

impl Link {
    fn address(&self) -> String {
        self.peers.address_of(self.target).unwrap_or_else(|| self.address.clone())
    }

    async fn connection(&self) -> Rpc<Connection> {
        self.peers
            .connect(&self.address(), Lane::Raft, Some(self.target))
            .await
            .map_err(|error| unreachable(&error))
    }

    async fn call(&self, message: &RaftMessage, option: &RPCOption) -> Rpc<RaftAnswer> {
        let bytes = encode(message)?;
        let exchange = async {
            let connection = self.connection().await?;
            connection
                .start(bytes)
                .await
                .map_err(|error| unreachable(&error))?
                .await
                .map_err(|error| unreachable(&error))
        };
        match tokio::time::timeout(option.hard_ttl(), exchange).await {
            Ok(answer) => decode(&answer?),
            Err(_) => Err(RPCError::Unreachable(Unreachable::from_string("no answer in time"))),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<AppendEntriesResponse<TypeConfig>> {
        match self.call(&RaftMessage::Append(rpc), &option).await? {
            RaftAnswer::Append(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    /// Pipelined: requests leave in order over one connection, and answers come back in order.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let connection = match self.connection().await {
                Ok(connection) => connection,
                Err(error) => {
                    // openraft backs off between requests of a stream, not between streams that do not begin.
                    crate::door::sleep(RECONNECT_PAUSE).await;
                    return Err(error);
                }
            };
            let answers = input
                .then(move |request| append(connection.clone(), request, option.hard_ttl()))
                .buffered(APPENDS_IN_FLIGHT);
            // The pipeline ends at the first request that did not succeed whole; openraft then starts a new one.
            let until_failure = answers.scan(false, |failed, answer| {
                let stop = *failed;
                *failed = !matches!(answer, Ok(Ok(_)));
                futures::future::ready((!stop).then_some(answer))
            });
            Ok(until_failure.boxed())
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        match self.call(&RaftMessage::Vote(rpc), &option).await? {
            RaftAnswer::Vote(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<VoteResponse<TypeConfig>> {
        match self.call(&RaftMessage::PreVote(rpc), &option).await? {
            RaftAnswer::Vote(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let offered = snapshot::offer(
            Arc::clone(&self.peers),
            self.offering.clone(),
            (self.target, self.address()),
            vote,
            snapshot,
        );
        tokio::select! {
            // Both arms may be dropped: an offer that is dropped lets go of the held view.
            biased;
            answer = offered => answer,
            closed = cancel => Err(StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Rpc<TransferLeaderResponse<TypeConfig>> {
        match self.call(&RaftMessage::TransferLeader(request), &option).await? {
            RaftAnswer::TransferLeader(answer) => Ok(answer),
            _ => Err(unexpected()),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(crate::door::ms(50))))
    }
}

/// Sends one append and gives back the future of its answer: awaiting the outer future keeps the order of sending.
async fn append(
    connection: Connection,
    request: AppendEntriesRequest<TypeConfig>,
    ttl: std::time::Duration,
) -> BoxFuture<'static, Rpc<StreamAppendResult<TypeConfig>>> {
    let first = request.prev_log_id;
    let last = request.entries.last().map(|entry| entry.log_id).or(first);
    let sent = match encode(&RaftMessage::Append(request)) {
        Ok(bytes) => connection.start(bytes).await.map_err(|error| unreachable(&error)),
        Err(error) => Err(error),
    };
    Box::pin(async move {
        let answer = tokio::time::timeout(ttl, sent?)
            .await
            .map_err(|_| RPCError::Network(NetworkError::from_string("no answer in time")))?
            .map_err(|error| unreachable(&error))?;
        match decode(&answer)? {
            RaftAnswer::Append(answer) => Ok(answer.into_stream_result(first, last)),
            _ => Err(unexpected()),
        }
    })
}

fn encode(message: &RaftMessage) -> Rpc<Bytes> {
    codec::encode(&(GROUP, message))
        .map(Bytes::from)
        .map_err(|error| RPCError::Network(NetworkError::new(&error)))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Rpc<T> {
    codec::decode(bytes).map_err(|error| RPCError::Network(NetworkError::new(&error)))
}

fn unreachable(error: &(impl std::error::Error + 'static)) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::new(error))
}

fn unexpected() -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string("the peer's Raft is not running"))
}
