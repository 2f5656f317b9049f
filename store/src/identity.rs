//! Who a node is: what it must still know about itself when it starts again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tabularaft_schema::NodeName;

use crate::data_dir::{DataDir, IDENTITY};
use crate::disc::DiscUse;
use crate::files::{FileSystem, OsFiles};
use crate::small_file::{SmallFile, SmallFileError};

const FILE: SmallFile = SmallFile { kind: "identity", version: 1, disc_use: DiscUse::Identity };
const UNKNOWN_BOOT_ID: &str = "unknown";

/// Who a node is. Kept in the file `identity` of its data directory.
///
/// The order of a start is: [`load`](Self::load), [`machine_crashed`](Self::machine_crashed),
/// [`begin_life`](Self::begin_life); at the end of a clean stop, when everything else is closed,
/// [`end_life`](Self::end_life).
// Persistent: add fields (with a default), never change or reuse their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The name of the cluster.
    pub cluster: String,
    /// The number of the cluster, drawn at random when it was founded.
    #[serde(with = "hex")]
    pub cluster_id: u128,
    /// The name of the node.
    pub node: NodeName,
    /// The node's number in the Raft group; a new one with each incarnation.
    pub node_id: u64,
    /// Counts the starts of the process under this identity; 0: never started.
    pub life: u64,
    /// Which boot of the machine the node last started under.
    pub boot_id: String,
    /// Whether the last life ended in order.
    pub clean_shutdown: bool,
    /// The machine crashed in some earlier life, and the node has not come back through the reboot cycle since.
    #[serde(default)]
    pub crash_unsettled: bool,
    /// Set when the node was told that the cluster has removed it.
    #[serde(default)]
    pub removed: Option<Removal>,
    /// The address this node tells others, if it was given one.
    #[serde(default)]
    pub advertise: Option<String>,
    /// The other nodes last known, to find the cluster again.
    #[serde(default)]
    pub peers: Vec<KnownPeer>,
}

/// That, when and why a node was removed from its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// When the node learned of it, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// Why, in words.
    pub reason: String,
}

/// Another node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPeer {
    /// Its number in the Raft group.
    pub node_id: u64,
    /// Its name.
    pub name: NodeName,
    /// Where it can be reached, best first.
    pub addresses: Vec<String>,
}

