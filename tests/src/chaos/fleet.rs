//! All node processes of a run, and the machines that they are on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tabularaft::Secret;
use tabularaft_benches::namespaces::Machines;

use super::node::{NodeArgs, Weakness};
use super::process::{Link, Process};
use super::protocol::{Answer, Ask, Standing};
use crate::reserved_port::ReservedPort;

/// Nodes that found the cluster; one more comes and goes.
pub(super) const CORE: usize = 3;
pub(super) const NODES: usize = CORE + 1;
/// How long anything may take that is not disturbed.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// How long a question is waited for that need not be answered.
const GLANCE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The pause between two attempts to join.
const JOIN_EVERY: Duration = Duration::from_millis(100);

/// The nodes by number. Fields are dropped in order: the processes end before their machines go.
pub(super) struct Fleet {
    nodes: Vec<Seat>,
    /// What clients may use: the nodes that run and are members.
    doors: Doors,
    pub(super) machines: Option<Machines>,
    weakness: Weakness,
    dir: PathBuf,
    began: Instant,
    /// How many faults have begun.
    pub(super) faults: usize,
    /// What was done, a line each.
    pub(super) trace: Vec<String>,
}

/// The nodes that clients may use, by number.
pub(super) type Doors = Arc<Mutex<Vec<Option<Link>>>>;

/// A node, running or not.
struct Seat {
    name: String,
    address: String,
    process: Option<Process>,
    is_member: bool,
    is_paused: bool,
    /// Keeps the port while there are no machines of their own.
    _port: Option<ReservedPort>,
}

impl Fleet {
    /// Starts the nodes; the first three form a cluster, with all tables.
    pub(super) async fn start(dir: PathBuf, weakness: Weakness) -> Result<Self, String> {
        let machines = Machines::start(NODES as u8);
        let note =
            machines.as_ref().err().map(|why| format!("no network namespaces, so no link is cut: {why}"));
        let machines = machines.ok();
        if machines.is_some() {
            let secret = Secret::generate().map_err(|error| error.to_string())?;
            secret.save_new(dir.join("secret")).map_err(|error| error.to_string())?;
        }
        let mut nodes = Vec::new();
        for number in 0..NODES {
            nodes.push(Seat::new(number, machines.is_some())?);
        }
        let doors = Arc::new(Mutex::new(vec![None; NODES]));
        let trace = note.into_iter().collect();
        let mut fleet =
            Self { nodes, doors, machines, weakness, dir, began: Instant::now(), faults: 0, trace };
        for number in 0..NODES {
            fleet.launch(number).await?;
        }
        fleet.take_in(0);
        for number in 1..CORE {
            fleet.join(number).await?;
        }
        fleet.link(0)?.order(Ask::Prepare, PATIENCE).await?;
        fleet.ready().await?;
        Ok(fleet)
    }

    /// Notes what is done.
    pub(super) fn note(&mut self, what: &str) {
        let line = format!("{:>8.2} s  {what}", self.began.elapsed().as_secs_f64());
        self.trace.push(line);
    }

    pub(super) fn doors(&self) -> Doors {
        Arc::clone(&self.doors)
    }

