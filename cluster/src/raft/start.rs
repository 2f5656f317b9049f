//! Starting openraft on a store and a log.

use std::sync::Arc;

use openraft::{Config, Raft, SnapshotPolicy};
use tabularaft_store::Store;
use tabularaft_store::log::RaftLog;

use super::handle::{RaftError, RaftHandle};
use super::leadership::{self, Leadership};
use super::log_store::LogStore;
use super::network::Network;
use super::snapshot::Offering;
use super::state_machine::StateMachine;
use crate::config::NodeConfig;
use crate::peers::Peers;
use crate::watch;

/// What Raft works on.
pub(crate) struct RaftParts {
    pub(crate) node: u64,
    pub(crate) config: NodeConfig,
    pub(crate) store: Arc<Store>,
    pub(crate) log: RaftLog,
    pub(crate) peers: Arc<Peers>,
    pub(crate) offering: Offering,
    pub(crate) applied: watch::Sender<u64>,
    pub(crate) leadership: watch::Sender<Leadership>,
    /// Whether this node starts elections; see [`RaftHandle::campaigns`].
    pub(crate) campaigns: bool,
}

/// Starts Raft and the task that watches who leads; the second value is that task, for its owner to run.
pub(crate) async fn start(
    parts: RaftParts,
) -> Result<(RaftHandle, impl Future<Output = ()> + Send), RaftError> {
    let config = openraft_config(&parts.config, parts.campaigns)
        .map_err(|error| RaftError::Failed(error.to_string()))?;
    let raft = Raft::new(
        parts.node,
        Arc::new(config),
        Network { peers: Arc::clone(&parts.peers), offering: parts.offering },
        LogStore::new(parts.log),
        StateMachine::new(parts.store, parts.applied),
    )
    .await
    .map_err(|error| RaftError::Failed(error.to_string()))?;
    let watch = leadership::watch(raft.clone(), parts.peers, parts.leadership);
    Ok((RaftHandle { raft }, watch))
}

fn openraft_config(config: &NodeConfig, campaigns: bool) -> Result<Config, openraft::ConfigError> {
    let (election_timeout_min, election_timeout_max) = election_timeouts(config);
    Config {
        cluster_name: config.cluster_name.clone(),
        heartbeat_interval: config.heartbeat_ms,
        election_timeout_min,
        election_timeout_max,
        max_payload_entries: 1_024,
        // Snapshots are held views, taken when the log is to be purged behind a checkpoint, or a follower needs one.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        // A snapshot is a copy of all tables; it is as long as it is, and its progress is watched by the copy itself.
        install_snapshot_timeout: 3_600_000,
        enable_pre_vote: Some(true),
        // A leader's entries reach its followers before they are in its own log. One that was killed in between must
        // not go on in its term: it would give other entries positions that its followers have filled already.
        enable_leader_restore: Some(false),
        enable_elect: campaigns,
        // A follower that has less than it had acknowledged is no reason for its leader to stop. The rule of machine
        // crashes (`engine::suspect`) sees to it that such a follower is not counted on.
        allow_log_reversion: Some(true),
        ..Config::default()
    }
    .validate()
}

/// A leader that was heard of has a lease as long as the longest timeout, in which nobody votes for another one. Only
/// after it runs the timeout of each follower, between the two values. Together they make `election_ms` at least, and a
/// third of it more by chance.
fn election_timeouts(config: &NodeConfig) -> (u64, u64) {
    let shortest = (config.election_ms / 3).max(config.heartbeat_ms + 1);
    (shortest, (config.election_ms - config.election_ms / 3).max(shortest + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hung_leader_is_waited_for_as_long_as_the_settings_say() {
        let config = NodeConfig { heartbeat_ms: 200, election_ms: 1_200, ..NodeConfig::default() };
        assert_eq!(election_timeouts(&config), (400, 800));
        let tight = NodeConfig { heartbeat_ms: 100, election_ms: 300, ..NodeConfig::default() };
        assert_eq!(election_timeouts(&tight), (101, 200));
        for config in [config, tight] {
            assert!(config.validate().is_ok());
            assert!(openraft_config(&config, true).is_ok());
        }
    }
}
