//! Describing a test cluster.

use std::sync::Arc;

use tabularaft::transport::Links;
use tabularaft::{NodeBuilder, NodeConfig, NodeName};

use crate::cluster::{Options, TestCluster};
use crate::log_output;
use crate::place::Place;

/// Describes a test cluster; [`ClusterBuilder::start`] starts it.
#[must_use]
pub struct ClusterBuilder {
    nodes: usize,
    diskless: bool,
    config: NodeConfig,
    adapt: Arc<dyn Fn(NodeBuilder) -> NodeBuilder + Send + Sync>,
}

impl ClusterBuilder {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { nodes, diskless: false, config: fast(), adapt: Arc::new(|builder| builder) }
    }

    /// No node keeps anything on disc.
    pub fn diskless(mut self) -> Self {
        self.diskless = true;
        self
    }

    /// Changes settings of all nodes; they begin with short timeouts.
    pub fn config(mut self, change: impl FnOnce(&mut NodeConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Changes other options of all nodes, at every start: the secret, hooks.
    pub fn adapt(mut self, adapt: impl Fn(NodeBuilder) -> NodeBuilder + Send + Sync + 'static) -> Self {
        self.adapt = Arc::new(adapt);
        self
    }

    /// Starts the nodes: the first one founds the cluster, the others join it.
    ///
    /// # Panics
    ///
    /// When a node does not start or join.
    pub async fn start(self) -> TestCluster {
        let count = self.nodes;
        let mut cluster = self.idle();
        for at in 0..count {
            let at = cluster.add(&format!("n{}@localhost", at + 1));
            let outcome = if at == 0 { cluster.found(at).await } else { cluster.start_joining(at, 0).await };
            outcome.unwrap_or_else(|error| panic!("n{} does not start: {error}", at + 1));
        }
        cluster
    }

    /// The cluster without any node yet.
    pub fn idle(self) -> TestCluster {
        log_output::show();
        TestCluster::new(Options {
            links: Links::new(),
            config: self.config,
            diskless: self.diskless,
            adapt: self.adapt,
        })
    }
}

impl Options {
    pub(crate) fn place(&self) -> Place {
        if self.diskless {
            return Place::Diskless;
        }
        Place::Disc(tempfile::tempdir().expect("the system has a place for temporary files"))
    }

    /// What all nodes have in common.
    pub(crate) fn apply(&self, builder: NodeBuilder, name: &NodeName, address: &str) -> NodeBuilder {
        self.links.register(address, name.clone());
        (self.adapt)(builder.config(self.config.clone()).links(Arc::clone(&self.links)))
    }
}

/// Timeouts with which a cluster of one process on a busy machine still keeps its leader.
fn fast() -> NodeConfig {
    NodeConfig { heartbeat_ms: 50, election_ms: 1_000, ram_grace_ms: 500, ..NodeConfig::default() }
}
