//! Everything a view holds besides the records: the same on every node at one log index.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::Schema;

use crate::recovery::Recovery;
use crate::sealed::{self, SealError};
use crate::system::SystemState;
use crate::version_clock::VersionClock;
use crate::windows::Windows;
use crate::{LogIndex, Position};

/// The replicated state without the records. Cloning shares everything.
///
/// Persistent, in checkpoints and in images: the order of the fields is the format.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ClusterState {
    /// The last entry that is in here; `None` until there is one.
    pub(crate) applied: Option<Position>,
    /// The last membership entry of the Raft log, as its owner encodes it.
    pub(crate) membership: Option<Bytes>,
    pub(crate) schema: Arc<Schema>,
    pub(crate) system: Arc<SystemState>,
    pub(crate) windows: Windows,
    /// The greatest version that any effect has carried, so that no version is used twice, also of deleted records.
    pub(crate) last_version: u64,
    /// When versions were written; see the forms below for where it stands.
    #[serde(skip)]
    pub(crate) clock: VersionClock,
}

impl ClusterState {
    /// The log index of the entry that is to be applied next.
    pub(crate) fn next_index(&self) -> u64 {
        self.applied.map_or(0, |applied| applied.index.saturating_add(1))
    }

    pub(crate) fn applied_index(&self) -> LogIndex {
        self.applied.map(Position::log_index).unwrap_or_default()
    }

    /// The bytes of this state, sealed, in the oldest form that can say all of it.
    pub(crate) fn seal(&self) -> Vec<u8> {
        let recoveries = &self.system.recoveries;
        if !self.clock.is_empty() {
            return sealed::seal(WITH_CLOCK, &(self, recoveries, &self.clock));
        }
        if recoveries.is_empty() {
            return sealed::seal(PLAIN, self);
        }
        sealed::seal(WITH_RECOVERIES, &(self, recoveries))
    }

    pub(crate) fn unseal(bytes: &[u8]) -> Result<Self, SealError> {
        if bytes.first() == Some(&PLAIN) {
            return sealed::unseal(PLAIN, bytes);
        }
        let (mut state, recoveries, clock): (Self, Vec<Recovery>, VersionClock) = match bytes.first() {
            Some(&WITH_RECOVERIES) => {
                let (state, recoveries) = sealed::unseal(WITH_RECOVERIES, bytes)?;
                (state, recoveries, VersionClock::default())
            }
            _ => sealed::unseal(WITH_CLOCK, bytes)?,
        };
        Arc::make_mut(&mut state.system).recoveries = recoveries;
        state.clock = clock;
        Ok(state)
    }
}

// Persistent: the version that the seal carries. Add, never change or reuse.
const PLAIN: u8 = 1;
/// The state, and behind it the recoveries of its system state.
const WITH_RECOVERIES: u8 = 2;
/// The same, and behind it the version clock.
const WITH_CLOCK: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemberChange;

    #[test]
    fn recoveries_are_written_only_where_there_are_any_and_come_back() {
        let mut state = ClusterState::default();
        assert_eq!(state.seal().first(), Some(&PLAIN));
        let changes = [
            MemberChange::Found { cluster_id: 7, cluster_name: "c".to_owned() },
            MemberChange::Admit { node: 1, name: "a@h".parse().unwrap(), address: String::new() },
            MemberChange::Recover { node: 1, cluster_id: 9, at_unix_ms: 5 },
        ];
        for change in &changes {
            state.system = Arc::new(state.system.apply(change, LogIndex(3)).unwrap());
        }
        let sealed = state.seal();
        assert_eq!(sealed.first(), Some(&WITH_RECOVERIES));
        let again = ClusterState::unseal(&sealed).unwrap();
        assert_eq!((again.system, again.last_version), (state.system, state.last_version));
    }

    #[test]
    fn a_clock_is_written_only_where_there_is_one_and_comes_back_with_the_recoveries() {
        let mut state = ClusterState::default();
        state.clock.mark(7, 1_000, 0);
        let sealed = state.seal();
        assert_eq!(sealed.first(), Some(&WITH_CLOCK));
        let again = ClusterState::unseal(&sealed).unwrap();
        assert_eq!((again.clock, again.system), (state.clock, state.system));
    }

    #[test]
    fn a_state_of_a_newer_build_is_refused_by_name() {
        let sealed = sealed::seal(4, &0u8);
        let refused = ClusterState::unseal(&sealed).unwrap_err();
        assert_eq!(refused, SealError::NewerFormat { found: 4, newest: 3 });
    }
}
