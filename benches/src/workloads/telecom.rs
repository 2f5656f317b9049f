//! The telecom workload: a register of subscribers and their sessions at servers, with five kinds of transactions.
//!
//! Afterwards a subscriber has the bit of a server set if and only if there is a session of the two, and the servers
//! have counted as many sessions made as ended and present together.

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tabularaft::{CopyMode, Node, ReadError, Record, TableError, TransactionError, Tx, TxError};

use super::{Caller, Read, create_table, insert_all, percent};

/// Groups of subscribers.
const GROUPS: u64 = 5;
/// Rows of one server; a subscriber's number says which of them counts its sessions.
const SUFFIXES: u64 = 100;
/// Bytes of a session's details.
const DETAILS_BYTES: usize = 2_000;
/// Of a hundred groups, so many allow a server to each kind of access.
const ALLOWED_PERCENT: u32 = 90;
/// Of a hundred transactions that make or end a session, so many are given up at the end.
const ROLLBACK_PERCENT: u32 = 2;

/// A subscriber.
#[derive(Debug, Clone, Record, Serialize, Deserialize)]
#[record(table = "telecom_subscriber", kind = "set", copy = "ram")]
pub struct Subscriber {
    #[key]
    number: u64,
    name: String,
    group: u64,
    location: u32,
    /// One bit for each server at which the subscriber has a session.
    active_sessions: u32,
    changed_by: String,
    changed_time: String,
}

/// A group of subscribers and what it may do at which server, as bits.
#[derive(Debug, Clone, Record, Serialize, Deserialize)]
#[record(table = "telecom_group", kind = "set", copy = "ram")]
pub struct Group {
    #[key]
    number: u64,
    name: String,
    allow_read: u32,
    allow_insert: u32,
    allow_delete: u32,
}

/// What happened at a server to subscribers of one suffix.
#[derive(Debug, Clone, Record, Serialize, Deserialize)]
#[record(table = "telecom_server", kind = "set", copy = "ram")]
pub struct Server {
    #[key]
    server: u64,
    #[key]
    suffix: u64,
    name: String,
    reads: u64,
    inserts: u64,
    deletes: u64,
}

/// A session of a subscriber at a server.
#[derive(Debug, Clone, Record, Serialize, Deserialize)]
#[record(table = "telecom_session", kind = "set", copy = "ram")]
pub struct Session {
    #[key]
    subscriber: u64,
    #[key]
    server: u64,
    #[serde(with = "serde_bytes")]
    details: Vec<u8>,
}

/// How large the register is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Subscribers; 25,000 in the workload as it is usually run.
    pub subscribers: u64,
    /// Servers, at most 32; usually one.
    pub servers: u64,
}

/// Creates the four tables.
///
/// # Errors
/// As [`Node::create`].
pub async fn create(node: &Node, mode: CopyMode) -> Result<(), TableError> {
    create_table::<Subscriber>(node, mode).await?;
    create_table::<Group>(node, mode).await?;
    create_table::<Server>(node, mode).await?;
    create_table::<Session>(node, mode).await
}

/// Fills the register; nobody has a session.
///
/// # Errors
/// A write failed.
pub async fn load(node: &Node, scale: Scale) -> Result<(), crate::Failure> {
    let mut random = SmallRng::seed_from_u64(scale.subscribers);
    let groups: Vec<Group> = (0..GROUPS).map(|number| group(number, &mut random)).collect();
    insert_all(node, groups.into_iter()).await?;
    let rows = (0..scale.servers).flat_map(|server| (0..SUFFIXES).map(move |suffix| (server, suffix)));
    let row = |(server, suffix)| Server {
        server,
        suffix,
        name: format!("server {server}"),
        reads: 0,
        inserts: 0,
        deletes: 0,
    };
    insert_all(node, rows.map(row)).await?;
    let subscriber = |number| Subscriber {
        number,
        name: "s".to_owned(),
        group: random.random_range(0..GROUPS),
        location: 0,
        active_sessions: 0,
        changed_by: String::new(),
        changed_time: String::new(),
    };
    insert_all(node, (0..scale.subscribers).map(subscriber)).await
}

