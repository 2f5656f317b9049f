//! Who the cluster is: the state that joins, starts and removals leave in the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tabularaft_schema::{NodeId, NodeName};

use crate::LogIndex;
use crate::recovery::Recovery;

/// One decided change of the cluster's members.
///
/// Persistent: add at the end, never change or reuse a variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MemberChange {
    /// The first entry of a cluster's life.
    Found {
        /// Drawn at random, so that two clusters of one name are told apart.
        cluster_id: u128,
        /// What the operator calls the cluster.
        cluster_name: String,
    },
    /// A node gets a place in the cluster.
    Admit {
        /// Its id, greater than every id given before.
        node: NodeId,
        /// Its name, which no other present member has.
        name: NodeName,
        /// Where its peers reach it.
        address: String,
    },
    /// A node began a new life.
    Started {
        /// Which node.
        node: NodeId,
        /// Greater than the number of every earlier life of this node.
        life: u64,
        /// Where its peers reach it from now on.
        address: String,
    },
    /// A node lost its place. Its id never comes back.
    Remove {
        /// Which node.
        node: NodeId,
    },
    /// The majority is lost for good, and the cluster goes on as another one with one member: see [`Recovery`].
    Recover {
        /// The member that is left.
        node: NodeId,
        /// Drawn at random: the cluster's id from now on.
        cluster_id: u128,
        /// When, in milliseconds since 1970.
        at_unix_ms: u64,
    },
}

/// The identity of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Drawn at random when the cluster was founded.
    pub id: u128,
    /// What the operator calls it.
    pub name: String,
}

/// A node that belongs to the cluster, running or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: NodeName,
    /// Where its peers reach it, as of its newest life.
    pub address: String,
    /// The number of its newest life; 0 until it has started once.
    pub life: u64,
    /// The log index at which it got its place.
    pub admitted_at: LogIndex,
}

/// A node that no longer belongs to the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedMember {
    /// Its name then.
    pub name: NodeName,
    /// The log index at which it lost its place.
    pub at: LogIndex,
    /// The number of its last life.
    pub last_life: u64,
}

/// The cluster and its members at one log index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SystemState {
    /// `None` until the cluster is founded.
    pub cluster: Option<Cluster>,
    /// The members by id.
    pub members: BTreeMap<NodeId, Member>,
    /// The removed members by id; disjoint from `members`.
    pub removed: BTreeMap<NodeId, RemovedMember>,
    /// Greater than every id in `members` and `removed`.
    pub next_node_id: NodeId,
    /// Every loss of a majority that the cluster went on after, oldest first. Written beside this state, in the form
    /// of the second version: the first had no place for it.
    #[serde(skip)]
    pub recoveries: Vec<Recovery>,
}

/// Why a change of members does not apply. The state is then as it was, on every node alike.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberError {
    /// A cluster is founded once.
    #[error("the cluster is already founded, as {name:?}")]
    AlreadyFounded {
        /// Its name.
        name: String,
    },
    /// The id belonged to a node that was removed.
    #[error("node id {node} was removed at {at:?} and never comes back: join again for a new id")]
    Removed {
        /// The id.
        node: NodeId,
        /// When it was removed.
        at: LogIndex,
    },
    /// The id was given before, to another node.
    #[error("node id {node} has been given already: the next free id is {next}")]
    IdTaken {
        /// The id.
        node: NodeId,
        /// The smallest id that may be given.
        next: NodeId,
    },
    /// A present member has this name.
    #[error("member {node} is already called {name}: remove it first, or choose another name")]
    NameTaken {
        /// The name.
        name: NodeName,
        /// Who has it.
        node: NodeId,
    },
    /// No member has this id.
    #[error("node id {node} is not a member of the cluster")]
    Unknown {
        /// The id.
        node: NodeId,
    },
    /// There is no cluster yet.
    #[error("the cluster is not founded yet")]
    NotFounded,
    /// A later life of this node has started already.
    #[error("life {life} of node {node} is over: life {newest} has started")]
    LifeIsOver {
        /// Which node.
        node: NodeId,
        /// The life that came too late.
        life: u64,
        /// The newest life.
        newest: u64,
    },
}

