//! Whether this node is ready, and if not: for whom and what it waits.

use std::sync::Arc;
use std::time::Duration;

use tabularaft_schema::{NodeName, TableName};

use crate::door;
use crate::engine::Engine;
use crate::error::NotReady;
use crate::inner::NodeInner;
use crate::raft::Leadership;
use crate::transport::Lane;

const LOOK_EVERY_MS: u64 = 20;
const SIGN_OF_LIFE_MS: u64 = 700;

/// Which voters are present, as seen from this node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Presence {
    pub(crate) need: usize,
    pub(crate) have: usize,
    pub(crate) missing: Vec<NodeName>,
}

/// Waits until the tables are loaded here and a leader is known.
pub(crate) async fn wait(node: &NodeInner, tables: &[&str], timeout: Duration) -> Result<(), NotReady> {
    let deadline = door::now() + timeout;
    loop {
        let engine = node.engine();
        let (missing_tables, why) = match &engine {
            Some(engine) => (not_loaded(engine, tables), reason(node, engine).await),
            None => (Vec::new(), Some("this node is between two lives".to_owned())),
        };
        if missing_tables.is_empty() && why.is_none() {
            return Ok(());
        }
        if door::now() >= deadline {
            let presence = match &engine {
                Some(engine) => presence(engine).await,
                None => Presence::default(),
            };
            let why = why.unwrap_or_else(|| "tables are still being loaded".to_owned());
            let Presence { need, have, missing } = presence;
            return Err(NotReady { waited: timeout, why, need, have, missing, tables: missing_tables });
        }
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
    }
}

/// Of these tables, those that cannot be read here; of an empty list, of all that this node holds.
pub(crate) fn not_loaded(engine: &Engine, tables: &[&str]) -> Vec<TableName> {
    let view = engine.store.view();
    if tables.is_empty() {
        return view.tables().filter(|copy| !copy.is_ready()).map(|copy| copy.def().name.clone()).collect();
    }
    let is_ready = |name: &TableName| view.table_named(name).is_some_and(|copy| copy.is_ready());
    tables.iter().filter_map(|name| TableName::new(name).ok()).filter(|name| !is_ready(name)).collect()
}

/// Why writes have no leader here; `None` when they have.
pub(crate) async fn reason(node: &NodeInner, engine: &Engine) -> Option<String> {
    if let Some(removal) = node.home.identity().and_then(|identity| identity.removed) {
        return Some(format!(
            "this node was {}; `store-admin cluster join` makes it a member again",
            removal.reason
        ));
    }
    if let Some(ailment) = engine.ailment() {
        return Some(format!("{}; the node takes part again when it can write", ailment.why));
    }
    let Some(raft) = engine.raft() else {
        return Some(
            "this machine crashed or its disc failed, and the node does not vote until its peers are heard"
                .to_owned(),
        );
    };
    if let Some(fatal) = raft.status().fatal {
        return Some(format!("raft stopped: {fatal}"));
    }
    let leadership = engine.leadership.borrow().clone();
    let led = match leadership {
        Leadership::Leading { .. } => raft.has_majority(engine.config.election_ms * 2),
        // What was voted for in an earlier life says nothing of who is there now.
        Leadership::Following { leader: Some((_, address)) } => is_reachable(engine, &address).await,
        Leadership::Following { leader: None } => false,
    };
    (!led).then(|| "no leader: a majority of the voters is needed".to_owned())
}

/// Looks which voters can be reached.
pub(crate) async fn presence(engine: &Arc<Engine>) -> Presence {
    let view = engine.store.view();
    let voters = crate::raft::voters_of(&view);
    let looked = voters.iter().map(|(id, address)| {
        let address = engine.peers.address_of(*id).unwrap_or_else(|| address.clone());
        async move { *id == engine.node() || is_reachable(engine, &address).await }
    });
    let present: Vec<bool> = futures::future::join_all(looked).await;
    let name = |id: &u64| view.system().members.get(id).map(|member| member.name.clone());
    let missing =
        voters.iter().zip(&present).filter(|(_, present)| !**present).filter_map(|((id, _), _)| name(id));
    Presence {
        need: voters.len() / 2 + 1,
        have: present.iter().filter(|present| **present).count(),
        missing: missing.collect(),
    }
}

pub(crate) async fn is_reachable(engine: &Engine, address: &str) -> bool {
    let connected = engine.peers.connect(address, Lane::Calls, None);
    matches!(door::until(door::now() + door::ms(SIGN_OF_LIFE_MS), connected).await, Some(Ok(_)))
}
