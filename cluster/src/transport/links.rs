//! Fault control for tests: links between named nodes that hold bytes back, as a network does that loses packets.
//!
//! Nothing is closed and nothing is lost: what was sent over a blocked link arrives once it is healed. A new
//! connection needs both directions, and hangs until its timeout while one is blocked. Only a link that refuses breaks
//! connections, as a firewall that answers for the other side does.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::BytesMut;
use tabularaft_schema::NodeName;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{
    PeerIdentity,
    clock::{self, Instant},
};
use crate::watch;

/// How many bytes a link takes in while it holds them back; the rest stays with the sender, as it would with TCP.
const HELD_BYTES_MAX: usize = 1 << 20;

/// The links between the nodes of one test cluster, shared by all of them.
#[derive(Debug, Default)]
pub struct Links {
    faults: Mutex<Faults>,
    /// Counts the changes of `faults`.
    changes: watch::Sender<u64>,
}

type Direction = (NodeName, NodeName);

#[derive(Debug, Default)]
struct Faults {
    names: HashMap<String, NodeName>,
    blocked: HashSet<Direction>,
    isolated: HashSet<NodeName>,
    refused: HashSet<Direction>,
    delays: HashMap<Direction, Duration>,
}

impl Faults {
    fn blocks(&self, from: &NodeName, to: &NodeName) -> bool {
        from != to
            && (self.isolated.contains(from)
                || self.isolated.contains(to)
                || self.blocked.contains(&(from.clone(), to.clone())))
    }

    fn refuses(&self, from: &NodeName, to: &NodeName) -> bool {
        self.refused.contains(&(from.clone(), to.clone()))
    }
}

impl Links {
    /// Links without faults.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Says which node lives at an address, so that dialing it can be disturbed.
    pub fn register(&self, addr: impl Into<String>, name: NodeName) {
        self.change(|faults| faults.names.insert(addr.into(), name));
    }

    /// Holds back everything that `from` sends to `to`; not the other way round.
    pub fn block(&self, from: &NodeName, to: &NodeName) {
        self.change(|faults| faults.blocked.insert((from.clone(), to.clone())));
    }

    /// Lets everything flow again from `from` to `to`.
    pub fn heal(&self, from: &NodeName, to: &NodeName) {
        self.change(|faults| faults.blocked.remove(&(from.clone(), to.clone())));
    }

    /// Breaks the connections that `from` has dialed to `to`, and refuses new ones.
    pub fn refuse(&self, from: &NodeName, to: &NodeName) {
        self.change(|faults| faults.refused.insert((from.clone(), to.clone())));
    }

    /// Lets what `from` sends to `to` arrive so much later; zero ends it.
    pub fn delay(&self, from: &NodeName, to: &NodeName, by: Duration) {
        self.change(|faults| faults.delays.insert((from.clone(), to.clone()), by));
    }

    /// Holds back everything to and from `name`.
    pub fn isolate(&self, name: &NodeName) {
        self.change(|faults| faults.isolated.insert(name.clone()));
    }

    /// Ends the isolation of `name`; single blocked directions stay blocked.
    pub fn rejoin(&self, name: &NodeName) {
        self.change(|faults| faults.isolated.remove(name));
    }

