//! A node without a network: its identity, its log, its store, and the entries that went through them.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use tabularaft_schema::{CopyMode, FieldType, NodeName, TableDef, TableId, TableKind};
use tabularaft_store::disc::{DiscControl, OsDisc};
use tabularaft_store::log::{Durability, LogEntry, LogError, LogOptions, OnDone, RaftLog};
use tabularaft_store::{Batch, DataDir, Effect, Identity, LogIndex, Position, Store, StoreOptions};

use crate::content::{Content, Opened};

const TERM: u64 = 3;
pub(crate) const BOOT: &str = "the boot of this machine";
/// No callback takes longer, however slow the machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// A running node.
pub(crate) struct Life {
    pub(crate) dir: DataDir,
    identity: Identity,
    pub(crate) log: RaftLog,
    pub(crate) store: Arc<Store>,
}

impl Life {
    /// Starts a node, a new one if the directory is empty, and applies what its log has and its checkpoint lacks.
    pub(crate) fn begin(path: &Path, disc: Arc<dyn DiscControl>) -> Result<Self, String> {
        Self::begin_under(BOOT, path, disc)
    }

    /// The same, under another boot of the machine.
    pub(crate) fn begin_under(boot: &str, path: &Path, disc: Arc<dyn DiscControl>) -> Result<Self, String> {
        let dir = DataDir::open_on(path, Arc::clone(&disc)).map_err(said)?;
        // A change of membership was interrupted: the data of before comes back.
        if let Some(retired) = dir.pending_retirement().map_err(said)? {
            dir.restore(&retired).map_err(said)?;
        }
        Self::begin_in(boot, dir, disc)
    }

    /// The same, in a directory that is held already.
    pub(crate) fn begin_in(boot: &str, dir: DataDir, disc: Arc<dyn DiscControl>) -> Result<Self, String> {
        let mut identity = match Identity::load_held(&dir).map_err(said)? {
            Some(identity) => identity,
            None => Identity::new("c", 7, me(), 1),
        };
        let machine_crashed = identity.machine_crashed(boot);
        identity.begin_life(&dir, boot).map_err(said)?;
        let options = LogOptions {
            segment_bytes: 16 * 1024,
            machine_crashed,
            disc: Arc::clone(&disc),
            ..LogOptions::default()
        };
        let (log, _) = RaftLog::open(&dir.log_dir(), options).map_err(said)?;
        let store = Store::open(StoreOptions {
            dir: Some(dir.path().to_owned()),
            disc,
            checkpoint_interval: Duration::from_secs(3_600),
            replayed_upto: log.bounds().last.map(|last| LogIndex(last.index)),
            purged_upto: log.bounds().purged.map(|purged| LogIndex(purged.index)),
            ..StoreOptions::new(me())
        })
        .map_err(said)?;
        let life = Self { dir, identity, log, store };
        // As Raft does at its start: the log begins where a snapshot was installed, if it does not reach that far.
        let (applied, last) = (life.store.view().applied(), life.log.bounds().last);
        if let Some(applied) = applied.filter(|at| last.is_none_or(|last| at.index > last.index)) {
            life.purge(applied)?;
        }
        life.replay()?;
        Ok(life)
    }

    fn replay(&self) -> Result<(), String> {
        let mut writer = self.store.writer();
        let next = writer.applied().map_or(0, |applied| applied.index + 1);
        for entry in self.log.read(next..u64::MAX, usize::MAX).map_err(said)? {
            writer.apply(entry.position, &entry.payload).map_err(said)?;
        }
        writer.publish();
        Ok(())
    }

    /// What the node knows now.
    pub(crate) fn content(&self) -> Result<Content, String> {
        Content::of(&self.identity, &self.log, &self.store, &keys())
    }

