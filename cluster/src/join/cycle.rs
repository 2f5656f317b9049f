//! The joiner's and the leaver's side of the reboot cycle.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tabularaft_schema::{CopyMode, NodeId, NodeName, TableName};
use tabularaft_store::{Identity, Incarnation, LogIndex, Retired};

use super::check::{CheckReply, CheckRequest};
use super::export::{self, LocalData};
use crate::copy::{CopyProgress, OpenedCopy};
use crate::door;
use crate::engine::Engine;
use crate::engine::suspect::removal;
use crate::error::{JoinError, LeaveError, StartError};
use crate::inner::NodeInner;
use crate::lifecycle::{HookFailed, Lifecycle, Reason};
use crate::node::Joined;
use crate::peers::{PeerError, Peers};
use crate::transport::ConnectError;
use crate::wire::{Answer, Call};

/// How long the leader may take for a step; it may change meanwhile.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long catching up with the log and the promotion may take.
const FINISH_TIMEOUT: Duration = Duration::from_secs(300);

/// The cluster that this node would join.
struct Welcome {
    cluster_id: u128,
    leader: String,
}

/// What was put aside, for the way back.
struct Aside {
    retired: Option<Retired>,
    identity: Option<Identity>,
    engine: Option<Arc<Engine>>,
}

/// Joins the cluster of `peer`.
pub(crate) async fn join(
    node: &Arc<NodeInner>,
    peer: &str,
    local_data: LocalData,
    reason: Reason,
) -> Result<Joined, JoinError> {
    let Ok(_cycle) = node.cycle.try_lock() else { return Err(JoinError::Busy) };
    node.hub.tell(Lifecycle::Checking { peer: peer.to_owned() });
    let copies = declared_copies(node)?;
    let Some(welcome) = check(node, peer, reason).await? else { return Ok(Joined::Ignored) };
    // A healing node comes back to its own cluster, which has all it had.
    let holdings = if reason == Reason::Heal { Vec::new() } else { local_holdings(node) };
    if local_data == LocalData::Refuse && !holdings.is_empty() {
        return Err(JoinError::WouldDiscardData { tables: holdings });
    }
    node.hub.prepare(reason).await.map_err(|HookFailed { hook, why }| JoinError::Hook { hook, why })?;
    let exported = match local_data {
        LocalData::Export if !holdings.is_empty() => export_all(node).await?,
        _ => Vec::new(),
    };
    let aside =
        put_aside(node, "join").await.map_err(|error| rolled_back("putting local data aside", &error))?;
    match take_place(node, peer, &welcome, copies).await {
        Ok(engine) => {
            node.home.discard(aside.retired.as_ref());
            node.hub.tell(Lifecycle::Running { incarnation: engine.life.incarnation });
            node.hub.rebooted(reason).await;
            Ok(Joined::Joined { exported })
        }
        Err(failed) => {
            let why = failed.to_string();
            tracing::error!(why, "the join failed, local data comes back");
            node.hub.tell(Lifecycle::RolledBack { why });
            come_back(node, aside).await;
            node.hub.rebooted(reason).await;
            Err(failed)
        }
    }
}

/// What the modules' copy hooks say about this node.
fn declared_copies(node: &NodeInner) -> Result<BTreeMap<TableName, Option<CopyMode>>, JoinError> {
    let copies = tabularaft_schema::copy_modules()
        .map_err(|error| JoinError::Hook { hook: "copy".to_owned(), why: error.to_string() })?;
    let skipped = copies.iter().find(|(_, mode)| mode.is_none());
    if let (Some((table, _)), true) = (skipped, node.config.voter) {
        let why =
            format!("a voter holds every table, and the hook skips {table}; set voter = false for this node");
        return Err(JoinError::Hook { hook: "copy".to_owned(), why });
    }
    Ok(copies)
}

