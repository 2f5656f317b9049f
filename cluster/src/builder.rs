//! Describing a node and starting it.

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use tabularaft_schema::NodeName;
use tabularaft_store::disc::DiscControl;
use tabularaft_store::threads::Threads;

use crate::boot;
use crate::config::{FRAME_BYTES_MAX, NodeConfig};
use crate::error::{JoinError, StartError};
use crate::home::{Ground, Home};
use crate::inner::{NodeInner, NodeParts};
use crate::join::{self, LocalData};
use crate::lifecycle::{LifecycleHub, PrepareHook, Reason, RebootHook};
use crate::node::Node;
use crate::transport::{Links, Network, Secret, TransportConfig};

/// Describes a node; [`NodeBuilder::start`] starts it.
#[must_use]
pub struct NodeBuilder {
    name: String,
    data_dir: Option<PathBuf>,
    diskless: bool,
    listen: String,
    advertise: Option<String>,
    secret: Option<Arc<Secret>>,
    config: NodeConfig,
    join: Option<String>,
    local_data: LocalData,
    expected_modules: Vec<&'static str>,
    prepare: Vec<(String, PrepareHook)>,
    reboot: Vec<(String, RebootHook)>,
    links: Option<Arc<Links>>,
    network: Option<Arc<dyn Network>>,
    ground: Ground,
    checks_reads: bool,
}