    fn open_door(&self, number: usize) {
        let link = self.seat(number).filter(|seat| seat.is_member);
        let link = link.and_then(|seat| seat.process.as_ref()).map(Process::link);
        if let Some(door) = self.doors.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number) {
            *door = link;
        }
    }

    fn close_door(&self, number: usize) {
        if let Some(door) = self.doors.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number) {
            *door = None;
        }
    }

    fn seat(&self, number: usize) -> Option<&Seat> {
        self.nodes.get(number)
    }

    fn seat_mut(&mut self, number: usize) -> Result<&mut Seat, String> {
        self.nodes.get_mut(number).ok_or_else(|| format!("there is no node {number}"))
    }

    /// The link to a running node.
    pub(super) fn link(&self, number: usize) -> Result<Link, String> {
        let process = self.seat(number).and_then(|seat| seat.process.as_ref());
        process.map(Process::link).ok_or_else(|| format!("node {number} does not run"))
    }

    /// The nodes that are members and run, and are not paused.
    pub(super) fn working(&self) -> Vec<usize> {
        let works = |seat: &Seat| seat.is_member && seat.process.is_some() && !seat.is_paused;
        self.numbers(works)
    }

    /// The members, running or not.
    pub(super) fn members(&self) -> Vec<usize> {
        self.numbers(|seat| seat.is_member)
    }

    fn numbers(&self, which: impl Fn(&Seat) -> bool) -> Vec<usize> {
        self.nodes.iter().enumerate().filter(|(_, seat)| which(seat)).map(|(number, _)| number).collect()
    }

    /// Where a node stands; `None` if it does not say.
    pub(super) async fn standing(&self, number: usize) -> Option<Standing> {
        match self.link(number).ok()?.ask(Ask::Standing, GLANCE).await {
            Ok(Answer::Standing(standing)) => Some(standing),
            _ => None,
        }
    }

    /// The node that leads, if one says so; of several the one with the highest term.
    pub(super) async fn leader(&self) -> Option<usize> {
        let mut leaders = Vec::new();
        for number in self.working() {
            let standing = self.standing(number).await;
            leaders
                .extend(standing.filter(|standing| standing.leads).map(|standing| (standing.term, number)));
        }
        leaders.into_iter().max().map(|(_, number)| number)
    }

    /// Starts the process of a node.
    pub(super) async fn launch(&mut self, number: usize) -> Result<(), String> {
        let runner = match &self.machines {
            Some(machines) => machines.runner(number as u8).map_err(|error| error.to_string())?,
            None => Vec::new(),
        };
        let seat = self.seat(number).ok_or_else(|| format!("there is no node {number}"))?;
        let args = NodeArgs {
            name: seat.name.clone(),
            data_dir: self.dir.join(format!("n{}", number + 1)),
            listen: seat.address.clone(),
            secret_file: self.machines.as_ref().map(|_| self.dir.join("secret")),
            weakness: self.weakness,
        };
        let log = self.dir.join(format!("n{}.log", number + 1));
        let process = Process::start(&runner, &args, &log).await?;
        self.seat_mut(number)?.process = Some(process);
        self.open_door(number);
        Ok(())
    }

    fn take_in(&mut self, number: usize) {
        if let Ok(seat) = self.seat_mut(number) {
            seat.is_member = true;
        }
        self.open_door(number);
    }

    /// SIGKILL.
    pub(super) async fn kill(&mut self, number: usize) -> Result<(), String> {
        self.close_door(number);
        let seat = self.seat_mut(number)?;
        seat.is_paused = false;
        let process = seat.process.take().ok_or("it does not run")?;
        process.kill().await
    }

    /// Stops a node in order, and starts it again.
    pub(super) async fn restart(&mut self, number: usize) -> Result<(), String> {
        self.close_door(number);
        self.link(number)?.order(Ask::Shutdown, PATIENCE).await?;
        let process = self.seat_mut(number)?.process.take();
        if let Some(mut process) = process {
            process.ended().await?;
        }
        self.launch(number).await
    }

    pub(super) fn pause(&mut self, number: usize) -> Result<(), String> {
        let seat = self.seat_mut(number)?;
        seat.is_paused = true;
        seat.process.as_ref().ok_or("it does not run")?.signal(Signal::STOP)
    }

    pub(super) fn resume(&mut self, number: usize) -> Result<(), String> {
        let seat = self.seat_mut(number)?;
        seat.is_paused = false;
        seat.process.as_ref().ok_or("it does not run")?.signal(Signal::CONT)
    }

    /// Joins the cluster by way of some member.
    pub(super) async fn join(&mut self, number: usize) -> Result<(), String> {
        let others = self.working().into_iter().filter(|other| *other != number);
        let peers: Vec<String> =
            others.filter_map(|other| self.seat(other).map(|seat| seat.address.clone())).collect();
        let link = self.link(number)?;
        let mut last = "no member runs".to_owned();
        for peer in peers {
            match link.order(Ask::Join { peer }, PATIENCE).await {
                Ok(_) => {
                    self.take_in(number);
                    return Ok(());
                }
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    /// Leaves the cluster, after its clients have their answers.
    pub(super) async fn leave(&mut self, number: usize) -> Result<(), String> {
        self.close_door(number);
        let link = self.link(number)?;
        let left = async {
            wait(PATIENCE, || link.unanswered() == 0).await?;
            link.order(Ask::Leave, PATIENCE).await
        };
        match left.await {
            Ok(_) => {
                self.seat_mut(number)?.is_member = false;
                Ok(())
            }
            Err(why) => {
                // It may have left all the same, and then knows nobody.
                let alone = self.standing(number).await.is_some_and(|standing| standing.members.len() == 1);
                self.seat_mut(number)?.is_member = !alone;
                self.open_door(number);
                if alone { Ok(()) } else { Err(why) }
            }
        }
    }

    /// Has a member take another one, which does not run, out of the cluster.
    pub(super) async fn remove(&mut self, number: usize) -> Result<(), String> {
        let name = self.seat(number).map(|seat| seat.name.clone()).ok_or("no such node")?;
        let by = self.working().into_iter().find(|other| *other != number).ok_or("no member runs")?;
        self.link(by)?.order(Ask::Remove { name }, PATIENCE).await?;
        self.close_door(number);
        self.seat_mut(number)?.is_member = false;
        Ok(())
    }

    /// Ends all faults: links are mended, paused nodes go on, dead ones are started, the core nodes are members.
    pub(super) async fn heal(&mut self) -> Result<(), String> {
        if let Some(machines) = &self.machines {
            machines.mend_all().map_err(|error| error.to_string())?;
        }
        for number in 0..self.nodes.len() {
            let seat = self.seat_mut(number)?;
            if seat.process.as_mut().is_some_and(Process::has_ended) {
                return Err(format!("{} ended by itself; its log says why", seat.name));
            }
            match (&seat.process, seat.is_paused) {
                (Some(_), true) => self.resume(number)?,
                (None, _) => self.launch(number).await?,
                _ => {}
            }
        }
        self.notice_departures().await;
        for number in self.members() {
            self.open_door(number);
        }
        for number in 0..CORE {
            if !self.members().contains(&number) {
                let began = Instant::now();
                while let Err(why) = self.join(number).await {
                    if began.elapsed() > PATIENCE {
                        return Err(format!("node {number} cannot join: {why}"));
                    }
                    tokio::time::sleep(JOIN_EVERY).await;
                }
            }
        }
        self.ready().await
    }

    /// A node whose leaving nobody confirmed in time may have left later.
    async fn notice_departures(&mut self) {
        let mut newest = Standing::default();
        for number in self.members() {
            let standing = self.standing(number).await.unwrap_or_default();
            if standing.members.len() > 1 && standing.applied >= newest.applied {
                newest = standing;
            }
        }
        if newest.members.is_empty() {
            return;
        }
        for number in self.members() {
            if let Ok(seat) = self.seat_mut(number)
                && !newest.members.contains(&seat.name)
            {
                seat.is_member = false;
                self.close_door(number);
            }
        }
    }

    /// Waits until all members serve all tables and have a leader.
    pub(super) async fn ready(&self) -> Result<(), String> {
        for number in self.members() {
            let ask = Ask::WaitReady { seconds: PATIENCE.as_secs() };
            self.link(number)?
                .order(ask, PATIENCE * 2)
                .await
                .map_err(|why| format!("node {number} is not ready: {why}"))?;
        }
        Ok(())
    }

    /// Whether the members other than these can go on without them, with all their ram tables.
    pub(super) async fn can_spare(&self, numbers: &[usize]) -> bool {
        let rest: Vec<usize> =
            self.working().into_iter().filter(|number| !numbers.contains(number)).collect();
        for number in &rest {
            let Ok(link) = self.link(*number) else { return false };
            if !matches!(link.ask(Ask::WaitReady { seconds: 5 }, PATIENCE).await, Ok(Answer::Done)) {
                return false;
            }
        }
        !rest.is_empty()
    }
}

impl Seat {
    fn new(number: usize, on_machines: bool) -> Result<Self, String> {
        let (address, port) = if on_machines {
            (format!("{}:7100", Machines::address(number as u8)), None)
        } else {
            let port = ReservedPort::take().map_err(|error| error.to_string())?;
            (port.address().to_string(), Some(port))
        };
        let name = format!("n{}@chaos", number + 1);
        Ok(Self { name, address, process: None, is_member: false, is_paused: false, _port: port })
    }
}

/// Waits for a condition.
pub(super) async fn wait(patience: Duration, mut condition: impl FnMut() -> bool) -> Result<(), String> {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > patience {
            return Err(format!("waited {patience:?} in vain"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