impl SystemState {
    /// The state after `change`, decided at log index `at`. Repeating a change changes nothing more.
    pub fn apply(&self, change: &MemberChange, at: LogIndex) -> Result<SystemState, MemberError> {
        let mut next = self.clone();
        match change {
            MemberChange::Found { cluster_id, cluster_name } => next.found(*cluster_id, cluster_name)?,
            MemberChange::Admit { node, name, address } => next.admit(*node, name, address, at)?,
            MemberChange::Started { node, life, address } => next.started(*node, *life, address)?,
            MemberChange::Remove { node } => next.remove(*node, at)?,
            MemberChange::Recover { node, cluster_id, at_unix_ms } => {
                next.recover(*node, *cluster_id, *at_unix_ms, at)?;
            }
        }
        Ok(next)
    }

    /// The member with this name.
    pub fn member_named(&self, name: &NodeName) -> Option<(NodeId, &Member)> {
        self.members.iter().find(|(_, member)| member.name == *name).map(|(id, member)| (*id, member))
    }

    /// The id for the next node that is admitted: never 0, which stands for no node.
    pub fn free_node_id(&self) -> NodeId {
        self.next_node_id.max(1)
    }

    fn found(&mut self, id: u128, name: &str) -> Result<(), MemberError> {
        match &self.cluster {
            Some(cluster) if cluster.id == id && cluster.name == name => Ok(()),
            Some(cluster) => Err(MemberError::AlreadyFounded { name: cluster.name.clone() }),
            None => {
                self.cluster = Some(Cluster { id, name: name.to_owned() });
                Ok(())
            }
        }
    }

    fn admit(
        &mut self,
        node: NodeId,
        name: &NodeName,
        address: &str,
        at: LogIndex,
    ) -> Result<(), MemberError> {
        self.refuse_removed(node)?;
        if let Some((other, _)) = self.member_named(name).filter(|(other, _)| *other != node) {
            return Err(MemberError::NameTaken { name: name.clone(), node: other });
        }
        if let Some(member) = self.members.get_mut(&node) {
            if member.name != *name {
                return Err(MemberError::IdTaken { node, next: self.free_node_id() });
            }
            member.address = address.to_owned();
            return Ok(());
        }
        if node < self.free_node_id() {
            return Err(MemberError::IdTaken { node, next: self.free_node_id() });
        }
        let member = Member { name: name.clone(), address: address.to_owned(), life: 0, admitted_at: at };
        self.members.insert(node, member);
        self.next_node_id = node.saturating_add(1);
        Ok(())
    }

    fn started(&mut self, node: NodeId, life: u64, address: &str) -> Result<(), MemberError> {
        self.refuse_removed(node)?;
        let member = self.members.get_mut(&node).ok_or(MemberError::Unknown { node })?;
        if life < member.life {
            return Err(MemberError::LifeIsOver { node, life, newest: member.life });
        }
        member.life = life;
        member.address = address.to_owned();
        Ok(())
    }

    pub(crate) fn remove(&mut self, node: NodeId, at: LogIndex) -> Result<(), MemberError> {
        if self.removed.contains_key(&node) {
            return Ok(());
        }
        let member = self.members.remove(&node).ok_or(MemberError::Unknown { node })?;
        self.removed.insert(node, RemovedMember { name: member.name, at, last_life: member.life });
        Ok(())
    }

    fn refuse_removed(&self, node: NodeId) -> Result<(), MemberError> {
        match self.removed.get(&node) {
            Some(removed) => Err(MemberError::Removed { node, at: removed.at }),
            None => Ok(()),
        }
    }
}
