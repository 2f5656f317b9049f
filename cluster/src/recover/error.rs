//! Why a recovery did not happen.

use std::path::PathBuf;

use tabularaft_schema::NodeName;
use tabularaft_store::{DataDirError, IdentityError};

use crate::error::StartError;

/// Why a recovery did not happen. The data is as it was unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The directory cannot be used, as when the node runs.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The identity file cannot be read or written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The node's log or checkpoint cannot be opened.
    #[error("the data of this node cannot be used: {0}")]
    Open(#[from] StartError),
    /// There is no node in this directory.
    #[error("{} holds no node: name the data directory of one that was a member", path.display())]
    NoNode {
        /// The directory.
        path: PathBuf,
    },
    /// The name of the damaged node is not known.
    #[error("{} does not say whose data this is: give the node's name with --name", path.display())]
    NoName {
        /// The directory.
        path: PathBuf,
    },
    /// The node was removed from its cluster, so it has nothing to go on with.
    #[error("this node was {reason}: it cannot go on in the cluster's place")]
    Removed {
        /// When and why.
        reason: String,
    },
    /// The node whose data is used must be among those that are kept.
    #[error("the data is that of {node}, which --keep does not name: run this on a node that is kept")]
    NotKept {
        /// Whose data it is.
        node: NodeName,
    },
    /// There is no such member.
    #[error("{name} is not a member of the cluster; its members are {}", list(.members))]
    NoSuchMember {
        /// The name.
        name: NodeName,
        /// All members.
        members: Vec<NodeName>,
    },
    /// The kept nodes have a majority, so the cluster needs no recovery.
    #[error(
        "the {kept} kept of {voters} voters are a majority: start them, and remove the others with `store-admin cluster remove`"
    )]
    HasMajority {
        /// Voters that are kept.
        kept: usize,
        /// All voters.
        voters: usize,
    },
    /// The log could not be read, or written: what is written is durable, so the recovery may be tried again.
    #[error("the log of this node cannot be used: {0}")]
    Log(std::io::Error),
    /// The recovery is done, but its last step failed.
    #[error("the cluster goes on with this node, but {what} failed: {why}")]
    AfterTheFact {
        /// Which step.
        what: &'static str,
        /// Why.
        why: String,
    },
}

fn list(names: &[NodeName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
