//! The simulated network: connections that carry bytes in order, with delays, losses, partitions and ends.
//!
//! What is sent is an event that is due some milliseconds later. A lost packet is one that comes later still, as TCP
//! sends it again; what a partition holds back is delivered once it is healed. Everything that happens goes into a digest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::packet::{Event, What};
use super::random::Random;
use super::tally::Tally;

/// How many bytes of one direction may be on their way or unread; then the sender waits.
const WINDOW_BYTES: usize = 256 * 1024;
/// After so long without an acknowledgement from a machine the kernels of its peers give their connections up.
const UNACKNOWLEDGED_MS: u64 = 5_000;
/// When TCP sends a lost packet again.
const RETRANSMIT_MS: u64 = 200;
/// A packet takes one millisecond, and up to so many more.
const JITTER_MS: u64 = 2;
/// One packet in so many is held up on its way, by up to so much.
const HELD_UP_ONE_IN: u64 = 200;
const HELD_UP_MS: u64 = 30;
const BACKLOG_MAX: usize = 128;

/// Machines by number.
pub(super) type Host = usize;

/// The network that all machines share.
#[derive(Clone)]
pub(super) struct SimNetwork {
    wires: Arc<Mutex<Wires>>,
}

impl SimNetwork {
    pub(super) fn new(random: Random) -> Self {
        Self { wires: Arc::new(Mutex::new(Wires::new(random))) }
    }

    pub(super) fn wires(&self) -> MutexGuard<'_, Wires> {
        self.wires.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that is connected, and on its way.
pub(super) struct Wires {
    random: Random,
    now_ms: u64,
    digest: u32,
    delivered: u64,
    /// Where each machine listens.
    addresses: BTreeMap<SocketAddr, Host>,
    /// Machines without power.
    dark: BTreeSet<Host>,
    listeners: BTreeMap<SocketAddr, Listener>,
    connections: BTreeMap<u64, [End; 2]>,
    last_connection: u64,
    /// By when they are due, and then in the order in which they were sent.
    events: BTreeMap<(u64, u64), Event>,
    sent: u64,
    /// What a partition holds back, by when it was sent.
    held: BTreeMap<u64, Event>,
    blocked: BTreeSet<(Host, Host)>,
    slow_ms: u64,
    loses_one_in: u64,
    /// When the last packet from one machine to another is due.
    last_due: BTreeMap<(Host, Host), u64>,
    tally: Tally,
}

#[derive(Default)]
struct Listener {
    backlog: VecDeque<u64>,
    waker: Option<Waker>,
}

/// One end of a connection: the dialer's is number 0, the listener's number 1.
struct End {
    host: Host,
    address: SocketAddr,
    stage: Stage,
    inbox: VecDeque<u8>,
    /// Bytes sent to this end that it has not read.
    unread: usize,
    /// No event for this end is due before, so that bytes keep their order.
    not_before_ms: u64,
    has_shut_down: bool,
    reader: Option<Waker>,
    /// Waits for the other end to read.
    writer: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Dialing,
    Refused,
    Open,
    /// The other side sends no more.
    Ended,
    Broken,
    /// This side is gone.
    Gone,
}

impl End {
    fn new(host: Host, address: SocketAddr) -> Self {
        Self {
            host,
            address,
            stage: Stage::Dialing,
            inbox: VecDeque::new(),
            unread: 0,
            not_before_ms: 0,
            has_shut_down: false,
            reader: None,
            writer: None,
        }
    }

