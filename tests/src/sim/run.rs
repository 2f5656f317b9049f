//! One run of one seed: a cluster forms, clients use it while faults happen, everything heals, and then all is checked.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Once;
use std::sync::atomic::Ordering;

use tabularaft::NodeConfig;
use tabularaft::simulation::{self, Bug};
use tokio::task::JoinHandle;

use super::clients::Clients;
use super::faults::{Fault, Faults};
use super::finish;
use super::history::History;
use super::ledger::Ledger;
use super::network::Host;
use super::oracle::{self, Holdings};
use super::perform;
use super::random::Random;
use super::stage::Stage;
use super::tally::Tally;
use super::watchdog::Watchdog;
use super::world::World;

/// How often the invariants are looked at.
const LOOK_EVERY_MS: u64 = 25;
/// How long a cluster without faults may take to form.
const FORMING_MS: u64 = 60_000;
/// How long a healed cluster may take until every node serves again.
const HEALING_MS: u64 = 120_000;
/// How long clients may take to end what they are at.
const ENDING_MS: u64 = 15_000;
const CLIENTS_PER_NODE: u64 = 2;
/// How many removals may come to be while everything is read for the last time.
const LATE_REMOVALS_MAX: usize = 3;

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Everything that happens by chance comes from it.
    pub seed: u64,
    /// How long faults happen, in simulated milliseconds.
    pub faults_ms: u64,
    /// A bug that the nodes have, which the run should find.
    pub bug: Option<Bug>,
}

/// A run that found nothing wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How long it took, in simulated milliseconds.
    pub simulated_ms: u64,
    /// A digest of everything that the network delivered, and of when.
    pub digest: u32,
    /// How much that was.
    pub delivered: u64,
    /// How many operations clients asked for, and how many took effect for certain.
    pub operations: usize,
    /// See `operations`.
    pub successes: usize,
    /// What was done to the cluster, a line each.
    pub trace: Vec<String>,
    /// How often each kind of fault was done, and what befell packets, files and nodes.
    pub tally: Tally,
}

/// A run that found something wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[error("at {at_ms} ms of seed {seed}: {why}")]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// When it was found, in simulated milliseconds.
    pub at_ms: u64,
    /// What it is.
    pub why: String,
    /// What had been done to the cluster until then, a line each.
    pub trace: Vec<String>,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, faults_ms: 12_000, bug: None }
    }

    /// The same with faults for so long.
    #[must_use]
    pub fn with_faults_ms(self, faults_ms: u64) -> Self {
        Self { faults_ms, ..self }
    }

    /// The same with nodes that have this bug.
    #[must_use]
    pub fn with_bug(self, bug: Bug) -> Self {
        Self { bug: Some(bug), ..self }
    }

    /// Runs it. All of it happens on the calling thread.
    ///
    /// # Errors
    ///
    /// What was found, and what had been done until then.
    pub fn run(&self) -> Result<Report, Failure> {
        self.run_and_record().0
    }

    /// As [`run`](Self::run), with the history of what clients asked and were told.
    pub fn run_and_record(&self) -> (Result<Report, Failure>, History) {
        note_panics();
        let mut run = Run::new(self);
        let checked = run.all();
        let failure = |why| Failure {
            seed: self.seed,
            at_ms: run.stage.world.now_ms(),
            why,
            trace: run.stage.trace.clone(),
        };
        let outcome = match checked {
            Ok(()) => Ok(run.report()),
            Err(why) => Err(failure(why)),
        };
        (outcome, History { operations: run.stage.ledger.operations() })
    }
}

struct Run {
    stage: Stage,
    clients: Clients,
    watchdog: Watchdog,
    faults: Faults,
    plan: Plan,
    running: Vec<JoinHandle<()>>,
    /// The process of each machine that has its clients, by the number of its start.
    served: BTreeSet<(Host, u64)>,
    panics: u64,
}

impl Run {
    fn new(plan: &Plan) -> Self {
        let mut random = Random::new(plan.seed, "run");
        let machines = random.between(4, 5) as usize;
        let world = World::new(plan.seed, machines, config(&mut random));
        if let Some(bug) = plan.bug {
            simulation::put_back(bug);
        }
        let clock = world.clock();
        let ledger = Ledger::new(move || clock.now_ms() * 1_000);
        Self {
            clients: Clients::new(ledger.clone()),
            stage: Stage::new(world, ledger, Random::new(plan.seed, "stage")),
            watchdog: Watchdog::default(),
            faults: Faults::new(plan.seed, 0),
            plan: plan.clone(),
            running: Vec::new(),
            served: BTreeSet::new(),
            panics: PANICS.get(),
        }
    }

    fn all(&mut self) -> Result<(), String> {
        self.form()?;
        let begin_ms = self.stage.world.now_ms();
        self.faults = Faults::new(self.plan.seed, begin_ms);
        while self.stage.world.now_ms() < begin_ms + self.plan.faults_ms {
            let situation = self.stage.situation();
            let now_ms = self.stage.world.now_ms();
            for fault in self.faults.step(now_ms, &situation) {
                self.apply(&fault)?;
            }
            self.nurse();
            self.step()?;
        }
        self.heal()?;
        self.end()
    }

