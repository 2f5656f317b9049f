use std::fmt;

use serde::{Deserialize, Serialize};

/// One life of a node: its id in the cluster and the count of its lives under that id.
///
/// Incarnations of one node order by `life`; a later life supersedes every earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation {
    /// The node's id in the Raft group.
    pub node: u64,
    /// Grows with every life of the node.
    pub life: u64,
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}", self.node, self.life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_shows_node_and_life() {
        assert_eq!(Incarnation { node: 3, life: 7 }.to_string(), "n3.7");
    }

    #[test]
    fn a_later_life_of_a_node_orders_after_an_earlier_one() {
        assert!(Incarnation { node: 3, life: 7 } < Incarnation { node: 3, life: 8 });
    }
}
