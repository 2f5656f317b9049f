//! The nodes of the demo: where they live, which of them run, and how to talk to them.

use std::path::PathBuf;
use std::time::Duration;

use tabularaft::admin::AdminClient;
use tabularaft::schema::NodeName;
use tempfile::TempDir;

use crate::failure::{Context, Failure, Outcome};
use crate::output;

use super::Steps;
use super::process::{NodeProcess, Start, log_tail};

/// How long an answer may take. Generous, because a write waits for the next leader when one is killed.
const TIMEOUT: Duration = Duration::from_secs(20);

/// All nodes of the demo, running or not.
pub(super) struct Nodes {
    nodes: Vec<DemoNode>,
    dir: TempDir,
}

struct DemoNode {
    name: NodeName,
    data_dir: PathBuf,
    log: PathBuf,
    /// Port 0 until it is known which one the node got, so that it comes back where it was.
    listen: String,
    process: Option<NodeProcess>,
}

impl Nodes {
    /// So many nodes in a new temporary directory; none runs yet.
    pub(super) fn new(count: u8) -> Outcome<Self> {
        let dir = tempfile::Builder::new().prefix("tabularaft-demo-").tempdir();
        let dir = dir.context("cannot make a temporary directory")?;
        let nodes = (1..=count).map(|number| DemoNode::new(number, &dir)).collect::<Outcome<_>>()?;
        Ok(Self { nodes, dir })
    }

    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The places of all nodes, from 0.
    pub(super) fn places(&self) -> std::ops::Range<usize> {
        0..self.nodes.len()
    }

    pub(super) fn dir(&self) -> String {
        self.dir.path().display().to_string()
    }

    pub(super) fn name(&self, place: usize) -> Outcome<NodeName> {
        Ok(self.node(place)?.name.clone())
    }

    pub(super) fn address(&self, place: usize) -> Outcome<String> {
        Ok(self.node(place)?.listen.clone())
    }

    /// The place of the node with this name.
    pub(super) fn place_of(&self, name: &NodeName) -> Outcome<usize> {
        let place = self.nodes.iter().position(|node| node.name == *name);
        place.ok_or_else(|| Failure::new(format_args!("{name} is no node of the demo")))
    }

    /// Starts a node, joining through another if one is given, and waits until it serves. Returns what to say
    /// about it.
    pub(super) async fn start(&mut self, place: usize, join: Option<usize>) -> Outcome<String> {
        let peer = join.map(|peer| self.address(peer)).transpose()?;
        let node = self.node_mut(place)?;
        let start = Start {
            name: node.name.as_str(),
            listen: &node.listen,
            data_dir: &node.data_dir,
            log: &node.log,
            join: peer.as_deref(),
        };
        let process = NodeProcess::start(&start).await?;
        let ready = process.ready.clone();
        node.listen = ready.listen.clone();
        node.process = Some(process);
        Ok(format!("{} serves on {}, incarnation {}", node.name, ready.listen, ready.incarnation))
    }

    /// SIGKILL for one node.
    pub(super) async fn kill_one(&mut self, place: usize) -> Outcome {
        match self.node_mut(place)?.process.take() {
            Some(mut process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// A connection to one node.
    pub(super) async fn client(&self, place: usize) -> Outcome<AdminClient> {
        Ok(AdminClient::connect(&self.address(place)?, None, TIMEOUT).await?)
    }

    /// Stops all nodes as an operator would, with SIGTERM.
    pub(super) async fn stop(mut self, steps: &mut Steps) -> Outcome {
        steps.begin("The nodes are stopped with SIGTERM")?;
        for node in &mut self.nodes {
            let Some(mut process) = node.process.take() else { continue };
            let status = process.stop().await?;
            if !status.success() {
                eprint!("{}", log_tail(node.name.as_str(), &node.log));
                return Err(Failure::new(format_args!("{} did not stop cleanly: {status}", node.name)));
            }
            steps.saw(&format!("{} stopped, {status}", node.name))?;
        }
        output::print(
            "\nall copies are equal, all nodes stopped; `store-admin demo --keep` leaves them running\n",
        )
    }

    /// Ends all nodes at once. The directory must not vanish under a process that still writes, hence the
    /// waiting.
    pub(super) async fn kill(mut self) {
        for node in &mut self.nodes {
            if let Some(mut process) = node.process.take() {
                // It may have ended already; what failed before is what is reported.
                let _ = process.kill().await;
            }
        }
    }

    /// Leaves all nodes running and prints what can be done with them.
    pub(super) fn keep(mut self) -> Outcome {
        let mut pids = Vec::new();
        for node in &mut self.nodes {
            if let Some(process) = &mut node.process {
                process.keep();
                pids.extend(process.id().map(|id| id.to_string()));
            }
        }
        self.dir.disable_cleanup(true);
        output::print(&self.commands_to_try(&pids)?)
    }

    fn commands_to_try(&self, pids: &[String]) -> Outcome<String> {
        let (first, last) = (self.address(0)?, self.address(self.count() - 1)?);
        let dir = self.dir();
        let pids = pids.join(" ");
        Ok(format!(
            "\nall copies are equal; the nodes are left running, their data and logs are in {dir}\n\n\
             export STORE_NODE={first}\n\
             store-admin cluster status\n\
             store-admin table list\n\
             store-admin get account 7\n\
             store-admin scan account --from 10 --to 13\n\
             store-admin put account '{{\"id\":7,\"owner\":\"you\",\"balance\":-1}}'\n\
             store-admin get account 7 --node {last} --read linearizable\n\
             store-admin dump session\n\
             store-admin verify\n\n\
             kill {pids}; rm -r {dir}    # to end it\n"
        ))
    }

    /// What the nodes said last.
    pub(super) fn log_tails(&self) -> String {
        self.nodes.iter().map(|node| log_tail(node.name.as_str(), &node.log)).collect()
    }

    fn node(&self, place: usize) -> Outcome<&DemoNode> {
        self.nodes.get(place).ok_or_else(|| no_such(place))
    }

    fn node_mut(&mut self, place: usize) -> Outcome<&mut DemoNode> {
        self.nodes.get_mut(place).ok_or_else(|| no_such(place))
    }
}

fn no_such(place: usize) -> Failure {
    Failure::new(format_args!("the demo has no node {}", place + 1))
}

impl DemoNode {
    fn new(number: u8, dir: &TempDir) -> Outcome<Self> {
        let name = NodeName::new(&format!("n{number}@127.0.0.1")).map_err(Failure::new)?;
        Ok(Self {
            name,
            data_dir: dir.path().join(format!("n{number}")),
            log: dir.path().join(format!("n{number}.log")),
            listen: "127.0.0.1:0".into(),
            process: None,
        })
    }
}