impl NodeBuilder {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            data_dir: None,
            diskless: false,
            listen: "127.0.0.1:7100".to_owned(),
            advertise: None,
            secret: None,
            config: NodeConfig::default(),
            join: None,
            local_data: LocalData::Refuse,
            expected_modules: Vec::new(),
            prepare: Vec::new(),
            reboot: Vec::new(),
            links: None,
            network: None,
            ground: Ground::default(),
            checks_reads: true,
        }
    }

    /// Where the node keeps its log and disc tables. The directory belongs to this node alone.
    pub fn data_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(dir.into());
        self
    }

    /// Keeps nothing on disc: disc tables are held in memory here, and each start is a new node to the cluster.
    pub fn diskless(mut self) -> Self {
        self.diskless = true;
        self
    }

    /// The address to listen on, `IP:PORT`; port 0 takes a free one. Default `127.0.0.1:7100`.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// The address at which other nodes reach this one, if it is not the one listened on.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// The cluster's secret. Without one a node listens on loopback only.
    pub fn secret(mut self, secret: Secret) -> Self {
        self.secret = Some(Arc::new(secret));
        self
    }

    /// Settings other than the defaults.
    pub fn config(mut self, config: NodeConfig) -> Self {
        self.config = config;
        self
    }

    /// Joins the cluster of this peer, `host:port`, unless the node is a member of it already.
    pub fn join(mut self, peer: impl Into<String>) -> Self {
        self.join = Some(peer.into());
        self
    }

    /// What becomes of records that the node has when it joins. Default: the join is refused.
    pub fn on_local_data(mut self, local_data: LocalData) -> Self {
        self.local_data = local_data;
        self
    }

    /// Modules that must be linked: the start fails, naming them, if the linker has dropped one.
    pub fn expect_modules(mut self, modules: &[&'static str]) -> Self {
        self.expected_modules.extend_from_slice(modules);
        self
    }

    /// Adds a hook that runs before the engine stops for a membership change or shutdown; its error stops the change.
    pub fn prepare<F>(mut self, name: impl Into<String>, hook: F) -> Self
    where
        F: Fn(Reason) -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    {
        self.prepare.push((name.into(), Arc::new(hook)));
        self
    }

    /// Adds a hook that runs after the engine has started again.
    pub fn rebooted<F>(mut self, name: impl Into<String>, hook: F) -> Self
    where
        F: Fn(Reason) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        self.reboot.push((name.into(), Arc::new(hook)));
        self
    }

    /// Fault control of the test cluster.
    #[doc(hidden)]
    pub fn links(mut self, links: Arc<Links>) -> Self {
        self.links = Some(links);
        self
    }

    /// Fault control of the test cluster.
    #[doc(hidden)]
    pub fn disc(mut self, disc: Arc<dyn DiscControl>) -> Self {
        self.ground.disc = disc;
        self
    }

    /// The network of a simulation.
    #[doc(hidden)]
    pub fn network(mut self, network: Arc<dyn Network>) -> Self {
        self.network = Some(network);
        self
    }

    /// The threads of a simulation.
    #[doc(hidden)]
    pub fn threads(mut self, threads: Arc<dyn Threads>) -> Self {
        self.ground.threads = threads;
        self
    }

    /// The machine's boot id, as the test cluster simulates it.
    #[doc(hidden)]
    pub fn boot_id(mut self, boot_id: impl Into<String>) -> Self {
        self.ground.boot_id = Some(boot_id.into());
        self
    }

    /// Switches off the rule that a crashed machine's node must not vote; a test shows the loss that follows.
    #[doc(hidden)]
    pub fn forget_crashes(mut self) -> Self {
        self.ground.forget_crashes = true;
        self
    }

    /// Switches off the check that what a transaction has read is unchanged; a test shows the anomalies that follow.
    #[doc(hidden)]
    pub fn skip_read_checks(mut self) -> Self {
        self.checks_reads = false;
        self
    }

    /// Starts the node. A new node founds a cluster of one, unless it is to join; a restarted one goes on with what it
    /// has, whether its peers are there or not: starting never waits for a majority.
    ///
    /// # Errors
    ///
    /// [`StartError`]; a join that fails leaves what there was.
    pub async fn start(self) -> Result<Node, StartError> {
        self.config.validate()?;
        let name: NodeName = self.name.parse()?;
        if self.data_dir.is_none() && !self.diskless {
            return Err(StartError::Configuration(
                "a node needs a data directory, or to be diskless".to_owned(),
            ));
        }
        tabularaft_schema::require_modules(&self.expected_modules)
            .map_err(|error| StartError::Configuration(error.to_string()))?;
        if let Some(name) = crate::functions::ambiguous() {
            let message = format!("two linked functions are named `{name}`; rename one of them");
            return Err(StartError::Configuration(message));
        }
        let (dir, diskless) = (self.data_dir.clone(), self.diskless);
        let (home_name, home_config, ground) = (name.clone(), self.config.clone(), self.ground.clone());
        let home = crate::door::blocking(move || {
            let dir = dir.as_deref().filter(|_| !diskless);
            Home::open(home_name, home_config, dir, ground)
        })
        .await
        .map_err(|error| StartError::Configuration(error.to_string()))??;
        let transport = TransportConfig {
            secret: self.secret.clone(),
            max_frame_bytes: FRAME_BYTES_MAX,
            links: self.links.clone(),
            network: self.network.clone(),
            ..TransportConfig::default()
        };
        let parts = NodeParts {
            name,
            config: self.config.clone(),
            transport,
            advertise: self.advertise.clone(),
            home,
            hub: LifecycleHub::new(self.prepare.clone(), self.reboot.clone()),
            checks_reads: self.checks_reads,
        };
        let inner = NodeInner::listen(&self.listen, parts).await?;
        match self.bring_up(&inner).await {
            Ok(()) => Ok(Node { inner }),
            Err(error) => {
                inner.shutdown().await;
                Err(error)
            }
        }
    }

    async fn bring_up(&self, inner: &Arc<NodeInner>) -> Result<(), StartError> {
        let known = inner.home.identity();
        match (&known, &self.join) {
            (None, None) => inner.found().await,
            (None, Some(peer)) => self.join_now(inner, peer).await,
            (Some(identity), join) => {
                let removed = identity.removed.is_some();
                inner.start_engine().await?;
                let defs = boot::check_tables(inner)?;
                tokio::spawn(boot::create_tables_later(Arc::downgrade(inner), defs));
                match join {
                    Some(peer) if removed || self.is_alone(inner) => self.join_now(inner, peer).await,
                    _ => Ok(()),
                }
            }
        }
    }

    fn is_alone(&self, inner: &NodeInner) -> bool {
        inner.engine().is_some_and(|engine| engine.store.view().system().members.len() <= 1)
    }

    async fn join_now(&self, inner: &Arc<NodeInner>, peer: &str) -> Result<(), StartError> {
        match join::join(inner, peer, self.local_data, Reason::Join).await {
            Ok(_) | Err(JoinError::AlreadyInCluster { .. }) => Ok(()),
            Err(source) => Err(StartError::Join { peer: peer.to_owned(), source: Box::new(source) }),
        }
    }
}
