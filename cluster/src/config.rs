//! The settings of a node.

use std::time::Duration;

use crate::error::StartError;

/// Settings of a node, all with defaults. Times in milliseconds, sizes in bytes.
///
/// ```
/// let config = tabularaft::NodeConfig { heartbeat_ms: 100, ..Default::default() };
/// assert!(config.heartbeat_ms < config.election_ms);
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// Nodes only talk to nodes of a cluster with this name. Default `tabularaft`.
    pub cluster_name: String,
    /// False: this node never votes (a learner), and may hold only some of the tables. Default true.
    pub voter: bool,
    /// How many voters a cluster gets at most; later nodes are learners. Default 5, range 1 to 9. Must be the same on
    /// all nodes.
    pub voters_max: u32,
    /// How often the leader says that it lives. Default 200, at most a third of `election_ms`.
    pub heartbeat_ms: u64,
    /// How long a *hung* leader is waited for before an election, plus up to a third of it by chance. A leader whose
    /// process is gone is known by its broken connection, without waiting. Default 1,200, at least 3 × `heartbeat_ms`.
    pub election_ms: u64,
    /// The largest record with its key. Default 1 MiB, at most half of a frame (8 MiB). A table may set a lower limit.
    pub record_bytes_max: u32,
    /// How long a write is waited for when the caller gives no deadline. Default 10,000.
    pub write_timeout_ms: u64,
    /// Changes that are gathered before a checkpoint is written. Default 64 MiB.
    pub checkpoint_bytes: u64,
    /// Log kept behind the checkpoint, so that a follower that was away for a short while needs no copy. Default
    /// 64 MiB.
    pub log_keep_bytes: u64,
    /// How long a restarted leader waits for absent members that may still hold a ram table before it declares the
    /// table's content lost and starts it empty. Default 2,000.
    pub ram_grace_ms: u64,
    /// How long a member may be out of the leader's hearing before the records that it owns (in `owned` tables) are
    /// deleted on all nodes. A member that comes back in time, in the same life, keeps them; one that comes back later
    /// must write them again. A new leader begins to count anew. Default 60,000, at least `election_ms`.
    pub owner_grace_ms: u64,
    /// How many bytes of changes are kept in memory for those who follow tables: who falls further behind has to take a
    /// new view. 0 keeps none, so that nothing can be followed on this node. Default 16 MiB, at most 16 GiB.
    pub history_bytes: u64,
    /// How often the closure of a transaction runs at most before it fails with a conflict. Default 64, at least 1.
    pub transaction_attempts_max: u32,
    /// How many records and ranges a transaction may read and write. Default 50,000, range 1 to 1,000,000.
    pub transaction_records_max: u32,
    /// How many bytes of keys and records a transaction may hold. Default 4 MiB, range 1 KiB to half of a frame (8 MiB).
    pub transaction_bytes_max: u32,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            cluster_name: "tabularaft".to_owned(),
            voter: true,
            voters_max: 5,
            heartbeat_ms: 200,
            election_ms: 1_200,
            record_bytes_max: 1024 * 1024,
            write_timeout_ms: 10_000,
            checkpoint_bytes: 64 * 1024 * 1024,
            log_keep_bytes: 64 * 1024 * 1024,
            ram_grace_ms: 2_000,
            owner_grace_ms: 60_000,
            history_bytes: 16 * 1024 * 1024,
            transaction_attempts_max: 64,
            transaction_records_max: 50_000,
            transaction_bytes_max: 4 * 1024 * 1024,
        }
    }
}

/// The largest frame that nodes exchange, in bytes.
pub(crate) const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

impl NodeConfig {
    /// Checks the settings against their ranges and each other.
    ///
    /// # Errors
    ///
    /// Names the setting, its value and what it must be.
    pub fn validate(&self) -> Result<(), StartError> {
        let refuse = |message: String| Err(StartError::Configuration(message));
        if self.cluster_name.is_empty() || self.cluster_name.len() > 128 {
            return refuse(format!(
                "cluster_name has {} bytes, it must have 1 to 128",
                self.cluster_name.len()
            ));
        }
        if !(1..=9).contains(&self.voters_max) {
            return refuse(format!("voters_max is {}, it must be 1 to 9", self.voters_max));
        }
        if self.heartbeat_ms == 0 || self.election_ms < self.heartbeat_ms.saturating_mul(3) {
            return refuse(format!(
                "election_ms is {}, it must be at least 3 × heartbeat_ms ({})",
                self.election_ms, self.heartbeat_ms
            ));
        }
        let record_limit = (FRAME_BYTES_MAX / 2) as u32;
        if self.record_bytes_max == 0 || self.record_bytes_max > record_limit {
            return refuse(format!(
                "record_bytes_max is {}, it must be 1 to {record_limit}",
                self.record_bytes_max
            ));
        }
        if self.transaction_attempts_max == 0 {
            return refuse("transaction_attempts_max is 0, it must be at least 1".to_owned());
        }
        if !(1..=1_000_000).contains(&self.transaction_records_max) {
            return refuse(format!(
                "transaction_records_max is {}, it must be 1 to 1000000",
                self.transaction_records_max
            ));
        }
        if !(1024..=record_limit).contains(&self.transaction_bytes_max) {
            return refuse(format!(
                "transaction_bytes_max is {}, it must be 1024 to {record_limit}",
                self.transaction_bytes_max
            ));
        }
        if self.owner_grace_ms < self.election_ms {
            return refuse(format!(
                "owner_grace_ms is {}, it must be at least election_ms ({})",
                self.owner_grace_ms, self.election_ms
            ));
        }
        let history_limit = 16 * 1024 * 1024 * 1024;
        if self.history_bytes > history_limit {
            return refuse(format!(
                "history_bytes is {}, it must be 0 to {history_limit}",
                self.history_bytes
            ));
        }
        if self.checkpoint_bytes < 64 * 1024 {
            return refuse(format!(
                "checkpoint_bytes is {}, it must be at least 65536",
                self.checkpoint_bytes
            ));
        }
        Ok(())
    }

    /// The settings that all nodes of a cluster must share, as the configuration check at join compares them.
    pub(crate) fn shared(&self) -> Vec<(String, String)> {
        vec![
            ("record_bytes_max".to_owned(), self.record_bytes_max.to_string()),
            ("voters_max".to_owned(), self.voters_max.to_string()),
        ]
    }

    pub(crate) fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert!(NodeConfig::default().validate().is_ok());
    }

    #[test]
    fn a_setting_out_of_range_is_named_with_its_value() {
        let config = NodeConfig { election_ms: 100, ..NodeConfig::default() };
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("election_ms is 100"), "{error}");
    }
}