fn group(number: u64, random: &mut SmallRng) -> Group {
    let allowed = (0..u32::BITS).filter(|_| percent(random, ALLOWED_PERCENT));
    let mask = allowed.fold(0, |mask, server| mask | 1 << server);
    Group {
        number,
        name: format!("group {number}"),
        allow_read: mask,
        allow_insert: mask,
        allow_delete: mask,
    }
}

/// What is wrong in one view of this node; empty if all is as it must be.
///
/// # Errors
/// As [`Table::iter`](tabularaft::Table::iter).
pub fn inconsistencies(node: &Node) -> Result<Vec<String>, ReadError> {
    let view = node.view()?;
    let sessions = view.table::<Session>()?.all()?;
    let present: BTreeSet<(u64, u64)> = sessions.iter().map(|s| (s.subscriber, s.server)).collect();
    let subscribers = view.table::<Subscriber>()?.all()?;
    let active = subscribers.iter().flat_map(|subscriber| {
        let servers =
            (0..u64::from(u32::BITS)).filter(|server| subscriber.active_sessions & bit(*server) != 0);
        servers.map(|server| (subscriber.number, server))
    });
    let active: BTreeSet<(u64, u64)> = active.collect();
    let mut found: Vec<String> = active
        .symmetric_difference(&present)
        .map(|(subscriber, server)| {
            format!("subscriber {subscriber} and its session at server {server} differ")
        })
        .collect();
    let servers = view.table::<Server>()?.all()?;
    let counted = |of: fn(&Server) -> u64| servers.iter().map(of).sum::<u64>();
    let (made, ended) = (counted(|server| server.inserts), counted(|server| server.deletes));
    if made != ended + present.len() as u64 {
        found.push(format!("{made} sessions were made, {ended} ended, and there are {}", present.len()));
    }
    Ok(found)
}

/// How many sessions have been made and ended, which says whether a run was one.
///
/// # Errors
/// As [`Table::iter`](tabularaft::Table::iter).
pub fn sessions_made_and_ended(node: &Node) -> Result<(u64, u64), ReadError> {
    let servers = node.view()?.table::<Server>()?.all()?;
    Ok((servers.iter().map(|server| server.inserts).sum(), servers.iter().map(|server| server.deletes).sum()))
}

/// One caller that carries out transaction after transaction, and remembers the sessions that it has made.
pub struct Generator {
    scale: Scale,
    sessions: Vec<(u64, u64)>,
    random: SmallRng,
}

/// What a transaction that makes or ends sessions came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Branch {
    /// The session was made, or ended.
    Taken,
    /// It was not allowed, or was there, or was not.
    NotTaken,
}

impl Generator {
    /// `number` makes the generator's choices differ from those of others.
    pub fn new(number: u64, scale: Scale) -> Self {
        Self { scale, sessions: Vec::new(), random: SmallRng::seed_from_u64(number) }
    }

    fn any(&mut self) -> (u64, u64) {
        let Scale { subscribers, servers } = self.scale;
        (self.random.random_range(0..subscribers), self.random.random_range(0..servers))
    }

    /// The first session that this generator knows of, or any.
    fn known_or_any(&mut self) -> (u64, u64) {
        match self.sessions.first() {
            Some(session) => *session,
            None => self.any(),
        }
    }

    async fn update_location(&mut self, node: &Node) -> Result<(), TransactionError> {
        let (number, _) = self.any();
        node.transaction(|tx| {
            let subscribers = tx.table::<Subscriber>()?;
            let mut subscriber = Read::ForUpdate.one(&subscribers, number)?;
            subscriber.location = 4711;
            subscriber.changed_by = "changed by the workload...".to_owned();
            subscriber.changed_time = "at some time of the day...".to_owned();
            subscribers.insert(&subscriber)
        })
        .await
    }

    /// In no transaction, as the workload prescribes.
    fn read_location(&mut self, node: &Node) -> Result<(), TransactionError> {
        let (number, _) = self.any();
        let read = || node.view()?.table::<Subscriber>()?.get(number);
        std::hint::black_box(read().map_err(TxError::from)?);
        Ok(())
    }

