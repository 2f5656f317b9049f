//! What a recovery would do, and what it may lose.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use tabularaft_schema::{NodeId, NodeName, TableName};
use tabularaft_store::{Position, SystemState};

use super::RecoverError;

/// What going on with one node's data means. Printed, it is what an operator has to read first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The cluster's name.
    pub cluster: String,
    /// Whose data the cluster goes on with, as its only voter.
    pub with: NodeName,
    /// The other kept nodes: each has to be rebuilt from the first.
    pub rebuild: Vec<NodeName>,
    /// The members that are given up. They are refused if they come back.
    pub lost: Vec<LostMember>,
    /// The last log index that this node knows to be committed.
    pub committed: u64,
    /// The last log index of this node. What was acknowledged behind it is lost.
    pub last: u64,
    /// The machine of this node crashed: acknowledged changes of ram tables may be missing in its log.
    pub after_crash: bool,
    /// Ram tables: they start empty, as no running node has them.
    pub ram_tables: Vec<TableName>,
}

/// A member that is given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostMember {
    /// Its name.
    pub name: NodeName,
    /// Its id, which never comes back.
    pub id: NodeId,
    /// Whether it had a vote.
    pub voter: bool,
}

/// What a stopped node knows.
pub(super) struct Known<'a> {
    pub(super) node: &'a NodeName,
    pub(super) system: &'a SystemState,
    pub(super) voters: &'a BTreeSet<NodeId>,
    pub(super) committed: Option<Position>,
    pub(super) last: Option<Position>,
    pub(super) after_crash: bool,
    pub(super) ram_tables: Vec<TableName>,
}

impl Plan {
    /// Decides who is kept and who is lost.
    pub(super) fn new(known: Known<'_>, keep: &[NodeName]) -> Result<Self, RecoverError> {
        let system = known.system;
        if let Some(name) = keep.iter().find(|name| system.member_named(name).is_none()) {
            let members = system.members.values().map(|member| member.name.clone()).collect();
            return Err(RecoverError::NoSuchMember { name: name.clone(), members });
        }
        if !keep.contains(known.node) {
            return Err(RecoverError::NotKept { node: known.node.clone() });
        }
        let is_kept = |id: &NodeId| system.members.get(id).is_some_and(|member| keep.contains(&member.name));
        let (kept, voters) = (known.voters.iter().filter(|id| is_kept(id)).count(), known.voters.len());
        if kept > voters / 2 {
            return Err(RecoverError::HasMajority { kept, voters });
        }
        let lost = system.members.iter().filter(|(id, _)| !is_kept(id)).map(|(id, member)| LostMember {
            name: member.name.clone(),
            id: *id,
            voter: known.voters.contains(id),
        });
        Ok(Self {
            cluster: system.cluster.as_ref().map(|cluster| cluster.name.clone()).unwrap_or_default(),
            with: known.node.clone(),
            rebuild: keep.iter().filter(|name| *name != known.node).cloned().collect(),
            lost: lost.collect(),
            committed: known.committed.map_or(0, |at| at.index),
            last: known.last.map_or(0, |at| at.index),
            after_crash: known.after_crash,
            ram_tables: known.ram_tables,
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cluster {} goes on with the data of {} alone", self.cluster, self.with)?;
        for lost in &self.lost {
            let place = if lost.voter { "voter" } else { "learner" };
            writeln!(f, "given up for ever: {} ({place}, node id {})", lost.name, lost.id)?;
        }
        for name in &self.rebuild {
            writeln!(
                f,
                "to be rebuilt from {}: {name}, with `store-admin recover --from-cluster`",
                self.with
            )?;
        }
        writeln!(f, "what may be lost:")?;
        writeln!(f, "  - every write that was acknowledged behind log index {}, the last here", self.last)?;
        if self.last > self.committed {
            let first = self.committed + 1;
            writeln!(
                f,
                "  - nothing of index {first} to {}, but it counts now, acknowledged or not",
                self.last
            )?;
        }
        if self.after_crash {
            writeln!(f, "  - changes of ram tables: this machine crashed, and its log may lack some")?;
        }
        for table in &self.ram_tables {
            writeln!(f, "  - the content of ram table {table}, which starts empty")?;
        }
        writeln!(f, "if another surviving node has a later last index, run this there instead")
    }
}

#[cfg(test)]
mod tests {
    use tabularaft_store::{LogIndex, MemberChange};

    use super::*;

    fn name(name: &str) -> NodeName {
        name.parse().unwrap()
    }

    fn three() -> SystemState {
        let admit = |node, at: &str| MemberChange::Admit { node, name: name(at), address: String::new() };
        let found = MemberChange::Found { cluster_id: 7, cluster_name: "orders".to_owned() };
        let changes = [found, admit(1, "a@h"), admit(2, "b@h"), admit(3, "c@h")];
        let apply = |state: SystemState, change: &MemberChange| state.apply(change, LogIndex(4)).unwrap();
        changes.iter().fold(SystemState::default(), apply)
    }

    fn plan(keep: &[&str]) -> Result<Plan, RecoverError> {
        let (system, voters) = (three(), BTreeSet::from([1, 2, 3]));
        let known = Known {
            node: &name("a@h"),
            system: &system,
            voters: &voters,
            committed: Some(Position::new(2, 10)),
            last: Some(Position::new(2, 12)),
            after_crash: true,
            ram_tables: vec!["route".parse().unwrap()],
        };
        Plan::new(known, &keep.iter().map(|keep| name(keep)).collect::<Vec<_>>())
    }

    #[test]
    fn a_plan_names_everyone_who_is_given_up_and_everything_that_may_be_lost() {
        let said = plan(&["a@h"]).unwrap().to_string();
        for part in ["orders", "b@h (voter, node id 2)", "c@h", "behind log index 12", "index 11 to 12"] {
            assert!(said.contains(part), "{part:?} in {said}");
        }
        assert!(said.contains("crashed") && said.contains("route"), "{said}");
    }

    #[test]
    fn a_recovery_without_need_or_of_a_stranger_is_refused() {
        let refused = |keep: &[&str]| plan(keep).unwrap_err();
        assert!(matches!(refused(&["a@h", "b@h"]), RecoverError::HasMajority { kept: 2, voters: 3 }));
        assert!(matches!(refused(&["b@h"]), RecoverError::NotKept { .. }));
        assert!(refused(&["a@h", "x@h"]).to_string().contains("a@h, b@h, c@h"));
    }
}
