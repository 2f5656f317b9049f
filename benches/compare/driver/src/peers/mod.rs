//! The stores that are compared.

pub mod etcd;
pub mod hiqlite;
pub mod mnesia;
pub mod tabularaft;

use std::fmt::{self, Display};
use std::path::Path;

use clap::ValueEnum;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::process::Process;
use compare_lines::Failure;
use compare_lines::Line;

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Peer {
    /// This project's.
    Tabularaft,
    /// Erlang's.
    Mnesia,
    /// The one beside Kubernetes.
    Etcd,
    /// Raft over SQLite and a cache, in Rust.
    Hiqlite,
}

impl Peer {
    /// How it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tabularaft => "Tabularaft",
            Self::Mnesia => "Mnesia",
            Self::Etcd => "etcd",
            Self::Hiqlite => "hiqlite",
        }
    }
}

impl Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Running nodes of one peer. Dropping it kills its processes and deletes their data.
pub struct Cluster {
    /// Processes with callers in them; for a store that is embedded, its nodes.
    pub nodes: Vec<Process>,
    /// Servers beside them.
    _servers: Vec<Child>,
    data: TempDir,
}

impl Cluster {
    /// Starts as many nodes, on loopback, each a process of its own. `synced` asks a peer that can be set so to sync
    /// its log before it answers.
    ///
    /// # Errors
    ///
    /// When a node does not start, or the cluster does not form.
    pub async fn form(peer: Peer, dir: &Path, nodes: usize, synced: bool) -> Result<Self, Failure> {
        let data = TempDir::with_prefix_in("tabularaft-compare-", dir)?;
        let mut servers = Vec::new();
        let nodes = match peer {
            Peer::Tabularaft => tabularaft::form(data.path(), nodes).await?,
            Peer::Mnesia => mnesia::form(data.path(), nodes).await?,
            Peer::Etcd => etcd::form(data.path(), nodes, &mut servers).await?,
            Peer::Hiqlite => hiqlite::form(data.path(), nodes, synced).await?,
        };
        Ok(Self { nodes, _servers: servers, data })
    }

    /// Where the cluster keeps its data.
    pub fn dir(&self) -> &Path {
        self.data.path()
    }

    /// The node on which one node's callers run: the leader where the peer has one.
    ///
    /// # Errors
    ///
    /// When a node does not answer.
    pub async fn leader(&mut self, table: &str) -> Result<&mut Process, Failure> {
        let mut leader = 0;
        for (at, node) in self.nodes.iter_mut().enumerate() {
            let status = node.ask(&Line::new("status").with("table", table)).await?;
            if status.text("leader")? == "true" {
                leader = at;
                break;
            }
        }
        self.nodes.get_mut(leader).ok_or_else(|| "a cluster without nodes".into())
    }
}

/// As many ports of this machine as are asked for, free a moment ago.
fn free_ports(count: usize) -> Result<Vec<u16>, Failure> {
    let listeners: Result<Vec<_>, _> =
        (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect();
    let ports = listeners?.iter().map(|listener| Ok(listener.local_addr()?.port())).collect();
    ports
}

/// A node program, which was built beside this one.
fn program(name: &str) -> Result<Command, Failure> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.is_file() {
        Ok(Command::new(path))
    } else {
        Err(format!("{} is missing: build the whole workspace, as benches/compare/run does", path.display())
            .into())
    }
}
