//! One simulated machine: a disc, an address, and most of the time a process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tabularaft::{Node, NodeBuilder, NodeName, StartError};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::disc::SimDisc;
use super::network::{Host, SimNetwork};
use super::random::Random;
use super::stream::Socket;
use super::threads::SimThreads;

/// A machine of a simulated cluster.
pub(super) struct Machine {
    pub(super) number: Host,
    pub(super) name: NodeName,
    pub(super) address: SocketAddr,
    pub(super) disc: SimDisc,
    network: SimNetwork,
    seed: u64,
    /// Counts the starts of the machine: the boot id changes with it.
    boots: u32,
    /// Counts the starts of processes.
    pub(super) starts: u64,
    process: Option<Process>,
}

/// Everything that ends with the process.
struct Process {
    runtime: Runtime,
    alive: Arc<AtomicBool>,
    threads: SimThreads,
    start: Start,
    /// For so long it has been stopped, as by SIGSTOP, if it is.
    stopped_ms: Option<u64>,
}

enum Start {
    UnderWay(JoinHandle<Result<Node, StartError>>),
    Done(Node),
    Failed(String),
}

impl Machine {
    pub(super) fn new(number: Host, seed: u64, network: &SimNetwork) -> Self {
        let name = format!("n{}@localhost", number + 1);
        let address = SocketAddr::from(([127, 0, 0, number as u8 + 1], 7100));
        network.wires().add_machine(number, address);
        Self {
            number,
            name: name.parse().expect("a name is name@host"),
            address,
            disc: SimDisc::new(Random::new(seed, &format!("disc {number}"))),
            network: network.clone(),
            seed,
            boots: 1,
            starts: 0,
            process: None,
        }
    }

    /// Starts the process; `adapt` completes its options.
    pub(super) fn start(&mut self, adapt: impl FnOnce(NodeBuilder) -> NodeBuilder) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        self.starts += 1;
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without I/O needs nothing of the system");
        let alive = Arc::new(AtomicBool::new(true));
        let random = Random::new(self.seed, &format!("threads {} {}", self.number, self.starts));
        let threads = SimThreads::new(random);
        let builder = Node::builder(self.name.to_string())
            .listen(self.address.to_string())
            .data_dir(Path::new("/data"))
            .disc(Arc::new(self.disc.mount(Arc::clone(&alive))))
            .threads(Arc::new(threads.clone()))
            .network(Arc::new(Socket { network: self.network.clone(), host: self.number }))
            .boot_id(format!("boot {} of {}", self.boots, self.name));
        let start = Start::UnderWay(runtime.spawn(adapt(builder).start()));
        self.process = Some(Process { runtime, alive, threads, start, stopped_ms: None });
    }

    /// Lets the process run for a millisecond.
    pub(super) fn tick(&mut self, now_ms: u64) {
        self.run(now_ms);
        if self.disc.has_lost_power() {
            self.lose_power();
        }
    }

    fn run(&mut self, now_ms: u64) {
        let Some(process) = &mut self.process else { return };
        if let Some(stopped_ms) = &mut process.stopped_ms {
            *stopped_ms += 1;
            return;
        }
        process.threads.turn(now_ms);
        if self.disc.has_lost_power() {
            return;
        }
        process.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        if let Start::UnderWay(started) = &mut process.start
            && started.is_finished()
        {
            process.start = match process.runtime.block_on(started) {
                Ok(Ok(node)) => Start::Done(node),
                Ok(Err(error)) => Start::Failed(error.to_string()),
                Err(error) => Start::Failed(error.to_string()),
            };
        }
    }

    /// Whether there is a process, stopped or not.
    pub(super) fn has_process(&self) -> bool {
        self.process.is_some()
    }

    /// The node, if its process has started and is not stopped.
    pub(super) fn node(&self) -> Option<&Node> {
        match self.process.as_ref().filter(|process| process.stopped_ms.is_none())?.start {
            Start::Done(ref node) => Some(node),
            Start::UnderWay(_) | Start::Failed(_) => None,
        }
    }

    /// The node, if its process has started, stopped or not.
    pub(super) fn any_node(&self) -> Option<&Node> {
        match &self.process.as_ref()?.start {
            Start::Done(node) => Some(node),
            Start::UnderWay(_) | Start::Failed(_) => None,
        }
    }

    /// Why the process did not start.
    pub(super) fn start_error(&self) -> Option<&str> {
        match &self.process.as_ref()?.start {
            Start::Failed(error) => Some(error),
            Start::UnderWay(_) | Start::Done(_) => None,
        }
    }

    /// Runs something in the process, if it has started; it dies with it.
    pub(super) fn spawn<T, F>(&self, act: impl FnOnce(Node) -> F) -> Option<JoinHandle<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let process = self.process.as_ref()?;
        match &process.start {
            Start::Done(node) => Some(process.runtime.spawn(act(node.clone()))),
            Start::UnderWay(_) | Start::Failed(_) => None,
        }
    }

    /// Makes every piece of work of the disc slower.
    pub(super) fn slow_down(&self, slow_ms: u64) {
        if let Some(process) = &self.process {
            process.threads.slow_down(slow_ms);
        }
    }

    /// Stops the process where it is.
    pub(super) fn stop(&mut self) {
        if let Some(process) = &mut self.process {
            process.stopped_ms.get_or_insert(0);
        }
    }

    /// Whether the process is stopped.
    pub(super) fn is_stopped(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.stopped_ms.is_some())
    }

    /// Lets a stopped process go on; to it no time has passed, but its clock has gone on.
    pub(super) fn resume(&mut self) {
        if let Some(process) = &mut self.process
            && let Some(stopped_ms) = process.stopped_ms.take()
        {
            let stopped = Duration::from_millis(stopped_ms);
            process.runtime.block_on(async { tokio::time::advance(stopped).await });
        }
    }

    /// Kills the process.
    pub(super) fn kill(&mut self) {
        self.network.wires().process_died(self.number);
        self.end_process();
    }

    /// Takes the power from the machine.
    pub(super) fn lose_power(&mut self) {
        self.network.wires().power_failed(self.number);
        self.end_process();
        self.disc.lose_power();
        self.boots += 1;
    }

    /// Gives the machine power again; its process is started as after a kill.
    pub(super) fn power_up(&mut self) {
        self.network.wires().power_returned(self.number);
    }

    /// Nothing of it reaches the disc or the network any more, whatever its destructors try.
    fn end_process(&mut self) {
        let Some(Process { runtime, alive, threads, start, .. }) = self.process.take() else { return };
        alive.store(false, Ordering::Relaxed);
        threads.kill();
        let remains = match &start {
            Start::Done(node) => Some(node.die()),
            Start::UnderWay(_) | Start::Failed(_) => None,
        };
        drop(runtime);
        if let Some(remains) = remains {
            remains.bury();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.end_process();
    }
}
