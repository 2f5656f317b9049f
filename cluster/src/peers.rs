//! The other nodes, as this life of the node talks to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tabularaft_schema::NodeId;
use tabularaft_store::Store;

use crate::door;
use crate::transport::{
    CallError, ConnectError, Connection, Greeting, Hello, Lane, PeerIdentity, Pool, Role, TransportConfig,
};
use crate::wire::{Answer, Call};

/// How long a call to a peer may take when its caller sets no deadline of its own.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What this build understands; peers use the lower of both levels.
pub(crate) const FEATURE_LEVEL: u32 = 1;

/// Why a peer gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PeerError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the peer's message cannot be read: {0}")]
    Message(String),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
}

/// Connections to the peers, by address, and the addresses by node id.
pub(crate) struct Peers {
    pool: Pool,
    /// Empty for a node that only asks whether it may join.
    store: Option<Arc<Store>>,
}

/// How this node introduces itself.
#[derive(Debug, Clone)]
pub(crate) struct Introduction {
    pub(crate) cluster_name: String,
    /// Left out by a node that wants to join: its own cluster, if it has one, is not the peer's.
    pub(crate) cluster_id: Option<u128>,
    pub(crate) identity: PeerIdentity,
}

impl Peers {
    pub(crate) fn new(
        config: TransportConfig,
        introduction: Introduction,
        store: Option<Arc<Store>>,
    ) -> Self {
        let known = store.clone();
        let greeting: Greeting = Arc::new(move |lane, wants| Hello {
            feature_level: FEATURE_LEVEL,
            cluster_name: introduction.cluster_name.clone(),
            cluster_id: cluster_id(known.as_deref()).or(introduction.cluster_id),
            from: introduction.identity.clone(),
            role: Role::Member,
            lane,
            wants,
        });
        Self { pool: Pool::new(config, greeting), store }
    }

    /// Where the node is, as of its newest life that this node knows of.
    pub(crate) fn address_of(&self, node: NodeId) -> Option<String> {
        let view = self.store.as_ref()?.view();
        view.system().members.get(&node).map(|member| member.address.clone())
    }

    pub(crate) async fn connect(
        &self,
        address: &str,
        lane: Lane,
        wants: Option<NodeId>,
    ) -> Result<Connection, ConnectError> {
        self.pool.get(address, lane, wants).await
    }

    pub(crate) async fn call(&self, address: &str, call: &Call) -> Result<Answer, PeerError> {
        self.call_until(address, call, door::now() + CALL_TIMEOUT).await
    }

    pub(crate) async fn call_until(
        &self,
        address: &str,
        call: &Call,
        deadline: Instant,
    ) -> Result<Answer, PeerError> {
        let waited = deadline.saturating_duration_since(door::now());
        let exchange = async {
            let connection = self.connect(address, Lane::Calls, None).await?;
            let answer = connection.start(encode(call)?).await?;
            decode(&answer.await?)
        };
        door::until(deadline, exchange).await.unwrap_or(Err(PeerError::TimedOut(waited)))
    }

    pub(crate) async fn close(&self) {
        self.pool.close_all().await;
    }
}

fn cluster_id(store: Option<&Store>) -> Option<u128> {
    store?.view().system().cluster.as_ref().map(|cluster| cluster.id)
}

pub(crate) fn encode<T: serde::Serialize>(message: &T) -> Result<Bytes, PeerError> {
    postcard::to_stdvec(message).map(Bytes::from).map_err(|error| PeerError::Message(error.to_string()))
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, PeerError> {
    postcard::from_bytes(bytes).map_err(|error| PeerError::Message(error.to_string()))
}