    /// One entry, synced and then applied: `Ok` is what a caller would be told.
    pub(crate) fn write(&self, effects: Vec<Effect>) -> Result<(), String> {
        let index = self.log.bounds().last.map_or(0, |last| last.index + 1);
        let position = Position::new(TERM, index);
        let payload = Batch { term: TERM, decided: Vec::new(), effects, rests_on: None }.encode(true);
        let entry = LogEntry { position, payload: payload.clone() };
        done(|tell| self.log.append(vec![(entry, Durability::Synced)], tell)).map_err(said)?;
        self.log.set_committed(position);
        let mut writer = self.store.writer();
        writer.apply(position, &payload).map_err(said)?;
        writer.publish();
        Ok(())
    }

    pub(crate) fn write_local(&self, table: TableId, key: &str, value: &str) -> Result<(), String> {
        let mut writer = self.store.writer();
        let version = writer.next_local_version();
        writer.apply_local(&[put(table, key, value, version)]).map_err(said)?;
        writer.publish();
        Ok(())
    }

    pub(crate) fn vote(&self, vote: &str) -> Result<(), String> {
        done(|tell| self.log.save_vote(vote.to_owned().into(), tell)).map_err(said)
    }

    pub(crate) fn checkpoint_and_purge(&self) -> Result<(), String> {
        self.store.checkpoint_now(true).map_err(said)?;
        self.store.checkpointed().map_or(Ok(()), |upto| self.purge(upto))
    }

    pub(crate) fn purge(&self, upto: Position) -> Result<(), String> {
        done(|tell| self.log.purge(upto, tell)).map_err(said)
    }

    /// Stops in the order of a node: checkpoint, log, identity.
    pub(crate) fn end(mut self) -> Result<(), String> {
        self.store.close().map_err(said)?;
        self.log.close().map_err(said)?;
        self.identity.end_life(&self.dir).map_err(said)
    }

    /// As a killed process.
    pub(crate) fn die(self) {
        self.log.abandon();
    }
}

/// Opens a node's files, looks at everything, and closes them again.
pub(crate) fn look(path: &Path) -> Opened {
    let looked = Life::begin(path, Arc::new(OsDisc)).and_then(|life| {
        let content = life.content();
        life.die();
        content
    });
    match looked {
        Ok(content) => Opened::Serves(Box::new(content)),
        Err(message) => Opened::Refuses(message),
    }
}

/// A table of each kind and mode, some of them private to the node.
pub(crate) fn tables() -> Vec<TableDef> {
    let mut tables = Vec::new();
    for mode in [CopyMode::Disc, CopyMode::DiscOnly] {
        for kind in [TableKind::Set, TableKind::OrderedSet] {
            for local in [false, true] {
                let name = format!("t{}", tables.len());
                let builder = TableDef::builder(&name).unwrap().kind(kind).copy(mode);
                let builder =
                    builder.field("id", FieldType::String).field("value", FieldType::Bytes).key("id");
                let mut def = builder.build().unwrap();
                def.options.local_content = local;
                tables.push(def);
            }
        }
    }
    tables
}

/// The ids that the tables get, in order, and whether their content is local.
pub(crate) fn ids() -> Vec<(TableId, bool)> {
    tables().iter().zip(1..).map(|(def, id)| (TableId(id), def.options.local_content)).collect()
}

pub(crate) fn keys() -> Vec<String> {
    (0..60).map(|n| format!("key {n:03}")).collect()
}

pub(crate) fn put(table: TableId, key: &str, value: &str, version: u64) -> Effect {
    let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    Effect::Put { table, key, value, version, owner: None }
}

fn me() -> NodeName {
    "me@here".parse().unwrap()
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Hands an operation in and waits for its callback.
fn done(operation: impl FnOnce(OnDone) -> Result<(), LogError>) -> Result<(), LogError> {
    let (tell, told) = sync_channel(1);
    operation(Box::new(move |outcome| drop(tell.send(outcome))))?;
    told.recv_timeout(DEADLINE).expect("the callback of the log was not called")
}
