//! That a cluster went on although its majority was lost for good, and what it left behind.

use serde::{Deserialize, Serialize};
use tabularaft_schema::{NodeId, NodeName};

use crate::LogIndex;
use crate::system::{Cluster, MemberError, SystemState};

/// One recovery from the loss of a majority: the record that stays in the cluster's state.
///
/// Persistent: the order of the fields is the format; never change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The id of the cluster that it was. Its members are refused as such.
    pub former_id: u128,
    /// The id that the cluster has had since.
    pub cluster_id: u128,
    /// The log index at which it happened.
    pub at: LogIndex,
    /// When, in milliseconds since 1970, by the clock of the machine.
    pub at_unix_ms: u64,
    /// The node whose data the cluster went on with.
    pub by: NodeName,
    /// The members that it went on without.
    pub without: Vec<NodeName>,
}

impl SystemState {
    /// All members but one are gone, and the cluster is another one: what the others still write is not of it.
    pub(crate) fn recover(
        &mut self,
        node: NodeId,
        cluster_id: u128,
        at_unix_ms: u64,
        at: LogIndex,
    ) -> Result<(), MemberError> {
        let by = self.members.get(&node).ok_or(MemberError::Unknown { node })?.name.clone();
        let (former_id, name) = match &self.cluster {
            Some(cluster) if cluster.id == cluster_id => return Ok(()),
            Some(cluster) => (cluster.id, cluster.name.clone()),
            None => return Err(MemberError::NotFounded),
        };
        let others: Vec<NodeId> = self.members.keys().copied().filter(|id| *id != node).collect();
        let without =
            self.members.iter().filter(|(id, _)| **id != node).map(|(_, member)| member.name.clone());
        let without = without.collect();
        for id in others {
            self.remove(id, at)?;
        }
        self.cluster = Some(Cluster { id: cluster_id, name });
        self.recoveries.push(Recovery { former_id, cluster_id, at, at_unix_ms, by, without });
        Ok(())
    }

    /// Whether this cluster once had that id.
    pub fn was(&self, cluster_id: u128) -> bool {
        self.recoveries.iter().any(|recovery| recovery.former_id == cluster_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemberChange;

    fn name(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn founded() -> SystemState {
        let changes = [
            MemberChange::Found { cluster_id: 7, cluster_name: "c".to_owned() },
            MemberChange::Admit { node: 1, name: name("a@h"), address: "h:1".to_owned() },
            MemberChange::Admit { node: 2, name: name("b@h"), address: "h:2".to_owned() },
            MemberChange::Admit { node: 3, name: name("c@h"), address: "h:3".to_owned() },
        ];
        let apply = |state: SystemState, change: &MemberChange| state.apply(change, LogIndex(4)).unwrap();
        changes.iter().fold(SystemState::default(), apply)
    }

    #[test]
    fn a_recovered_cluster_has_one_member_another_id_and_remembers_what_it_was() {
        let recover = MemberChange::Recover { node: 2, cluster_id: 9, at_unix_ms: 5 };
        let state = founded().apply(&recover, LogIndex(20)).unwrap();
        assert_eq!(state.members.keys().collect::<Vec<_>>(), [&2]);
        assert_eq!(state.removed.keys().collect::<Vec<_>>(), [&1, &3]);
        assert_eq!((state.cluster.as_ref().unwrap().id, state.was(7), state.was(9)), (9, true, false));
        assert_eq!(state.recoveries[0].without, [name("a@h"), name("c@h")]);
        assert_eq!(state.free_node_id(), 4, "no id comes back");
        assert_eq!(state.apply(&recover, LogIndex(21)).unwrap(), state, "repeating it changes nothing");
    }

    #[test]
    fn only_a_member_goes_on_without_the_others() {
        let recover = |node| MemberChange::Recover { node, cluster_id: 9, at_unix_ms: 5 };
        assert_eq!(founded().apply(&recover(8), LogIndex(20)), Err(MemberError::Unknown { node: 8 }));
        let unknown = SystemState::default().apply(&recover(1), LogIndex(1));
        assert_eq!(unknown, Err(MemberError::Unknown { node: 1 }));
    }
}