/// Asks the peer. `None`: it is this node itself.
async fn check(node: &Arc<NodeInner>, peer: &str, reason: Reason) -> Result<Option<Welcome>, JoinError> {
    let own = node.engine().map(|engine| engine.store.view());
    let members = own.as_ref().map_or(0, |view| view.system().members.len());
    let cluster = own.as_ref().and_then(|view| view.system().cluster.clone());
    let removed = node.home.identity().is_some_and(|identity| identity.removed.is_some());
    let comes_back = removed || reason == Reason::Heal;
    let request = CheckRequest {
        name: node.name.clone(),
        address: node.advertise.clone(),
        cluster_id: cluster.as_ref().map(|cluster| cluster.id).filter(|_| !comes_back),
        settings: node.config.shared(),
        tables: declared_tables()?,
        replaces: node.engine().map(|engine| engine.node()).filter(|_| comes_back),
    };
    let peers = stranger(node);
    let answer =
        peers.call_until(peer, &Call::JoinCheck(Box::new(request)), door::now() + door::ms(10_000)).await;
    peers.close().await;
    let reply = match answer {
        Ok(Answer::JoinCheck(reply)) => *reply,
        Ok(other) => return Err(JoinError::NotReady(format!("{peer} answered {other:?}"))),
        Err(error) => return Err(unreachable(peer, error)),
    };
    match reply {
        CheckReply::Yourself => Ok(None),
        CheckReply::AlreadyMember { members } => {
            let cluster = cluster.map(|cluster| cluster.name).unwrap_or_default();
            Err(JoinError::AlreadyInCluster { cluster, members })
        }
        CheckReply::Incompatible(differences) => Err(JoinError::Incompatible { differences }),
        CheckReply::NameTaken { by } => Err(JoinError::NameTaken { name: node.name.clone(), by }),
        CheckReply::NotReady(why) => Err(JoinError::NotReady(why)),
        CheckReply::Welcome { .. } if members > 1 && !comes_back => {
            let cluster = cluster.map(|cluster| cluster.name).unwrap_or_default();
            Err(JoinError::AlreadyInCluster { cluster, members })
        }
        CheckReply::Welcome { cluster_id, leader, .. } => {
            let leader = leader.map_or_else(|| peer.to_owned(), |(_, address)| address);
            Ok(Some(Welcome { cluster_id, leader }))
        }
    }
}