    /// The first machine founds the cluster, two others join it.
    fn form(&mut self) -> Result<(), String> {
        for host in 0..3 {
            self.stage.world.start(host, (host > 0).then_some(0));
            let started = self.stage.world.wait(FORMING_MS, |world| world.nodes().count() == host + 1);
            if !started {
                return Err(format!("machine {host} does not start: {}", self.stage.diagnosis()));
            }
        }
        let prepared = self
            .stage
            .world
            .machine(1)
            .spawn(|node| async move { perform::prepare(&node).await })
            .ok_or("node 1 is gone")?;
        if !self.stage.world.wait(FORMING_MS, |_| prepared.is_finished()) {
            return Err(format!("the tables are not created: {}", self.stage.diagnosis()));
        }
        self.stage.begin();
        Ok(())
    }

    fn apply(&mut self, fault: &Fault) -> Result<(), String> {
        if *fault == Fault::Blackout {
            self.watchdog.look(&self.stage.world)?;
            self.watchdog.lose_what_was_not_synced();
        }
        self.stage.apply(fault);
        Ok(())
    }

    /// A millisecond, and a look at everything now and then.
    fn step(&mut self) -> Result<(), String> {
        self.stage.world.tick();
        self.serve();
        if self.stage.world.now_ms().is_multiple_of(LOOK_EVERY_MS) {
            self.watchdog.look(&self.stage.world)?;
            self.stage.count_ram_copies();
        }
        if PANICS.get() > self.panics {
            return Err("something panicked; see the output".to_owned());
        }
        Ok(())
    }

    /// Gives every process that has just started its clients.
    fn serve(&mut self) {
        for host in 0..self.stage.world.machines().len() {
            let machine = self.stage.world.machine(host);
            let start = (host, machine.starts);
            if machine.node().is_none() || !self.served.insert(start) {
                continue;
            }
            for number in 0..CLIENTS_PER_NODE {
                let random = Random::new(self.plan.seed, &format!("client {start:?} {number}"));
                let clients = self.clients.clone();
                let client = self.stage.world.machine(host).spawn(|node| clients.client(node, random));
                self.running.extend(client);
            }
        }
        self.running.retain(|client| !client.is_finished());
    }

    /// Processes that failed for good are started again a little later, as whoever watches over them would do.
    fn nurse(&mut self) {
        let now_ms = self.stage.world.now_ms();
        for host in self.stage.newly_failed() {
            self.faults.later(now_ms, 100, 1_500, Fault::Kill(host));
            self.faults.later(now_ms, 1_600, 3_000, Fault::Restart(host));
        }
    }

    /// Ends all faults, and waits until every machine is a member that serves.
    fn heal(&mut self) -> Result<(), String> {
        for fault in self.faults.all_ends() {
            self.stage.apply(&fault);
        }
        self.stage.make_whole();
        self.clients.calm.store(true, Ordering::Relaxed);
        let deadline = self.stage.world.now_ms() + HEALING_MS;
        while !self.stage.is_healed() {
            if self.stage.world.now_ms() > deadline {
                return Err(format!("not healed within {HEALING_MS} ms: {}", self.stage.diagnosis()));
            }
            self.stage.bring_back();
            self.nurse();
            let now_ms = self.stage.world.now_ms();
            let situation = self.stage.situation();
            self.faults.pause_until(deadline);
            for fault in self.faults.step(now_ms, &situation) {
                self.apply(&fault)?;
            }
            self.step()?;
        }
        Ok(())
    }

    /// Lets the clients end, reads everything on every node, and checks it.
    fn end(&mut self) -> Result<(), String> {
        self.clients.stop.store(true, Ordering::Relaxed);
        let deadline = self.stage.world.now_ms() + ENDING_MS;
        while self.running.iter().any(|client| !client.is_finished()) {
            if self.stage.world.now_ms() > deadline {
                return Err(format!("clients do not end: {}", self.stage.diagnosis()));
            }
            self.step()?;
        }
        let holdings = self.read_all()?;
        self.watchdog.look(&self.stage.world)?;
        let operations = self.stage.ledger.operations();
        oracle::check(&operations, self.stage.ledger.losses(), &holdings)
    }

    /// What a node was asked for while there were faults may be done after they have ended: then a machine that has lost
    /// its place meanwhile cannot read, and is brought back before all read again.
    fn read_all(&mut self) -> Result<Holdings, String> {
        for _ in 0..LATE_REMOVALS_MAX {
            match finish::read_all(&mut self.stage) {
                Err(_) if !self.stage.situation().outside.is_empty() => self.heal()?,
                read => return read,
            }
        }
        finish::read_all(&mut self.stage)
    }

    fn report(&self) -> Report {
        let (digest, delivered) = self.stage.world.network.wires().digest();
        Report {
            simulated_ms: self.stage.world.now_ms(),
            digest,
            delivered,
            operations: self.stage.ledger.operations().len(),
            successes: self.stage.ledger.successes(),
            trace: self.stage.trace.clone(),
            tally: self.tally(),
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = self.stage.tally.clone();
        tally.add(self.stage.world.network.wires().tally());
        tally.add_all(&simulation::counted());
        for machine in self.stage.world.machines() {
            tally.add(&machine.disc.tally());
        }
        tally
    }
}

/// Small limits, so that checkpoints, purges and copies happen in a run of seconds.
fn config(random: &mut Random) -> NodeConfig {
    NodeConfig {
        heartbeat_ms: 50,
        election_ms: random.between(600, 1_600),
        ram_grace_ms: 500,
        checkpoint_bytes: 64 * 1024,
        log_keep_bytes: if random.once_in(2) { 0 } else { 64 * 1024 },
        ..NodeConfig::default()
    }
}

thread_local! {
    static PANICS: Cell<u64> = const { Cell::new(0) };
}

/// A panic in a task of a node would otherwise go unseen.
fn note_panics() {
    static NOTED: Once = Once::new();
    NOTED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            before(panic);
        }));
    });
}
