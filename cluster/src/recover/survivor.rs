//! A stopped node that is left when the majority is lost for good.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tabularaft_schema::{CopyMode, NodeId, NodeName, SchemaChange};
use tabularaft_store::{Effect, Identity, MemberChange, Recovery};

use super::plan::Known;
use super::{Plan, RecoverError};
use crate::config::NodeConfig;
use crate::door;
use crate::home::{Ground, Home, Opened};
use crate::raft::{self, Peer};

/// A stopped node's data, opened to go on with it.
pub struct Survivor {
    path: PathBuf,
    home: Home,
    identity: Identity,
    opened: Opened,
    /// The voters of every membership that may be in force.
    voters: BTreeSet<NodeId>,
}

impl Survivor {
    /// Opens the data of a stopped node, and applies what it knows to be committed.
    ///
    /// # Errors
    /// [`RecoverError`] if the node runs, was removed, or its data cannot be used.
    pub fn open(data_dir: &Path) -> Result<Self, RecoverError> {
        let no_node = || RecoverError::NoNode { path: data_dir.to_owned() };
        let identity = Identity::load(data_dir)?.ok_or_else(no_node)?;
        if let Some(removal) = &identity.removed {
            return Err(RecoverError::Removed { reason: removal.reason.clone() });
        }
        let config = NodeConfig { cluster_name: identity.cluster.clone(), ..NodeConfig::default() };
        let home = Home::open(identity.node.clone(), config, Some(data_dir), Ground::default())?;
        let opened = home.begin_life()?;
        let remembered = raft::replay(&opened.store, &opened.log).map_err(RecoverError::Log)?;
        let voters = remembered.voters.into_keys().collect();
        Ok(Self { path: data_dir.to_owned(), home, identity, opened, voters })
    }

    /// What going on with this node's data would do. Changes nothing.
    ///
    /// # Errors
    /// [`RecoverError`] if it makes no sense, as when those that are kept are a majority.
    pub fn plan(&self, keep: &[NodeName]) -> Result<Plan, RecoverError> {
        let view = self.opened.store.view();
        let ram = view.tables().filter(|table| table.mode() == CopyMode::Ram);
        let known = Known {
            node: &self.identity.node,
            system: view.system(),
            voters: &self.voters,
            committed: self.opened.log.committed().max(view.applied()),
            last: self.opened.log.bounds().last.max(view.applied()),
            after_crash: self.opened.machine_crashed,
            ram_tables: ram.map(|table| table.def().name.clone()).collect(),
        };
        Plan::new(known, keep)
    }

    /// Goes on with this node as the only member of a cluster with a new id, and leaves a record of it in the data
    /// directory and in the cluster's state. Start the node afterwards as ever.
    ///
    /// # Errors
    /// [`RecoverError::Log`]: not done; the same call may be made again.
    pub fn go_on(self, plan: &Plan) -> Result<Recovery, RecoverError> {
        let (log, store) = (&self.opened.log, &self.opened.store);
        let (node, cluster_id) = (self.identity.node_id, door::random_u128());
        let peer = Peer { name: self.identity.node.clone(), address: self.address() };
        let recover = MemberChange::Recover { node, cluster_id, at_unix_ms: door::unix_ms() };
        let others = plan.lost.iter().map(|lost| &lost.name).chain(&plan.rebuild);
        let forgotten = others.map(|name| Effect::Schema(SchemaChange::ForgetNode(name.clone())));
        let effects = std::iter::once(Effect::Member(recover)).chain(forgotten).collect();
        raft::force(log, node, peer, effects).map_err(RecoverError::Log)?;
        raft::replay(store, log).map_err(RecoverError::Log)?;

        let view = store.view();
        let record =
            view.system().recoveries.last().filter(|record| record.cluster_id == cluster_id).cloned();
        drop(view);
        let after =
            |what, why: &dyn std::fmt::Display| RecoverError::AfterTheFact { what, why: why.to_string() };
        let record = record.ok_or_else(|| after("applying it", &"the log was not applied to its end"))?;
        write_record(&self.path, &record, plan).map_err(|error| after("writing the record", &error))?;
        store.close().map_err(|error| after("the checkpoint", &error))?;
        log.close().map_err(|error| after("closing the log", &error))?;
        self.home.recovered(cluster_id).map_err(|error| after("writing the identity", &error))?;
        self.home.close();
        Ok(record)
    }

    /// Closes the data without any change.
    pub fn leave(self) {
        if self.opened.store.close().is_ok() && self.opened.log.close().is_ok() {
            self.home.end_life();
        }
        self.home.close();
    }

    fn address(&self) -> String {
        let view = self.opened.store.view();
        let member = view.system().members.get(&self.identity.node_id);
        member.map(|member| member.address.clone()).unwrap_or_default()
    }
}

/// What stays in the data directory for people: what was done, when, and what it gave up.
fn write_record(dir: &Path, record: &Recovery, plan: &Plan) -> std::io::Result<()> {
    let path = dir.join(format!("recovery-{}.json", record.at_unix_ms));
    let text = serde_json::json!({
        "at_unix_ms": record.at_unix_ms,
        "at_log_index": record.at.0,
        "former_cluster_id": format!("{:032x}", record.former_id),
        "cluster_id": format!("{:032x}", record.cluster_id),
        "plan": plan,
    });
    let mut file = fs::File::create(path)?;
    file.write_all(format!("{text:#}\n").as_bytes())?;
    file.sync_all()
}
