//! The cluster as the faults see it: who is a member, who is well, and how a fault is done to them.

use std::collections::{BTreeMap, BTreeSet};

use tabularaft::simulation::{self, Affliction};
use tabularaft::{CopyMode, LocalData, Node, NodeName, TableDef, TableName};

use super::faults::{Fault, Situation};
use super::ledger::Ledger;
use super::network::Host;
use super::random::Random;
use super::tally::Tally;
use super::world::World;

/// Changes of how a node holds a table.
const COPIES: [(&str, CopyMode); 6] = [
    ("disc_word", CopyMode::DiscOnly),
    ("disc_word", CopyMode::Disc),
    ("disc_only_word", CopyMode::Disc),
    ("disc_only_word", CopyMode::DiscOnly),
    ("disc_count", CopyMode::DiscOnly),
    ("disc_event", CopyMode::DiscOnly),
];

/// How long to wait before a machine is asked to join again.
const JOIN_EVERY_MS: u64 = 3_000;

/// The world, and what has been done to it.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) ledger: Ledger,
    /// What was done, a line each.
    pub(super) trace: Vec<String>,
    /// How often each kind of fault was done.
    pub(super) tally: Tally,
    random: Random,
    /// The cluster that all belong to in the end.
    cluster: u128,
    /// Processes that were noticed to have failed, by the number of their start.
    failed: BTreeSet<(Host, u64)>,
    /// When each machine was last asked to join.
    asked: BTreeMap<Host, u64>,
}

impl Stage {
    pub(super) fn new(world: World, ledger: Ledger, random: Random) -> Self {
        Self {
            world,
            ledger,
            trace: Vec::new(),
            tally: Tally::default(),
            random,
            cluster: 0,
            failed: BTreeSet::new(),
            asked: BTreeMap::new(),
        }
    }

    /// The cluster has formed.
    pub(super) fn begin(&mut self) {
        let standing = self.world.nodes().find_map(|(_, node)| node.standing());
        self.cluster = standing.map_or(0, |standing| standing.cluster);
    }

    /// Who is who.
    pub(super) fn situation(&self) -> Situation {
        let names = self.member_names();
        let is_member = |host: &Host| names.contains(&self.name(*host));
        let hosts = || 0..self.world.machines().len();
        Situation {
            sound: hosts().filter(is_member).filter(|host| self.is_sound(*host)).collect(),
            members: hosts().filter(is_member).collect(),
            outside: hosts().filter(|host| !is_member(host)).collect(),
            leader: self.leader(),
        }
    }

    fn name(&self, host: Host) -> NodeName {
        let machine = self.world.machines().get(host).expect("hosts are machines");
        machine.name.clone()
    }

    /// As the node says that has seen most of the cluster.
    fn member_names(&self) -> BTreeSet<NodeName> {
        self.newest().map(|node| node.members().into_iter().collect()).unwrap_or_default()
    }

    /// The id under which the cluster knows the member on this machine, as that node says.
    fn place(&self, host: Host) -> Option<u64> {
        let view = self.newest()?.store_view()?;
        view.system().member_named(&self.name(host)).map(|(id, _)| id)
    }

    /// The node that has seen most of the cluster.
    fn newest(&self) -> Option<&Node> {
        let standings = self.world.nodes().filter_map(|(_, node)| Some((node.standing()?, node)));
        let of_cluster = standings.filter(|(standing, _)| standing.cluster == self.cluster);
        of_cluster.max_by_key(|(standing, _)| standing.applied).map(|(_, node)| node)
    }

    /// The leader of the newest term that any machine leads in.
    fn leader(&self) -> Option<Host> {
        let standings = self.world.nodes().filter_map(|(host, node)| Some((host, node.standing()?)));
        let leaders = standings.filter(|(_, standing)| standing.leads && standing.cluster == self.cluster);
        leaders.max_by_key(|(_, standing)| standing.term).map(|(host, _)| host)
    }

    fn node(&self, host: Host) -> Option<&Node> {
        self.world.machines().get(host)?.node()
    }

    /// Whether a machine's process runs undisturbed as part of the cluster, with its tables loaded.
    fn is_sound(&self, host: Host) -> bool {
        let Some(node) = self.node(host).filter(|_| !self.is_losing_power(host)) else { return false };
        let in_order = node.standing().is_some_and(|standing| {
            // A node may go on for a while under an id that the cluster has taken from it.
            let has_place = self.place(host) == Some(standing.node);
            standing.failure.is_none() && standing.cluster == self.cluster && has_place
        });
        in_order && node.store_view().is_some_and(|view| view.tables().all(|copy| copy.is_ready()))
    }

    fn is_losing_power(&self, host: Host) -> bool {
        self.world.machines().get(host).is_some_and(|machine| machine.disc.is_losing_power())
    }

    fn sound(&mut self) -> Option<Host> {
        let sound: Vec<Host> = self.situation().sound.into_iter().collect();
        self.random.pick(&sound).copied()
    }

