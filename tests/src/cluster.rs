//! The test cluster: nodes in this process, and what goes wrong between and below them.

use std::ops::Index;
use std::sync::Arc;
use std::time::Duration;

use tabularaft::transport::Links;
use tabularaft::{JoinError, Joined, Node, NodeBuilder, NodeConfig, Record, StartError};

use crate::cluster_builder::ClusterBuilder;
use crate::copies::{Copies, copies_of};
use crate::place::Place;
use crate::test_node::TestNode;
use crate::wait::{PATIENCE, wait_for};

/// Nodes of one cluster. Indexed by number, from 0; node 0 is called `n1@localhost` and founded the cluster.
///
/// Dropping it kills all nodes.
pub struct TestCluster {
    nodes: Vec<TestNode>,
    options: Options,
}

/// What all nodes have in common.
pub(crate) struct Options {
    pub(crate) links: Arc<Links>,
    pub(crate) config: NodeConfig,
    pub(crate) diskless: bool,
    pub(crate) adapt: Arc<dyn Fn(NodeBuilder) -> NodeBuilder + Send + Sync>,
}

impl TestCluster {
    /// Describes a cluster of so many nodes.
    pub fn builder(nodes: usize) -> ClusterBuilder {
        ClusterBuilder::new(nodes)
    }

    /// A cluster of so many nodes with discs, without anything special.
    pub async fn start(nodes: usize) -> Self {
        Self::builder(nodes).start().await
    }

    pub(crate) fn new(options: Options) -> Self {
        Self { nodes: Vec::new(), options }
    }

    /// Adds a node that is not started yet, and returns its number.
    pub fn add(&mut self, name: &str) -> usize {
        let place = self.options.place();
        self.add_at(name, place)
    }

    /// As [`TestCluster::add`], with data of its own choice.
    pub fn add_at(&mut self, name: &str, place: Place) -> usize {
        let name = name.parse().expect("a node's name is name@host");
        self.nodes.push(TestNode::new(name, place));
        self.nodes.len() - 1
    }

    /// Starts a node that founds a cluster of its own.
    ///
    /// # Errors
    ///
    /// As [`NodeBuilder::start`].
    pub async fn found(&mut self, at: usize) -> Result<(), StartError> {
        self.start_with(at, |builder| builder).await
    }

    /// Starts a node that joins through another one.
    ///
    /// # Errors
    ///
    /// As [`NodeBuilder::start`].
    pub async fn start_joining(&mut self, at: usize, through: usize) -> Result<(), StartError> {
        let peer = self[through].address();
        self.start_with(at, |builder| builder.join(peer)).await
    }