/// Why an identity could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The data belongs to another node.
    #[error("the data in {} belongs to node {found}, not to {wanted}: start {found}, rename it, or use another data directory", path.display())]
    OtherNode {
        /// Who it belongs to.
        found: NodeName,
        /// Who wanted to use it.
        wanted: NodeName,
        /// The identity file.
        path: PathBuf,
    },
    /// The data belongs to another cluster.
    #[error("the data in {} belongs to cluster {found:?}, not to {wanted:?}: correct the cluster name, or use another data directory", path.display())]
    OtherCluster {
        /// Which cluster it belongs to.
        found: String,
        /// Which cluster was wanted.
        wanted: String,
        /// The identity file.
        path: PathBuf,
    },
    /// The file was written by a newer release.
    #[error("{} has format {found}, this release knows up to {known}: start the newer release again", path.display())]
    NewerFormat {
        /// The identity file.
        path: PathBuf,
        /// The version found in it.
        found: u32,
        /// The newest version this release reads.
        known: u32,
    },
    /// The file is not what was written.
    #[error("{} is damaged at byte {offset}: {reason}; `store-admin recover --from-cluster` rebuilds this node from its peers", path.display())]
    Damaged {
        /// The identity file.
        path: PathBuf,
        /// Where the damage was noticed.
        offset: u64,
        /// What does not fit.
        reason: String,
    },
    /// The operating system refused something.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// The identity file.
        path: PathBuf,
        /// What was tried, as a verb.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Identity {
    /// The identity of a node that has never run.
    #[must_use]
    pub fn new(cluster: impl Into<String>, cluster_id: u128, node: NodeName, node_id: u64) -> Self {
        Self {
            cluster: cluster.into(),
            cluster_id,
            node,
            node_id,
            life: 0,
            boot_id: String::new(),
            clean_shutdown: true,
            crash_unsettled: false,
            removed: None,
            advertise: None,
            peers: Vec::new(),
        }
    }

    /// Reads the identity in a data directory; `None` if there is none. Needs no lock, so tools may look at a running node.
    ///
    /// # Errors
    /// [`IdentityError::Damaged`], [`IdentityError::NewerFormat`], [`IdentityError::Io`].
    pub fn load(data_dir: &Path) -> Result<Option<Self>, IdentityError> {
        Self::load_from(data_dir, &OsFiles)
    }

    /// The same, in the data directory that is held.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_held(data_dir: &DataDir) -> Result<Option<Self>, IdentityError> {
        Self::load_from(data_dir.path(), data_dir.disc().files())
    }

    fn load_from(data_dir: &Path, files: &dyn FileSystem) -> Result<Option<Self>, IdentityError> {
        let path = data_dir.join(IDENTITY);
        let body = match FILE.read(&path, files) {
            Ok(None) => return Ok(None),
            Ok(Some(body)) => body,
            Err(SmallFileError::Io(source)) => return Err(IdentityError::Io { path, doing: "read", source }),
            Err(SmallFileError::Damaged { offset, reason }) => {
                return Err(IdentityError::Damaged { path, offset, reason });
            }
            Err(SmallFileError::NewerFormat(found)) => {
                return Err(IdentityError::NewerFormat { path, found, known: FILE.version });
            }
        };
        let identity = serde_json::from_str(&body);
        identity.map(Some).map_err(|error| IdentityError::Damaged {
            path,
            offset: 0,
            reason: error.to_string(),
        })
    }

    /// Refuses data that belongs to another node or cluster.
    ///
    /// # Errors
    /// [`IdentityError::OtherNode`], [`IdentityError::OtherCluster`].
    pub fn check_owner(&self, data_dir: &Path, node: &NodeName, cluster: &str) -> Result<(), IdentityError> {
        let path = data_dir.join(IDENTITY);
        if self.cluster != cluster {
            return Err(IdentityError::OtherCluster {
                found: self.cluster.clone(),
                wanted: cluster.to_owned(),
                path,
            });
        }
        if self.node != *node {
            return Err(IdentityError::OtherNode { found: self.node.clone(), wanted: node.clone(), path });
        }
        Ok(())
    }

    /// Writes the identity, replacing what was there.
    ///
    /// # Errors
    /// [`IdentityError::Io`]; what was there before is whole then.
    ///
    /// # Durability
    /// Durable when it returns.
    pub fn save(&self, data_dir: &DataDir) -> Result<(), IdentityError> {
        let path = data_dir.identity_file();
        let body = serde_json::to_string_pretty(self).map_err(io::Error::other);
        body.and_then(|body| FILE.write(&path, &(body + "\n"), data_dir.disc().as_ref()))
            .map_err(|source| IdentityError::Io { path, doing: "write", source })
    }

    /// Whether the machine, and not only the process, stopped without warning in a life that is not settled yet: what was
    /// acknowledged without a sync may be lost, so the node must not vote as if nothing had happened. Ask before
    /// [`begin_life`](Self::begin_life).
    #[must_use]
    pub fn machine_crashed(&self, current_boot_id: &str) -> bool {
        let other_boot = self.boot_id != current_boot_id || current_boot_id == UNKNOWN_BOOT_ID;
        self.crash_unsettled || (!self.clean_shutdown && other_boot)
    }

    /// Counts one life more, durably, before the node does anything in it. A machine crash that is noticed now stays noted
    /// until [`settle_crash`](Self::settle_crash): otherwise a second start under the same boot would not know of it.
    ///
    /// # Errors
    /// [`IdentityError::Io`]; the identity is unchanged then.
    pub fn begin_life(&mut self, data_dir: &DataDir, current_boot_id: &str) -> Result<u64, IdentityError> {
        let crash_unsettled = self.machine_crashed(current_boot_id);
        self.change(data_dir, |identity| {
            identity.crash_unsettled = crash_unsettled;
            identity.life = identity.life.saturating_add(1);
            identity.boot_id = current_boot_id.to_owned();
            identity.clean_shutdown = false;
        })?;
        Ok(self.life)
    }

    /// Notes that this life ended in order. The last thing a node writes.
    ///
    /// # Errors
    /// [`IdentityError::Io`]; the identity is unchanged then.
    pub fn end_life(&mut self, data_dir: &DataDir) -> Result<(), IdentityError> {
        self.change(data_dir, |identity| identity.clean_shutdown = true)
    }

    /// Notes that the node has dealt with the machine's crash.
    ///
    /// # Errors
    /// [`IdentityError::Io`]; the identity is unchanged then.
    pub fn settle_crash(&mut self, data_dir: &DataDir) -> Result<(), IdentityError> {
        self.change(data_dir, |identity| identity.crash_unsettled = false)
    }

    /// Changes the identity, in memory only if that succeeded on disc.
    ///
    /// # Errors
    /// [`IdentityError::Io`]; the identity is unchanged then.
    pub fn change(
        &mut self,
        data_dir: &DataDir,
        change: impl FnOnce(&mut Self),
    ) -> Result<(), IdentityError> {
        let mut changed = self.clone();
        change(&mut changed);
        changed.save(data_dir)?;
        *self = changed;
        Ok(())
    }
}

/// Which boot of the machine this is, as the kernel says: the same for all processes, containers included, until the kernel
/// starts again. Where the kernel does not say (anything but Linux) it is `"unknown"`, which
/// [`Identity::machine_crashed`] never takes for the same boot: such a node comes back through the reboot cycle after every
/// unclean stop. That is slower, and safe.
#[must_use]
pub fn current_boot_id() -> String {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot_id = boot_id.trim();
    if boot_id.is_empty() { UNKNOWN_BOOT_ID.to_owned() } else { boot_id.to_owned() }
}

/// 128-bit numbers as 32 hexadecimal digits: JSON numbers do not reach that far.
mod hex {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}