    async fn read_details(&mut self, node: &Node) -> Result<(), TransactionError> {
        let (number, server) = self.known_or_any();
        node.transaction(|tx| {
            let subscriber = Read::Plain.one(&tx.table::<Subscriber>()?, number)?;
            let allowed = group_of(tx, subscriber.group)?.allow_read & bit(server) != 0;
            if !allowed || subscriber.active_sessions & bit(server) == 0 {
                return Ok(());
            }
            std::hint::black_box(tx.table::<Session>()?.get((number, server))?);
            count(tx, server, number, |server| server.reads += 1)
        })
        .await
    }

    async fn create_session(&mut self, node: &Node) -> Result<(), TransactionError> {
        let (number, server) = self.any();
        let rollback = percent(&mut self.random, ROLLBACK_PERCENT);
        let branch = node
            .transaction(|tx| {
                let subscribers = tx.table::<Subscriber>()?;
                let mut subscriber = Read::ForUpdate.one(&subscribers, number)?;
                let allowed = group_of(tx, subscriber.group)?.allow_insert & bit(server) != 0;
                if !allowed || subscriber.active_sessions & bit(server) != 0 {
                    return Ok(Branch::NotTaken);
                }
                let details = vec![b'd'; DETAILS_BYTES];
                tx.table::<Session>()?.insert(&Session { subscriber: number, server, details })?;
                subscriber.active_sessions |= bit(server);
                subscribers.insert(&subscriber)?;
                count(tx, server, number, |server| server.inserts += 1)?;
                if rollback { tx.abort("rolled back") } else { Ok(Branch::Taken) }
            })
            .await?;
        if branch == Branch::Taken {
            self.sessions.push((number, server));
        }
        Ok(())
    }

    async fn delete_session(&mut self, node: &Node) -> Result<(), TransactionError> {
        let (number, server) = self.known_or_any();
        let rollback = percent(&mut self.random, ROLLBACK_PERCENT);
        let branch = node
            .transaction(|tx| {
                let subscribers = tx.table::<Subscriber>()?;
                let mut subscriber = Read::ForUpdate.one(&subscribers, number)?;
                let allowed = group_of(tx, subscriber.group)?.allow_delete & bit(server) != 0;
                if !allowed || subscriber.active_sessions & bit(server) == 0 {
                    return Ok(Branch::NotTaken);
                }
                tx.table::<Session>()?.delete((number, server))?;
                subscriber.active_sessions ^= bit(server);
                subscribers.insert(&subscriber)?;
                count(tx, server, number, |server| server.deletes += 1)?;
                if rollback { tx.abort("rolled back") } else { Ok(Branch::Taken) }
            })
            .await?;
        // One that is not there any more was ended by another generator.
        let gone = branch == Branch::Taken || self.sessions.first() == Some(&(number, server));
        if gone {
            self.sessions.retain(|session| *session != (number, server));
        }
        Ok(())
    }
}

impl Caller for Generator {
    async fn step(&mut self, node: &Node) -> Result<(), TransactionError> {
        let done = match self.random.random_range(0..100) {
            0..25 => self.update_location(node).await,
            25..50 => self.read_location(node),
            50..70 => self.read_details(node).await,
            70..85 => self.create_session(node).await,
            _ => self.delete_session(node).await,
        };
        match done {
            Err(TransactionError::Aborted(_)) => Ok(()),
            done => done,
        }
    }
}

fn bit(server: u64) -> u32 {
    1 << server
}

fn group_of(tx: &Tx, number: u64) -> Result<Group, TxError> {
    Read::Plain.one(&tx.table::<Group>()?, number)
}

fn count(tx: &Tx, server: u64, subscriber: u64, change: impl FnOnce(&mut Server)) -> Result<(), TxError> {
    let servers = tx.table::<Server>()?;
    let mut row = Read::ForUpdate.one(&servers, (server, subscriber % SUFFIXES))?;
    change(&mut row);
    servers.insert(&row)
}