    /// Processes that failed for good since this was last asked.
    pub(super) fn newly_failed(&mut self) -> Vec<Host> {
        let mut failed = Vec::new();
        for machine in self.world.machines() {
            let standing = machine.node().and_then(Node::standing);
            let why = standing.and_then(|standing| standing.failure);
            let why = why.or_else(|| machine.start_error().map(str::to_owned));
            if let Some(why) = why
                && self.failed.insert((machine.number, machine.starts))
            {
                failed.push((machine.number, why));
            }
        }
        for (host, why) in &failed {
            self.note(&format!("machine {host} failed: {why}"));
        }
        failed.into_iter().map(|(host, _)| host).collect()
    }

    fn note(&mut self, what: &str) {
        self.trace.push(format!("{:>7} ms  {what}", self.world.now_ms()));
    }

    /// When no process has a copy of a ram table any more, its records are lost, and nobody promised otherwise.
    pub(super) fn count_ram_copies(&mut self) {
        let mut ready: BTreeMap<String, usize> = BTreeMap::new();
        for machine in self.world.machines() {
            let Some(view) = machine.any_node().and_then(Node::store_view) else { continue };
            for copy in view.tables().filter(|copy| copy.def().name.as_str().starts_with("ram")) {
                *ready.entry(copy.def().name.to_string()).or_default() += usize::from(copy.is_ready());
            }
        }
        if ready.is_empty() || ready.values().any(|copies| *copies == 0) {
            if self.ledger.losses() == 0 {
                self.note("no copy of a ram table is left");
            }
            self.ledger.lose_ram();
        }
    }

    /// Does a fault, if it can be done.
    pub(super) fn apply(&mut self, fault: &Fault) {
        self.note(&format!("{fault:?}"));
        if let Some(kind) = fault.kind() {
            self.tally.count(kind);
        }
        match fault {
            Fault::Kill(host) => self.world.machine(*host).kill(),
            Fault::LosePower(host) => self.world.machine(*host).lose_power(),
            Fault::LosePowerAtSync(host) => self.world.machine(*host).disc.lose_power_at_sync(),
            Fault::Restart(host) => self.restart(*host),
            Fault::Stop(host) => self.world.machine(*host).stop(),
            Fault::Resume(host) => self.world.machine(*host).resume(),
            Fault::Split(cut) => self.split(cut),
            Fault::BlockOneWay(from, to) => self.world.network.wires().block(*from, *to),
            Fault::Part(a, b) => {
                let mut wires = self.world.network.wires();
                wires.block(*a, *b);
                wires.block(*b, *a);
            }
            Fault::Depose => {
                if let Some(leader) = self.leader() {
                    self.split(&[leader]);
                }
            }
            Fault::Starve(host) => self.afflict(Affliction::Starved, *host),
            Fault::Feed => simulation::relieve(Affliction::Starved),
            Fault::Forget(host) => self.afflict(Affliction::Forgetful, *host),
            Fault::Remember => simulation::relieve(Affliction::Forgetful),
            Fault::Heal => self.world.network.wires().heal(),
            Fault::Break(a, b) => self.world.network.wires().break_between(*a, *b),
            Fault::Disturb { slow_ms, loses_one_in } => {
                self.world.network.wires().disturb(*slow_ms, *loses_one_in);
            }
            Fault::SlowDisc(host, slow_ms) => self.world.machine(*host).slow_down(*slow_ms),
            Fault::FullDisc(host) => self.world.machine(*host).disc.set_full(true),
            Fault::Space(host) => self.world.machine(*host).disc.set_full(false),
            Fault::FailSync(host) => self.world.machine(*host).disc.fail_next_sync(true),
            Fault::Jump(by_ms) => self.world.jump(*by_ms),
            Fault::Join(host) => self.join(*host),
            Fault::Leave(host) => {
                drop(self.world.machine(*host).spawn(|node| async move { node.leave().await }));
            }
            Fault::Remove(host) => self.remove(*host),
            Fault::Table(number) => self.change_table(*number),
            Fault::Copy(host, number) => self.change_copy(*host, *number),
            Fault::Blackout => {
                for host in 0..self.world.machines().len() {
                    self.world.machine(host).lose_power();
                }
            }
            Fault::KillAll => {
                for host in 0..self.world.machines().len() {
                    self.world.machine(host).kill();
                }
            }
        }
        self.count_ram_copies();
    }

    fn restart(&mut self, host: Host) {
        let peer = self.situation().members.into_iter().find(|peer| *peer != host).or(Some(0));
        let machine = self.world.machine(host);
        machine.disc.keep_power();
        machine.power_up();
        if !machine.has_process() {
            // The founder of the cluster would otherwise never be the one that founds it.
            self.world.start(host, peer.filter(|peer| host != 0 && *peer != host));
        }
    }

    fn afflict(&self, affliction: Affliction, host: Host) {
        if let Some(standing) = self.node(host).and_then(Node::standing) {
            simulation::afflict(affliction, standing.node);
        }
    }

    fn split(&mut self, cut: &[Host]) {
        let mut wires = self.world.network.wires();
        for host in 0..self.world.machines().len() {
            for other in cut.iter().filter(|_| !cut.contains(&host)) {
                wires.block(host, *other);
                wires.block(*other, host);
            }
        }
    }

