//! Three node processes that have joined, with both tables.

use std::path::{Path, PathBuf};

use tabularaft::Secret;
use tempfile::TempDir;

use crate::Failure;
use crate::items::TableChoice;
use crate::namespaces::Machines;
use crate::process::{Launch, NodeProcess};
use crate::protocol::Command;

/// How many nodes a cluster has.
pub const NODES: usize = 3;
/// The name of the file with the secret of a cluster that is not on loopback.
const SECRET_FILE: &str = "secret";

/// A cluster for one figure. Dropping it kills its processes and deletes their data.
pub struct Cluster {
    /// The nodes; which of them leads may change.
    pub nodes: Vec<NodeProcess>,
    data: TempDir,
    program: PathBuf,
    /// The machines that the nodes are on, in their order; `None`: all are on this one.
    machines: Option<Machines>,
}

/// Which member of the cluster the callers are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The one that leads.
    Leader,
    /// One that does not.
    Follower,
}

impl Place {
    /// How figures about it are called.
    pub fn label(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
        }
    }
}

impl Cluster {
    /// Starts the processes, joins them and creates the tables.
    ///
    /// # Errors
    ///
    /// When a node does not start or join.
    pub async fn form(dir: &Path) -> Result<Self, Failure> {
        Self::form_on(dir, &std::env::current_exe()?, None).await
    }

    /// As [`Cluster::form`], of nodes that are this program, and on machines of their own.
    ///
    /// # Errors
    ///
    /// As [`Cluster::form`].
    pub async fn form_on(dir: &Path, program: &Path, machines: Option<Machines>) -> Result<Self, Failure> {
        let data = TempDir::with_prefix_in("tabularaft-bench-", dir)?;
        if machines.is_some() {
            Secret::generate()?.save_new(data.path().join(SECRET_FILE))?;
        }
        let mut cluster = Self { nodes: Vec::new(), data, program: program.to_owned(), machines };
        for _ in 0..NODES {
            let mut node = cluster.start_another().await?;
            if let Some(first) = cluster.nodes.first() {
                node.ask(&Command::Join { peer: first.address().to_owned() }).await?;
            }
            cluster.nodes.push(node);
        }
        cluster.on(Place::Leader).await?.order(&Command::CreateTables).await?;
        for table in TableChoice::BOTH {
            cluster.wait_for(table, 0).await?;
        }
        Ok(cluster)
    }

    /// Starts one more node, which is alone as yet.
    ///
    /// # Errors
    ///
    /// When the process does not start.
    pub async fn start_another(&self) -> Result<NodeProcess, Failure> {
        let name = format!("n{}@localhost", self.nodes.len() + 1);
        let number = self.nodes.len() as u8;
        let program = self.program.clone();
        let data_dir = self.data.path().join(&name);
        let (listen, runner) = match &self.machines {
            None => ("127.0.0.1:0".to_owned(), Vec::new()),
            Some(machines) => (format!("{}:7100", Machines::address(number)), machines.runner(number)?),
        };
        let secret_file = self.machines.as_ref().map(|_| self.data.path().join(SECRET_FILE));
        NodeProcess::start(Launch { name, data_dir, program, listen, runner, secret_file }).await
    }

    /// The machines that the nodes are on, if they are on machines of their own.
    pub fn machines(&self) -> Option<&Machines> {
        self.machines.as_ref()
    }

    /// Fills the table by callers on the leader, and waits until all nodes have it. Returns the seconds of the callers.
    ///
    /// # Errors
    ///
    /// When a write fails.
    pub async fn load(&mut self, table: TableChoice, records: u64, callers: usize) -> Result<f64, Failure> {
        let seconds = self.on(Place::Leader).await?.order(&Command::Load { table, records, callers }).await?;
        self.wait_for(table, records).await?;
        Ok(seconds)
    }

    /// Waits until the table has this many records on every node.
    ///
    /// # Errors
    ///
    /// When it does not within the nodes' patience.
    pub async fn wait_for(&mut self, table: TableChoice, records: u64) -> Result<(), Failure> {
        for node in &mut self.nodes {
            node.order(&Command::WaitFor { table, records }).await?;
        }
        Ok(())
    }

    /// The leader, or the first node that is not.
    ///
    /// # Errors
    ///
    /// When no node says that it leads.
    pub async fn on(&mut self, place: Place) -> Result<&mut NodeProcess, Failure> {
        let leader = self.leader().await?;
        let at = match place {
            Place::Leader => leader,
            Place::Follower => usize::from(leader == 0),
        };
        self.nodes.get_mut(at).ok_or_else(|| "the cluster has one node only".into())
    }

    /// The place of the leader among the nodes.
    ///
    /// # Errors
    ///
    /// When no node says that it leads.
    pub async fn leader(&mut self) -> Result<usize, Failure> {
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if node.is_leader().await? {
                return Ok(at);
            }
        }
        Err("no node leads".into())
    }
}