    fn become_and_wake(&mut self, stage: Stage) {
        self.stage = stage;
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection broke (simulated)")
}

/// What the simulation does.
impl Wires {
    fn new(random: Random) -> Self {
        Self {
            random,
            now_ms: 0,
            digest: 0,
            delivered: 0,
            addresses: BTreeMap::new(),
            dark: BTreeSet::new(),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            last_connection: 0,
            events: BTreeMap::new(),
            sent: 0,
            held: BTreeMap::new(),
            blocked: BTreeSet::new(),
            slow_ms: 0,
            loses_one_in: 0,
            last_due: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    pub(super) fn add_machine(&mut self, host: Host, address: SocketAddr) {
        self.addresses.insert(address, host);
    }

    /// A digest of everything delivered so far and of when, and how much it was.
    pub(super) fn digest(&self) -> (u32, u64) {
        (self.digest, self.delivered)
    }

    /// How often what befell a packet.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Delivers what is due by now.
    pub(super) fn advance(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now_ms) {
            let ((_, number), event) = entry.remove_entry();
            let Some(way) = self.way(event.connection, event.to) else { continue };
            if self.blocked.contains(&way) {
                self.tally.count("packet held back by a partition");
                self.held.insert(number, event);
            } else if !self.dark.contains(&way.1) {
                self.deliver(event);
            }
        }
        self.connections.retain(|_, ends| ends.iter().any(|end| end.stage != Stage::Gone));
    }

    /// Holds back what `from` sends to `to`.
    pub(super) fn block(&mut self, from: Host, to: Host) {
        self.blocked.insert((from, to));
    }

    /// Ends all partitions.
    pub(super) fn heal(&mut self) {
        self.blocked.clear();
        // Before everything that was sent later: whatever was due by now has been held back too.
        for (number, event) in std::mem::take(&mut self.held) {
            self.events.insert((self.now_ms + 1, number), event);
        }
    }

    /// Makes every packet later, and loses one in so many (0: none).
    pub(super) fn disturb(&mut self, slow_ms: u64, loses_one_in: u64) {
        (self.slow_ms, self.loses_one_in) = (slow_ms, loses_one_in);
    }

    /// Breaks every connection between two machines.
    pub(super) fn break_between(&mut self, a: Host, b: Host) {
        for ends in self.connections.values_mut() {
            let hosts = ends.each_ref().map(|end| end.host);
            if hosts == [a, b] || hosts == [b, a] {
                for end in ends.iter_mut().filter(|end| end.stage != Stage::Gone) {
                    end.become_and_wake(Stage::Broken);
                }
            }
        }
    }

    /// The process of a machine is dead: its kernel ends its connections.
    pub(super) fn process_died(&mut self, host: Host) {
        self.stop_listening(host);
        for (id, number) in self.ends_of(host) {
            self.leave(id, number);
        }
    }

    /// The machine is without power: it says nothing any more.
    pub(super) fn power_failed(&mut self, host: Host) {
        self.stop_listening(host);
        self.dark.insert(host);
        for (id, number) in self.ends_of(host) {
            if let Some(end) = self.end(id, number) {
                end.become_and_wake(Stage::Gone);
            }
            // Nobody sends this break: the peer's own kernel makes it, unless it hears of the end before.
            self.sent += 1;
            let event = Event { connection: id, to: 1 - number, what: What::Break };
            self.events.insert((self.now_ms + UNACKNOWLEDGED_MS, self.sent), event);
        }
    }

    /// The machine has power again.
    pub(super) fn power_returned(&mut self, host: Host) {
        self.dark.remove(&host);
    }

    fn stop_listening(&mut self, host: Host) {
        let addresses = &self.addresses;
        self.listeners.retain(|address, _| addresses.get(address) != Some(&host));
    }

    fn ends_of(&self, host: Host) -> Vec<(u64, usize)> {
        let numbered = self
            .connections
            .iter()
            .flat_map(|(id, ends)| ends.iter().enumerate().map(move |(number, end)| ((*id, number), end)));
        numbered.filter(|(_, end)| end.host == host && end.stage != Stage::Gone).map(|(at, _)| at).collect()
    }

    fn end(&mut self, id: u64, number: usize) -> Option<&mut End> {
        self.connections.get_mut(&id)?.get_mut(number)
    }

    fn note(&mut self, event: &Event) {
        self.delivered += 1;
        let bytes = match &event.what {
            What::Bytes(bytes) => bytes.as_slice(),
            _ => &[],
        };
        for part in [&self.now_ms.to_le_bytes()[..], &event.connection.to_le_bytes(), bytes] {
            self.digest = crc32c::crc32c_append(self.digest, part);
        }
        self.digest = crc32c::crc32c_append(self.digest, &[event.to as u8, event.what.number()]);
    }

    fn deliver(&mut self, event: Event) {
        self.note(&event);
        let Event { connection, to, what } = event;
        if let What::Dial = what {
            return self.dialed(connection);
        }
        let Some(end) = self.end(connection, to) else { return };
        let stage = match (what, end.stage) {
            // A machine that does not know the connection says so.
            (What::Bytes(_), Stage::Gone) => return self.send(connection, 1 - to, What::Break),
            (_, Stage::Gone | Stage::Broken) => return,
            (What::Bytes(bytes), stage) => {
                end.inbox.extend(bytes);
                stage
            }
            (What::Accepted, _) => Stage::Open,
            (What::Refused, _) => Stage::Refused,
            (What::End, _) => Stage::Ended,
            (What::Break, _) => Stage::Broken,
            (What::Dial, stage) => stage,
        };
        end.become_and_wake(stage);
    }

    fn dialed(&mut self, id: u64) {
        let Some(address) = self.end(id, 1).map(|end| end.address) else { return };
        let Some(listener) = self.listeners.get_mut(&address) else {
            return self.send(id, 0, What::Refused);
        };
        if listener.backlog.len() >= BACKLOG_MAX {
            return;
        }
        listener.backlog.push_back(id);
        if let Some(waker) = listener.waker.take() {
            waker.wake();
        }
        if let Some(end) = self.end(id, 1) {
            end.stage = Stage::Open;
        }
        self.send(id, 0, What::Accepted);
    }

    fn send(&mut self, connection: u64, to: usize, what: What) {
        let mut delay_ms = 1 + self.random.below(JITTER_MS + 1) + self.slow_ms;
        if self.random.once_in(HELD_UP_ONE_IN) {
            delay_ms += self.random.below(HELD_UP_MS);
            self.tally.count("packet held up");
        }
        while self.loses_one_in > 0 && self.random.once_in(self.loses_one_in) {
            delay_ms += RETRANSMIT_MS;
            self.tally.count("packet lost and sent again");
        }
        self.schedule(delay_ms, Event { connection, to, what });
    }

    fn schedule(&mut self, delay_ms: u64, event: Event) {
        let earliest = self.now_ms + delay_ms;
        let Some(end) = self.end(event.connection, event.to) else { return };
        let due = earliest.max(end.not_before_ms);
        end.not_before_ms = due;
        self.note_overtaking(event.connection, event.to, due);
        self.sent += 1;
        self.events.insert((due, self.sent), event);
    }

    /// From which machine to which a packet of this connection goes.
    fn way(&self, connection: u64, to: usize) -> Option<(Host, Host)> {
        let [dialer, listener] = self.connections.get(&connection)?.each_ref().map(|end| end.host);
        Some(if to == 1 { (dialer, listener) } else { (listener, dialer) })
    }

    /// Packets of one connection keep their order; those of different ones between the same two machines need not.
    fn note_overtaking(&mut self, connection: u64, to: usize, due: u64) {
        let Some(way) = self.way(connection, to) else { return };
        let last = self.last_due.entry(way).or_default();
        if due < *last {
            self.tally.count("packet that overtook another");
        } else {
            *last = due;
        }
    }
}

/// What the processes do.
impl Wires {
    pub(super) fn dial(&mut self, host: Host, target: SocketAddr) -> u64 {
        self.last_connection += 1;
        let id = self.last_connection;
        let own = self.addresses.iter().find(|(_, of)| **of == host).map_or(target, |(address, _)| *address);
        let to = self.addresses.get(&target).copied().unwrap_or(usize::MAX);
        self.connections.insert(id, [End::new(host, own), End::new(to, target)]);
        self.send(id, 1, What::Dial);
        id
    }