    fn join(&mut self, host: Host) {
        let Some(peer) = self.sound().filter(|peer| *peer != host) else { return };
        if !self.world.machine(host).has_process() {
            return self.world.start(host, Some(peer));
        }
        let address = self.world.machine(peer).address.to_string();
        let joining = self
            .world
            .machine(host)
            .spawn(|node| async move { node.join_with(&address, LocalData::Discard).await });
        drop(joining);
    }

    fn remove(&mut self, host: Host) {
        let Some(by) = self.sound().filter(|by| *by != host) else { return };
        let (name, force) = (self.name(host), self.random.once_in(2));
        drop(self.world.machine(by).spawn(|node| async move { node.remove(&name, force).await }));
    }

    fn change_table(&mut self, number: u64) {
        let Some(by) = self.sound() else { return };
        let name = format!("extra_{number}");
        let exists = self
            .node(by)
            .and_then(Node::store_view)
            .is_some_and(|view| view.tables().any(|copy| copy.def().name.as_str() == name));
        let changing = self.world.machine(by).spawn(move |node| async move {
            if exists {
                let name: TableName = name.parse().expect("it is a name");
                drop(node.drop_table(&name).await);
            } else {
                drop(node.create(extra_table(&name)).await);
            }
        });
        drop(changing);
    }

    fn change_copy(&mut self, host: Host, number: u64) {
        let Some(by) = self.sound() else { return };
        let Some((table, mode)) = COPIES.get(number as usize).copied() else { return };
        let to = self.name(host);
        let changing = self.world.machine(by).spawn(move |node| async move {
            let table: TableName = table.parse().expect("it is a name");
            drop(node.copy_table(&table, &to, mode).await);
        });
        drop(changing);
    }

    /// Ends everything that is wrong and does not end by itself.
    pub(super) fn make_whole(&mut self) {
        self.note("everything is made whole");
        {
            let mut wires = self.world.network.wires();
            wires.heal();
            wires.disturb(0, 0);
        }
        simulation::relieve(Affliction::Starved);
        simulation::relieve(Affliction::Forgetful);
        for host in 0..self.world.machines().len() {
            let machine = self.world.machine(host);
            machine.disc.set_full(false);
            machine.disc.fail_next_sync(false);
            machine.slow_down(0);
            machine.resume();
            self.restart(host);
        }
    }

    /// Asks machines that are well, but no members, to join; also those whose join failed after the cluster had taken
    /// them for members.
    pub(super) fn bring_back(&mut self) {
        let now_ms = self.world.now_ms();
        let Situation { outside, members, .. } = self.situation();
        let elsewhere = |host: &Host| {
            let standing = self.node(*host).and_then(Node::standing);
            standing.is_some_and(|standing| standing.cluster != self.cluster)
        };
        let astray: Vec<Host> = members.into_iter().filter(elsewhere).collect();
        for host in outside.into_iter().chain(astray) {
            let is_due = self.asked.get(&host).is_none_or(|asked| now_ms >= asked + JOIN_EVERY_MS);
            if is_due && self.node(host).is_some() {
                self.asked.insert(host, now_ms);
                self.note(&format!("machine {host} is asked to join"));
                self.join(host);
            }
        }
    }

    /// Whether every machine is a member that serves, and all agree on a leader and on how far the log goes.
    pub(super) fn is_healed(&self) -> bool {
        let situation = self.situation();
        if !situation.outside.is_empty() || situation.sound != situation.members {
            return false;
        }
        let leaders: BTreeSet<_> = self.world.nodes().map(|(_, node)| node.leader()).collect();
        leaders.len() == 1 && !leaders.contains(&None)
    }

    /// What every machine does, for a report.
    pub(super) fn diagnosis(&self) -> String {
        let mut lines = Vec::new();
        for machine in self.world.machines() {
            let state = match (machine.node(), machine.start_error()) {
                (Some(node), _) => {
                    let loading: Vec<String> = node
                        .store_view()
                        .map(|view| {
                            let loading = view.tables().filter(|copy| !copy.is_ready());
                            loading.map(|copy| format!("{} {:?}", copy.def().name, copy.state())).collect()
                        })
                        .unwrap_or_default();
                    format!(
                        "{:?}, leader {:?}, members {:?}, loading {loading:?}",
                        node.standing(),
                        node.leader(),
                        node.members()
                    )
                }
                (None, Some(error)) => format!("did not start: {error}"),
                (None, None) if machine.is_stopped() => "stopped".to_owned(),
                (None, None) if machine.has_process() => "starting".to_owned(),
                (None, None) => "no process".to_owned(),
            };
            lines.push(format!("{}: {state}", machine.name));
        }
        lines.join("; ")
    }
}

fn extra_table(name: &str) -> TableDef {
    use tabularaft::schema::FieldType;
    let builder = TableDef::builder(name).expect("it is a name");
    builder.field("id", FieldType::U64).key("id").build().expect("a table with one field")
}
