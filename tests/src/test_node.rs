//! One node of a test cluster: a place, a port, and most of the time a process, of which a runtime takes the part.

use std::sync::Arc;
use std::time::Duration;

use tabularaft::store::disc::FaultyDisc;
use tabularaft::store::log::SyncedMark;
use tabularaft::{Error, Node, NodeBuilder, NodeName};
use tokio::runtime::{Builder, Runtime};

use crate::place::Place;
use crate::reserved_port::ReservedPort;
use crate::wait::{PATIENCE, eventually};

/// How long blocking work of a dead node's runtime may take to end.
const SHUTDOWN: Duration = Duration::from_secs(20);

/// A node that can die and come back.
pub struct TestNode {
    name: NodeName,
    place: Place,
    port: ReservedPort,
    disc: Arc<FaultyDisc>,
    /// Counts the starts of the machine: the boot id changes with it.
    boots: u32,
    process: Option<Process>,
}

/// Everything that ends with the process: the node's tasks and sockets live on this runtime.
struct Process {
    node: Node,
    runtime: Runtime,
}

impl TestNode {
    pub(crate) fn new(name: NodeName, place: Place) -> Self {
        let port = ReservedPort::take().expect("loopback has free ports");
        Self { name, place, port, disc: Arc::default(), boots: 1, process: None }
    }

    /// The node's name.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// Where it listens, or will.
    pub fn address(&self) -> String {
        self.port.address().to_string()
    }

    /// Where it keeps its data.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The faults of its disc.
    pub fn disc(&self) -> &FaultyDisc {
        &self.disc
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The running node.
    ///
    /// # Panics
    ///
    /// When its process does not run.
    pub fn node(&self) -> &Node {
        &self.process().node
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap_or_else(|| panic!("{} is not running", self.name))
    }

    /// Starts the process; `adapt` has the last word on its options.
    pub(crate) async fn start(
        &mut self,
        adapt: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Result<(), tabularaft::StartError> {
        assert!(self.process.is_none(), "{} runs already", self.name);
        let builder = Node::builder(self.name.to_string())
            .listen(self.address())
            .disc(Arc::clone(&self.disc) as _)
            .boot_id(format!("boot {} of {}", self.boots, self.name));
        let builder = match &self.place {
            Place::Disc(dir) => builder.data_dir(dir.path()),
            Place::Diskless => builder.diskless(),
        };
        let runtime = self.runtime();
        let started = runtime.spawn(adapt(builder).start()).await.expect("a start does not panic");
        match started {
            Ok(node) => {
                self.process = Some(Process { node, runtime });
                Ok(())
            }
            Err(error) => {
                end(runtime).await;
                Err(error)
            }
        }
    }

    fn runtime(&self) -> Runtime {
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(2).thread_name(self.name.to_string()).enable_all();
        runtime.build().expect("the system has threads")
    }

    /// Does something on the node's own runtime: what it starts there dies with the node. Everything that changes the
    /// membership of this node must be done so.
    ///
    /// # Errors
    ///
    /// What `act` brings.
    ///
    /// # Panics
    ///
    /// When `act` does.
    pub async fn run<T, F>(&self, act: impl FnOnce(Node) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let process = self.process();
        let outcome = process.runtime.spawn(act(process.node.clone())).await;
        outcome.expect("neither the action panics nor does the node die meanwhile")
    }

    /// As [`TestNode::run`], without waiting for the end; the outcome never comes if the node dies meanwhile.
    pub fn begin<T, F>(&self, act: impl FnOnce(Node) -> F) -> tokio::task::JoinHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let process = self.process();
        process.runtime.spawn(act(process.node.clone()))
    }

    /// Kills the process at once: nothing that waits is written, sockets close, the lock of the directory is gone.
    /// Returns up to where its log was synced.
    pub(crate) async fn kill(&mut self) -> Option<SyncedMark> {
        let Process { node, runtime } =
            self.process.take().unwrap_or_else(|| panic!("{} is dead already", self.name));
        let remains = tokio::task::spawn_blocking(move || node.die()).await.expect("dying does not panic");
        end(runtime).await;
        remains.bury();
        eventually("nothing holds the files of the killed node", PATIENCE, || remains.is_gone()).await;
        remains.synced
    }

    /// Kills the process and takes back what no sync covered; the machine's next boot has another id.
    pub(crate) async fn crash_machine(&mut self) {
        let synced = self.kill().await;
        if let Some(synced) = synced {
            self.place.lose_power(synced);
        }
        self.boots += 1;
    }

    /// As when the machine is rebooted while the node's process is dead.
    pub(crate) fn reboot_machine(&mut self) {
        assert!(self.process.is_none(), "the machine of a running node does not reboot");
        self.boots += 1;
    }

    /// Stops the process in good order.
    pub(crate) async fn stop(&mut self) -> Result<(), Error> {
        self.run(|node| async move { node.shutdown().await }).await;
        if let Some(Process { runtime, .. }) = self.process.take() {
            end(runtime).await;
        }
        Ok(())
    }
}

/// Ends a runtime from within another one.
async fn end(runtime: Runtime) {
    let ended = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(SHUTDOWN));
    ended.await.expect("ending a runtime does not panic");
}

impl Drop for TestNode {
    fn drop(&mut self) {
        let Some(Process { node, runtime }) = self.process.take() else { return };
        // A runtime must not be ended on a thread of another one.
        let ending = std::thread::spawn(move || {
            let remains = node.die();
            runtime.shutdown_timeout(SHUTDOWN);
            remains.bury();
        });
        let _ = ending.join();
    }
}
