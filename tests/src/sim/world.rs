//! All machines, the network between them, and the one clock.

use tabularaft::{LocalData, Node, NodeBuilder, NodeConfig, simulation};

use super::clock::{Clock, note_turn};
use super::machine::Machine;
use super::network::{Host, SimNetwork};
use super::random::Random;

/// The time of day at which every simulation begins: some moment in 2026, in milliseconds since 1970.
const BEGINNING_UNIX_MS: u64 = 1_790_000_000_000;

/// A simulated world. It owns the time and the randomness of its thread as long as it exists.
pub(super) struct World {
    clock: Clock,
    pub(super) network: SimNetwork,
    machines: Vec<Machine>,
    config: NodeConfig,
    /// By how much the time of day is off.
    day_offset_ms: i64,
}

impl World {
    /// So many machines, none of them running yet.
    pub(super) fn new(seed: u64, machines: usize, config: NodeConfig) -> Self {
        simulation::begin(seed);
        let network = SimNetwork::new(Random::new(seed, "network"));
        let machines = (0..machines).map(|number| Machine::new(number, seed, &network)).collect();
        let mut world = Self { clock: Clock::default(), network, machines, config, day_offset_ms: 0 };
        world.set_day();
        world
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    pub(super) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// # Panics
    ///
    /// When there is no such machine.
    pub(super) fn machine(&mut self, host: Host) -> &mut Machine {
        self.machines.get_mut(host).expect("machines are never taken away")
    }

    /// The nodes that run, with their machines' numbers.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (Host, &Node)> {
        self.machines.iter().filter_map(|machine| Some((machine.number, machine.node()?)))
    }

    /// Starts a machine's process with what is on its disc; a new one founds a cluster, or joins that of `join`.
    pub(super) fn start(&mut self, host: Host, join: Option<Host>) {
        let config = self.config.clone();
        let peer = join.and_then(|host| self.machines.get(host)).map(|peer| peer.address.to_string());
        self.machine(host).start(|builder: NodeBuilder| {
            let builder = builder.config(config);
            match peer {
                // Only a node that was removed, or has left, has anything to lose.
                Some(peer) => builder.join(peer).on_local_data(LocalData::Discard),
                None => builder,
            }
        });
    }

    /// One millisecond for everybody.
    pub(super) fn tick(&mut self) {
        let now_ms = self.clock.tick();
        self.set_day();
        self.network.wires().advance(now_ms);
        for machine in &mut self.machines {
            note_turn(now_ms, machine.number);
            machine.tick(now_ms);
        }
    }

    /// Lets time pass until `is_so`, or until `within_ms` are over; whether it came to be.
    pub(super) fn wait(&mut self, within_ms: u64, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        let deadline = self.now_ms() + within_ms;
        loop {
            if is_so(self) {
                return true;
            }
            if self.now_ms() >= deadline {
                return false;
            }
            self.tick();
        }
    }

    /// Lets the time of day jump.
    pub(super) fn jump(&mut self, by_ms: i64) {
        self.day_offset_ms += by_ms;
        self.set_day();
    }

    fn set_day(&mut self) {
        let day = BEGINNING_UNIX_MS + self.now_ms();
        simulation::set_unix_ms(day.saturating_add_signed(self.day_offset_ms));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Nodes that end draw numbers too.
        self.machines.clear();
        simulation::end();
    }
}