fn declared_tables() -> Result<Vec<(String, String)>, JoinError> {
    let fingerprint = tabularaft_schema::fingerprint()
        .map_err(|error| JoinError::Hook { hook: "boot".to_owned(), why: error.to_string() })?;
    Ok(fingerprint.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// Connections of a node that has no place in the cluster yet.
fn stranger(node: &NodeInner) -> Peers {
    Peers::new(node.transport.clone(), node.introduction(Incarnation { node: 0, life: 0 }, None), None)
}

/// Whether the cluster knows this node under an id that it got when it came back, and was killed before it could use.
/// `None`: the peer does not say.
pub(crate) async fn has_other_id(node: &NodeInner, peer: &str) -> Option<bool> {
    let peers = stranger(node);
    let call = Call::Place { name: node.name.clone(), address: node.advertise.clone() };
    let answer = peers.call_until(peer, &call, door::now() + door::ms(2_000)).await;
    peers.close().await;
    match answer {
        Ok(Answer::Place(id)) => Some(id.is_some()),
        _ => None,
    }
}

fn unreachable(peer: &str, error: PeerError) -> JoinError {
    let peer = peer.to_owned();
    match error {
        PeerError::Connect(ConnectError::Refused { refusal, .. }) => JoinError::Refused { peer, refusal },
        PeerError::Connect(source) => JoinError::NodeDown { peer, source },
        other => JoinError::NotReady(format!("{peer}: {other}")),
    }
}

/// The tables with records that a join would discard.
fn local_holdings(node: &NodeInner) -> Vec<(TableName, u64)> {
    node.engine().map(|engine| export::holdings(&engine.store.view())).unwrap_or_default()
}

async fn export_all(node: &NodeInner) -> Result<Vec<PathBuf>, JoinError> {
    let Some(engine) = node.engine() else { return Ok(Vec::new()) };
    let dir = node.home.exports_dir();
    let files = door::blocking(move || export::write(&engine.store.view(), &dir))
        .await
        .unwrap_or_else(|error| Err((PathBuf::new(), error.to_string())))
        .map_err(|(path, why)| JoinError::Export { path, why })?;
    node.hub.tell(Lifecycle::Exported(files.clone()));
    Ok(files)
}

async fn put_aside(node: &Arc<NodeInner>, reason: &str) -> Result<Aside, StartError> {
    let identity = node.home.identity();
    let engine = node.set_engine_aside().await;
    let retired = node.home.retire(reason)?;
    node.hub.tell(Lifecycle::Retired);
    Ok(Aside { retired, identity, engine })
}

/// Brings back what was put aside, and goes on with it.
async fn come_back(node: &Arc<NodeInner>, aside: Aside) {
    node.stop_engine().await;
    let was_nothing = aside.identity.is_none();
    if let Err(error) = node.home.restore(aside.retired.as_ref(), aside.identity) {
        tracing::error!(%error, "local data did not come back; the next start brings it back");
        return;
    }
    if was_nothing {
        // A node that was started to join does not run on without having joined.
        return;
    }
    let outcome = match (node.home.is_diskless(), aside.engine) {
        (true, Some(former)) => node.revive(&former).await,
        _ => node.start_engine().await.map(|_| ()),
    };
    if let Err(error) = outcome {
        tracing::error!(%error, "the node did not start with its former data");
    }
}

fn rolled_back(step: &'static str, why: &dyn std::fmt::Display) -> JoinError {
    JoinError::RolledBack { step, why: why.to_string() }
}

/// Admission, copy, start, promotion. An error leaves the way back to the caller.
async fn take_place(
    node: &Arc<NodeInner>,
    peer: &str,
    welcome: &Welcome,
    copies: BTreeMap<TableName, Option<CopyMode>>,
) -> Result<Arc<Engine>, JoinError> {
    let (id, at) = admitted(node, peer, welcome, copies).await?;
    node.hub.tell(Lifecycle::Admitted { node: id });
    let engine = copied(node, peer, welcome.cluster_id, id, at).await?;
    node.set_engine(Some(Arc::clone(&engine)));
    engine.take_part().await.map_err(|error| rolled_back("starting raft", &error))?;
    node.hub.tell(Lifecycle::CatchingUp);
    let finish = Call::JoinFinish { node: id, voter: node.config.voter };
    let members = [welcome.leader.clone(), peer.to_owned()];
    let whereabouts = Whereabouts { known: || leader_address(&engine), members: &members };
    ask_leader(&engine.peers, whereabouts, &finish, FINISH_TIMEOUT)
        .await
        .map_err(|why| rolled_back("being added to the raft group", &why))?;
    engine.spawn(crate::engine::suspect::watch_removal(Arc::downgrade(node), Arc::downgrade(&engine)));
    crate::engine::ailing::watch(node, &engine);
    Ok(engine)
}

async fn admitted(
    node: &Arc<NodeInner>,
    peer: &str,
    welcome: &Welcome,
    copies: BTreeMap<TableName, Option<CopyMode>>,
) -> Result<(NodeId, LogIndex), JoinError> {
    let peers = stranger(node);
    let copies = copies.into_iter().collect();
    let call = Call::JoinAdmit { name: node.name.clone(), address: node.advertise.clone(), copies };
    let members = [welcome.leader.clone(), peer.to_owned()];
    let whereabouts = Whereabouts { known: || None, members: &members };
    let answer = ask_leader(&peers, whereabouts, &call, STEP_TIMEOUT).await;
    peers.close().await;
    match answer {
        Ok(Answer::Admitted { node, at }) => Ok((node, at)),
        Ok(other) => Err(rolled_back("being admitted", &format!("the leader answered {other:?}"))),
        Err(why) => Err(rolled_back("being admitted", &why)),
    }
}

/// Settles in the cluster: a new identity, and a copy of everything as of one index.
async fn copied(
    node: &Arc<NodeInner>,
    peer: &str,
    cluster_id: u128,
    id: NodeId,
    at: LogIndex,
) -> Result<Arc<Engine>, JoinError> {
    let failed = |why: &dyn std::fmt::Display| rolled_back("copying the tables", why);
    node.home.settle(cluster_id, id, &node.advertise).map_err(|error| failed(&error))?;
    let inner = Arc::clone(node);
    let opened = door::blocking(move || inner.home.begin_life())
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))?;
    let engine = node.open_engine(opened);
    let copy = OpenedCopy::open(Arc::clone(&engine.peers), peer, at).await.map_err(|error| failed(&error))?;
    let hub = node.hub.clone();
    let tell = move |progress: CopyProgress| hub.tell(copying(progress));
    let staging = copy.fetch_store(&engine.store, &tell).await;
    copy.close().await;
    let staging = staging.map_err(|error| failed(&error))?;
    let store = Arc::clone(&engine.store);
    door::blocking(move || store.install(staging))
        .await
        .map_err(|error| failed(&error))?
        .map_err(|error| failed(&error))?;
    Ok(engine)
}

fn copying(progress: CopyProgress) -> Lifecycle {
    Lifecycle::Copying {
        table: progress.table,
        records: progress.records,
        records_total: progress.records_total,
        bytes: progress.bytes,
        bytes_total: progress.bytes_total,
    }
}

/// Where a leader is looked for.
struct Whereabouts<'a, F> {
    /// Who leads as far as this node knows by itself.
    known: F,
    /// Members that know more, as long as it does not.
    members: &'a [String],
}