    pub(super) fn poll_dialed(&mut self, id: u64, context: &Context<'_>) -> Poll<io::Result<()>> {
        let Some(end) = self.end(id, 0) else { return Poll::Ready(Err(broken())) };
        match end.stage {
            Stage::Dialing => {
                end.reader = Some(context.waker().clone());
                Poll::Pending
            }
            Stage::Open | Stage::Ended => Poll::Ready(Ok(())),
            Stage::Refused => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
            Stage::Broken | Stage::Gone => Poll::Ready(Err(broken())),
        }
    }

    pub(super) fn listen(&mut self, address: SocketAddr) -> io::Result<()> {
        if self.listeners.contains_key(&address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.listeners.insert(address, Listener::default());
        Ok(())
    }

    pub(super) fn stop_listening_at(&mut self, address: SocketAddr) {
        let backlog = self.listeners.remove(&address).map(|listener| listener.backlog).unwrap_or_default();
        for id in backlog {
            self.leave(id, 1);
        }
    }

    /// The next connection at an address, and where it comes from.
    pub(super) fn poll_accept(
        &mut self,
        address: SocketAddr,
        context: &Context<'_>,
    ) -> Poll<io::Result<(u64, SocketAddr)>> {
        let Some(listener) = self.listeners.get_mut(&address) else {
            return Poll::Ready(Err(io::Error::other("nobody listens there")));
        };
        let Some(id) = listener.backlog.pop_front() else {
            listener.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        let from = self.end(id, 0).map_or(address, |dialer| dialer.address);
        Poll::Ready(Ok((id, from)))
    }

    /// Reads up to `most` bytes; none at the end.
    pub(super) fn poll_read(
        &mut self,
        id: u64,
        number: usize,
        most: usize,
        context: &Context<'_>,
    ) -> Poll<io::Result<Vec<u8>>> {
        let Some(end) = self.end(id, number) else { return Poll::Ready(Err(broken())) };
        if end.stage == Stage::Broken {
            return Poll::Ready(Err(broken()));
        }
        if end.inbox.is_empty() {
            if end.stage == Stage::Ended {
                return Poll::Ready(Ok(Vec::new()));
            }
            end.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = end.inbox.len().min(most);
        let bytes = end.inbox.drain(..count).collect();
        end.unread -= count;
        if let Some(waker) = self.end(id, 1 - number).and_then(|other| other.writer.take()) {
            waker.wake();
        }
        Poll::Ready(Ok(bytes))
    }

    pub(super) fn poll_write(
        &mut self,
        id: u64,
        number: usize,
        bytes: &[u8],
        context: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(ends) = self.connections.get_mut(&id) else { return Poll::Ready(Err(broken())) };
        let [first, second] = ends;
        let (end, other) = if number == 0 { (first, second) } else { (second, first) };
        if end.stage == Stage::Broken || end.has_shut_down {
            return Poll::Ready(Err(broken()));
        }
        let count = bytes.len().min(WINDOW_BYTES.saturating_sub(other.unread));
        if count == 0 {
            end.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        other.unread += count;
        self.send(id, 1 - number, What::Bytes(bytes.get(..count).unwrap_or_default().to_vec()));
        Poll::Ready(Ok(count))
    }

    /// Sends no more.
    pub(super) fn shut_down(&mut self, id: u64, number: usize) {
        let Some(end) = self.end(id, number) else { return };
        if !std::mem::replace(&mut end.has_shut_down, true) {
            self.send(id, 1 - number, What::End);
        }
    }

    /// Lets go of one end. The other one sees the end, or a break if something was not read.
    pub(super) fn leave(&mut self, id: u64, number: usize) {
        let Some(end) = self.end(id, number).filter(|end| end.stage != Stage::Gone) else { return };
        let was = std::mem::replace(&mut end.stage, Stage::Gone);
        let unread = !end.inbox.is_empty();
        match was {
            Stage::Broken | Stage::Refused | Stage::Gone => {}
            _ if unread => self.send(id, 1 - number, What::Break),
            _ => self.shut_down(id, number),
        }
    }
}