    /// Ends all blocks, isolations, refusals and delays.
    pub fn heal_all(&self) {
        self.change(|faults| {
            faults.blocked.clear();
            faults.isolated.clear();
            faults.refused.clear();
            faults.delays.clear();
        });
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, how: impl FnOnce(&mut Faults) -> T) {
        how(&mut self.faults());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Waits until a connection from `from` to `addr` can be made.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub(crate) async fn passable(&self, from: &PeerIdentity, addr: &str) -> io::Result<()> {
        let Some(from) = &from.name else { return Ok(()) };
        let mut changes = self.changes.subscribe();
        let open = |_: &u64| {
            let faults = self.faults();
            faults.names.get(addr).is_none_or(|to| !faults.blocks(from, to) && !faults.blocks(to, from))
        };
        let _ = changes.wait_for(open).await;
        let faults = self.faults();
        match faults.names.get(addr) {
            Some(to) if faults.refuses(from, to) => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(()),
        }
    }
}

/// One direction of one connection, at its receiving end.
pub(crate) struct Gate {
    links: Arc<Links>,
    from: NodeName,
    to: NodeName,
    /// Whether this is the end that dialed.
    at_dialer: bool,
    changes: watch::Receiver<u64>,
    /// What has come and may not pass yet, with the time from which on it may.
    held: VecDeque<(Instant, Held)>,
    held_bytes: usize,
    arriving: BytesMut,
    ended: bool,
}

enum Held {
    Bytes(BytesMut),
    End(io::Result<()>),
}

impl Gate {
    /// The gate for what `from` sends to `to`; `None` when nobody disturbs links, or one side is no node.
    pub(crate) fn new(
        links: Option<&Arc<Links>>,
        from: &PeerIdentity,
        to: &PeerIdentity,
        at_dialer: bool,
    ) -> Option<Self> {
        let links = links?;
        Some(Self {
            links: Arc::clone(links),
            from: from.name.clone()?,
            to: to.name.clone()?,
            at_dialer,
            changes: links.changes.subscribe(),
            held: VecDeque::new(),
            held_bytes: 0,
            arriving: BytesMut::new(),
            ended: false,
        })
    }

    /// Whether it is the gate that keeps the reader waiting.
    pub(crate) fn holds_back(&self) -> bool {
        !self.held.is_empty() || self.blocked()
    }

    fn blocked(&self) -> bool {
        self.links.faults().blocks(&self.from, &self.to)
    }

    fn delay(&self) -> Duration {
        let direction = (self.from.clone(), self.to.clone());
        self.links.faults().delays.get(&direction).copied().unwrap_or_default()
    }

    /// Reads as `source` would, as soon as the link lets it.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was read from `source` is kept in `self`.
    pub(crate) async fn read(
        &mut self,
        source: &mut (impl AsyncRead + Unpin),
        into: &mut BytesMut,
    ) -> io::Result<usize> {
        loop {
            drop(self.changes.borrow_and_update());
            // The other end sees the connection end too.
            if self.at_dialer && self.links.faults().refuses(&self.to, &self.from) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let open = !self.blocked();
            if let Some(held) = self.release(open) {
                return match held {
                    Held::Bytes(bytes) => {
                        into.extend_from_slice(&bytes);
                        Ok(bytes.len())
                    }
                    Held::End(how) => how.map(|()| 0),
                };
            }
            let due = self.held.front().map_or_else(clock::now, |(due, _)| *due);
            // All arms are cancel-safe: `read_buf` either appends to `arriving` or does nothing.
            tokio::select! {
                biased;
                result = source.read_buf(&mut self.arriving), if !self.ended && self.held_bytes < HELD_BYTES_MAX => {
                    self.hold(result);
                }
                () = clock::sleep_until(due), if open && !self.held.is_empty() => {}
                _ = self.changes.changed() => {}
            }
        }
    }

    fn release(&mut self, open: bool) -> Option<Held> {
        let (due, _) = self.held.front()?;
        if !open || *due > clock::now() {
            return None;
        }
        let (_, held) = self.held.pop_front()?;
        if let Held::Bytes(bytes) = &held {
            self.held_bytes -= bytes.len();
        }
        Some(held)
    }

    fn hold(&mut self, result: io::Result<usize>) {
        let held = match result {
            Ok(count) if count > 0 => {
                self.held_bytes += count;
                Held::Bytes(self.arriving.split())
            }
            end => {
                self.ended = true;
                Held::End(end.map(|_| ()))
            }
        };
        self.held.push_back((clock::now() + self.delay(), held));
    }
}
