//! Snapshots for followers that are behind the log: the leader offers a held view, the follower copies out of it.

use std::sync::Arc;

use bytes::Bytes;
use openraft::errors::{NetworkError, StreamingError, Unreachable};
use openraft::raft::SnapshotResponse;
use openraft::storage::{Snapshot, SnapshotMeta};
use serde::{Deserialize, Serialize};
use tabularaft_store::LogIndex;

use super::handle::RaftHandle;
use super::state_machine::{SnapshotData, SnapshotOf};
use super::types::{LogId, StoredMembership, TypeConfig, Vote};
use crate::copy::{BulkAnswer, BulkCall, OfferedTable, OpenedCopy};
use crate::engine::Engine;
use crate::held_views::HeldViews;
use crate::peers::{self, Peers};
use crate::transport::Lane;
use crate::wire::GROUP;

/// What a leader offers to a follower. Wire format: add at the end only.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotOffer {
    vote: Vote,
    last_log_id: Option<LogId>,
    last_membership: StoredMembership,
    /// The leader's address, to copy from, and the token of the view it holds.
    address: String,
    token: u64,
    image: Bytes,
    tables: Vec<OfferedTable>,
}

/// What became of it. Wire format: add, never change or reuse a variant.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum SnapshotAnswer {
    /// Taken, or refused by a newer vote, which is in the answer either way.
    Answered(Vote),
    Failed(String),
}

/// Where followers copy from.
#[derive(Clone)]
pub(crate) struct Offering {
    pub(crate) sources: Arc<HeldViews>,
    pub(crate) address: String,
}

/// Offers a snapshot and waits until it is installed.
pub(super) async fn offer(
    peers: Arc<Peers>,
    offering: Offering,
    (target, address): (u64, String),
    vote: Vote,
    snapshot: SnapshotOf,
) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
    let SnapshotData::Held(view) = snapshot.snapshot else {
        return Err(failed("a received snapshot is not offered on"));
    };
    let Some(token) = offering.sources.hold(Arc::clone(&view)) else {
        return Err(failed("too many copies are made from this node at once"));
    };
    let _held = HeldView { sources: Arc::clone(&offering.sources), token };
    let offer = SnapshotOffer {
        vote,
        last_log_id: snapshot.meta.last_log_id,
        last_membership: snapshot.meta.last_membership,
        address: offering.address,
        token,
        image: view.image(),
        tables: OfferedTable::of(&view),
    };
    drop(view);
    let call = BulkCall::Snapshot { group: GROUP, offer: Box::new(offer) };
    let exchange = async {
        let connection = peers.connect(&address, Lane::Bulk, Some(target)).await?;
        peers::decode(&connection.start(peers::encode(&call)?).await?.await?)
    };
    match exchange.await {
        Ok(BulkAnswer::Snapshot(answer)) => match *answer {
            SnapshotAnswer::Answered(vote) => Ok(SnapshotResponse::new(vote)),
            SnapshotAnswer::Failed(why) => Err(failed(&why)),
        },
        Ok(other) => Err(failed(&format!("it answered {other:?}"))),
        Err(error) => {
            let error: peers::PeerError = error;
            Err(StreamingError::Unreachable(Unreachable::new(&error)))
        }
    }
}

/// Lets go of the view when the offer ends, however it ends.
struct HeldView {
    sources: Arc<HeldViews>,
    token: u64,
}

impl Drop for HeldView {
    fn drop(&mut self) {
        self.sources.close(self.token);
    }
}

fn failed(why: &str) -> StreamingError<TypeConfig> {
    StreamingError::Network(NetworkError::from_string(why))
}

impl RaftHandle {
    /// Copies what the leader offers, and hands it to Raft.
    pub(crate) async fn take_snapshot(&self, engine: &Engine, offer: SnapshotOffer) -> SnapshotAnswer {
        match self.try_take_snapshot(engine, offer).await {
            Ok(vote) => SnapshotAnswer::Answered(vote),
            Err(why) => {
                tracing::warn!(why, "a snapshot was not taken");
                SnapshotAnswer::Failed(why)
            }
        }
    }

    async fn try_take_snapshot(&self, engine: &Engine, offer: SnapshotOffer) -> Result<Vote, String> {
        tracing::info!(at = ?offer.last_log_id, "a snapshot is offered");
        let at = LogIndex(offer.last_log_id.map_or(0, |id| id.index));
        let peers = Arc::clone(&engine.peers);
        let copy = OpenedCopy::offered(peers, offer.address, offer.token, at, offer.image, offer.tables);
        let staging = copy.fetch_store(&engine.store, &|_| {}).await.map_err(|error| error.to_string())?;
        let snapshot = Snapshot {
            meta: SnapshotMeta { last_log_id: offer.last_log_id, last_membership: offer.last_membership },
            snapshot: SnapshotData::Received(Box::new(staging)),
        };
        let response =
            self.raft.install_full_snapshot(offer.vote, snapshot).await.map_err(|error| error.to_string())?;
        Ok(response.vote)
    }
}
