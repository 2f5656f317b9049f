//! A node whose data is damaged: it is put aside, and the node copied anew from its peers.

use std::path::{Path, PathBuf};

use tabularaft_schema::NodeName;
use tabularaft_store::{DataDir, Identity, Retired};

use super::RecoverError;

/// The data directory of a stopped node whose data cannot be used any more.
pub struct DamagedNode {
    dir: DataDir,
    name: NodeName,
    cluster: Option<String>,
    advertise: Option<String>,
}

impl DamagedNode {
    /// Takes the directory. The identity file says whose data it is, unless it is damaged itself.
    ///
    /// # Errors
    /// [`RecoverError`] if the node runs, or nobody knows its name.
    pub fn open(data_dir: &Path, name: Option<NodeName>) -> Result<Self, RecoverError> {
        let dir = DataDir::open(data_dir)?;
        let identity = match Identity::load(data_dir) {
            Ok(identity) => identity,
            Err(error) => {
                tracing::warn!(%error, "the identity file cannot be read");
                None
            }
        };
        let known = identity.as_ref().map(|identity| identity.node.clone());
        let name = name.or(known).ok_or_else(|| RecoverError::NoName { path: data_dir.to_owned() })?;
        let advertise = identity.as_ref().and_then(|identity| identity.advertise.clone());
        Ok(Self { dir, name, cluster: identity.map(|identity| identity.cluster), advertise })
    }

    /// The node's name, under which it comes back.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The name of its cluster, if the identity file says so.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Where its peers reached it, if the identity file says so.
    #[must_use]
    pub fn advertise(&self) -> Option<&str> {
        self.advertise.as_deref()
    }

    /// Puts log, checkpoint and identity aside, and gives the directory up: a node started there that joins the cluster
    /// copies everything anew. Says where the data is, which nobody deletes.
    ///
    /// # Errors
    /// [`RecoverError::DataDir`]; nothing has moved then.
    pub fn put_aside(self) -> Result<Aside, RecoverError> {
        let retired = self.dir.retire("damaged, to be rebuilt from the cluster")?;
        self.dir.keep_retired(&retired)?;
        Ok(Aside { data_dir: self.dir.path().to_owned(), retired })
    }
}

/// Damaged data that was put aside.
pub struct Aside {
    data_dir: PathBuf,
    retired: Retired,
}

impl Aside {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.retired.path
    }

    /// Brings the data back as it was, after the node could not be rebuilt. The node must be stopped.
    ///
    /// # Errors
    /// [`RecoverError::DataDir`]; the data is still aside then.
    pub fn bring_back(self) -> Result<(), RecoverError> {
        let dir = DataDir::open(&self.data_dir)?;
        Ok(dir.restore(&self.retired)?)
    }
}