/// Why nobody has done what a leader was asked for.
enum NotDone {
    /// The members refuse this node, as one that was removed.
    Removed,
    Failed(String),
}

impl std::fmt::Display for NotDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Removed => f.write_str("this node was removed meanwhile"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Asks the leader, following it where it goes: also from one that dies or hangs to the one after it.
async fn ask_leader(
    peers: &Peers,
    whereabouts: Whereabouts<'_, impl Fn() -> Option<String>>,
    call: &Call,
    timeout: Duration,
) -> Result<Answer, NotDone> {
    let deadline = door::now() + timeout;
    let mut next = None;
    let mut members = whereabouts.members.iter().cycle();
    let mut last = "no leader is known".to_owned();
    while door::now() < deadline {
        let address = next.take().or_else(|| (whereabouts.known)()).or_else(|| members.next().cloned());
        if let Some(address) = address {
            let answer = tokio::select! {
                // A call that is dropped may be done all the same, as one whose answer is lost.
                biased;
                answer = peers.call_until(&address, call, deadline) => answer,
                () = replaced(&whereabouts.known, &address) => continue,
            };
            match answer {
                Ok(Answer::NotLeader { leader: Some((_, leader)) }) => {
                    last = format!("{address} does not lead any more");
                    next = Some(leader);
                }
                Ok(Answer::NotLeader { leader: None }) => last = format!("{address} knows no leader"),
                Ok(Answer::Failed(why)) => return Err(NotDone::Failed(why)),
                Ok(answer) => return Ok(answer),
                Err(error) if removal(&error).is_some() => return Err(NotDone::Removed),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
        door::sleep(door::ms(100)).await;
    }
    Err(NotDone::Failed(last))
}

/// Resolves when another node than the one at this address is known to lead.
async fn replaced(known: &impl Fn() -> Option<String>, address: &str) {
    let began = known();
    loop {
        door::sleep(door::ms(200)).await;
        let now = known();
        if now != began && now.is_some_and(|leader| leader != address) {
            return;
        }
    }
}

/// As [`ask_leader`], by a member.
async fn ask_own_leader(engine: &Engine, call: &Call) -> Result<Answer, NotDone> {
    let whereabouts = Whereabouts { known: || leader_address(engine), members: &[] };
    ask_leader(&engine.peers, whereabouts, call, STEP_TIMEOUT).await
}

/// Leaves: the cluster first takes this node out, then this node starts anew, alone and empty.
pub(crate) async fn leave(node: &Arc<NodeInner>) -> Result<(), LeaveError> {
    let Ok(_cycle) = node.cycle.try_lock() else { return Err(LeaveError::Busy) };
    let engine = node.engine().ok_or(LeaveError::NotInCluster)?;
    if engine.store.view().system().members.len() <= 1 {
        return Err(LeaveError::NotInCluster);
    }
    node.hub
        .prepare(Reason::Leave)
        .await
        .map_err(|HookFailed { hook, why }| LeaveError::Hook { hook, why })?;
    let call = Call::Remove { node: engine.node(), force: true };
    match ask_own_leader(&engine, &call).await {
        // The leader may have died before it could answer.
        Ok(_) | Err(NotDone::Removed) => {}
        Err(NotDone::Failed(why)) => return Err(LeaveError::NotDone(why)),
    }
    drop(engine);
    let not_done = |error: StartError| LeaveError::NotDone(error.to_string());
    let aside = put_aside(node, "leave").await.map_err(not_done)?;
    node.home.discard(aside.retired.as_ref());
    node.found().await.map_err(not_done)?;
    node.hub.rebooted(Reason::Leave).await;
    Ok(())
}

/// Takes another member out.
pub(crate) async fn remove_member(
    node: &Arc<NodeInner>,
    name: &NodeName,
    force: bool,
) -> Result<(), LeaveError> {
    if *name == node.name {
        return Err(LeaveError::IsSelf);
    }
    let engine = node.engine().ok_or(LeaveError::NotInCluster)?;
    let member = engine.store.view().system().member_named(name).map(|(id, _)| id);
    let id = member.ok_or_else(|| LeaveError::NoSuchMember(name.clone()))?;
    let call = Call::Remove { node: id, force };
    ask_own_leader(&engine, &call).await.map(drop).map_err(|why| LeaveError::NotDone(why.to_string()))
}

/// Where the leader is, this node included.
pub(crate) fn leader_address(engine: &Engine) -> Option<String> {
    if engine.is_leading() {
        return Some(engine.life.advertise.clone());
    }
    engine.leadership.borrow().leader().map(|(_, address)| address)
}