    /// Starts a node again with what it has, and waits for nothing else.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn restart(&mut self, at: usize) {
        let started = self.start_with(at, |builder| builder).await;
        started.unwrap_or_else(|error| panic!("{} does not start again: {error}", self[at].name()));
    }

    /// Starts a node; `adapt` has the last word on its options.
    ///
    /// # Errors
    ///
    /// As [`NodeBuilder::start`].
    pub async fn start_with(
        &mut self,
        at: usize,
        adapt: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Result<(), StartError> {
        let (options, node) = (&self.options, self.nodes.get_mut(at).expect("the node was added"));
        let (name, address) = (node.name().clone(), node.address());
        node.start(|builder| adapt(options.apply(builder, &name, &address))).await
    }

    /// Joins a running node to the cluster of another one.
    ///
    /// # Errors
    ///
    /// As [`Node::join`].
    pub async fn join(&self, at: usize, through: usize) -> Result<Joined, JoinError> {
        let peer = self[through].address();
        self[at].run(|node| async move { node.join(&peer).await }).await
    }

    /// Kills a node's process.
    pub async fn kill(&mut self, at: usize) {
        self.node_mut(at).kill().await;
    }

    /// Kills a node's process together with its machine: what its log had not synced is gone, and the boot id changes.
    pub async fn crash_machine(&mut self, at: usize) {
        self.node_mut(at).crash_machine().await;
    }

    /// Gives the machine of a dead node another boot id.
    pub fn reboot_machine(&mut self, at: usize) {
        self.node_mut(at).reboot_machine();
    }

    /// Stops a node in good order.
    pub async fn stop(&mut self, at: usize) {
        self.node_mut(at).stop().await.expect("a shutdown has no error");
    }

    fn node_mut(&mut self, at: usize) -> &mut TestNode {
        self.nodes.get_mut(at).expect("the node was added")
    }

    /// Cuts all links between nodes of different groups.
    pub fn partition(&self, groups: &[&[usize]]) {
        for (number, group) in groups.iter().enumerate() {
            for other in groups.iter().skip(number + 1) {
                for (a, b) in group.iter().flat_map(|a| other.iter().map(move |b| (*a, *b))) {
                    self.options.links.block(self[a].name(), self[b].name());
                    self.options.links.block(self[b].name(), self[a].name());
                }
            }
        }
    }

    /// Cuts all links of a node.
    pub fn isolate(&self, at: usize) {
        self.options.links.isolate(self[at].name());
    }

    /// Ends the isolation of a node.
    pub fn rejoin(&self, at: usize) {
        self.options.links.rejoin(self[at].name());
    }

    /// Heals all links.
    pub fn heal(&self) {
        self.options.links.heal_all();
    }

    /// The settings that all nodes have in common.
    pub fn config(&self) -> &NodeConfig {
        &self.options.config
    }

    /// The links, for faults in one direction, and delays.
    pub fn links(&self) -> &Links {
        &self.options.links
    }

    /// The numbers of the nodes whose processes run.
    pub fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|at| self[*at].is_running()).collect()
    }

    /// The running nodes.
    pub fn handles(&self) -> Vec<Node> {
        self.nodes.iter().filter(|node| node.is_running()).map(|node| node.node().clone()).collect()
    }

    /// Creates a table through the first running node and waits until all running nodes can read it.
    ///
    /// # Panics
    ///
    /// When that does not succeed.
    pub async fn create<R: Record>(&self) {
        let running = self.handles();
        let first = running.first().expect("a node runs");
        first.create_table::<R>().await.expect("the table is created");
        let name = R::table_def().name;
        for node in running {
            node.wait_for_tables(&[name.as_str()], PATIENCE).await.expect("the table is ready");
        }
    }

    /// Waits until all running nodes have a leader and all of their tables.
    ///
    /// # Panics
    ///
    /// When one is not ready in time, with its diagnosis.
    pub async fn wait_ready(&self) {
        for node in self.handles() {
            node.wait_for_tables(&[], PATIENCE)
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", node.name()));
        }
    }

    /// Waits until all running nodes agree on a running leader, and returns its number.
    pub async fn wait_leader(&self) -> usize {
        self.wait_leader_among(&self.running()).await
    }

    /// Waits until these nodes agree on one of them as their leader.
    pub async fn wait_leader_among(&self, nodes: &[usize]) -> usize {
        wait_for("the nodes agree on a leader", PATIENCE, || self.agreed_leader(nodes)).await
    }

    fn agreed_leader(&self, nodes: &[usize]) -> Result<usize, String> {
        let ids: Vec<_> =
            nodes.iter().map(|at| self[*at].node().incarnation().map(|life| life.node)).collect();
        let leaders: Vec<_> = nodes.iter().map(|at| self[*at].node().leader()).collect();
        let leading = nodes.iter().find(|at| self[**at].node().is_leader()).copied();
        let leader = leading.and_then(|at| self[at].node().incarnation()).map(|life| life.node);
        match leading {
            Some(at) if leaders.iter().all(|seen| *seen == leader) => Ok(at),
            _ => Err(format!("nodes {ids:?} follow {leaders:?}")),
        }
    }

    /// Waits until all running nodes have applied the same index, with all of their tables loaded, and checks that
    /// what they hold is equal. Returns it.
    ///
    /// # Panics
    ///
    /// When the copies differ, or the nodes do not come to the same index.
    pub async fn wait_equal_copies(&self) -> Copies {
        let all = wait_for("all nodes have applied the same index", PATIENCE, || {
            let all: Vec<Copies> = self.handles().iter().map(copies_of).collect::<Result<_, _>>()?;
            let applied: Vec<u64> = all.iter().map(|copies| copies.applied).collect();
            let same = applied.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
            if same { Ok(all) } else { Err(format!("applied {applied:?}")) }
        })
        .await;
        let first = all.first().expect("a node runs").clone();
        for (copies, node) in all.iter().zip(self.handles()) {
            assert_eq!(*copies, first, "the copies of {} differ from the first node's", node.name());
        }
        first
    }

    /// Waits until every running node has applied `index`.
    pub async fn wait_applied(&self, index: u64, within: Duration) {
        wait_for("all nodes have applied an index", within, || {
            let applied: Vec<u64> = self.handles().iter().map(|node| node.applied().0).collect();
            if applied.iter().all(|at| *at >= index) {
                Ok(())
            } else {
                Err(format!("{index}: applied {applied:?}"))
            }
        })
        .await;
    }
}

impl Index<usize> for TestCluster {
    type Output = TestNode;

    fn index(&self, at: usize) -> &TestNode {
        self.nodes.get(at).expect("the node was added")
    }
}
