//! Where a node's life is kept: the data directory, or nothing at all.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tabularaft_schema::{NodeId, NodeName};
use tabularaft_store::disc::{DiscControl, DiscUse, OsDisc};
use tabularaft_store::files::Opening;
use tabularaft_store::log::{LogOptions, RaftLog};
use tabularaft_store::threads::{OsThreads, Threads};
use tabularaft_store::{DataDir, Identity, Incarnation, LogIndex, Removal, Retired, Store, StoreOptions};

use crate::config::NodeConfig;
use crate::door;
use crate::error::StartError;

/// What is written to see whether the disc takes it, and how much of it.
const PROBE: &str = "probe";
const PROBE_BYTES: u64 = 96 * 1024 * 1024;

/// A node's place on disc, and its identity.
pub(crate) struct Home {
    name: NodeName,
    config: NodeConfig,
    diskless: bool,
    /// Given up when the node stops, so that another process, or node, can take the directory.
    dir: ArcSwapOption<DataDir>,
    ground: Ground,
    boot_id: String,
    identity: Mutex<Option<Identity>>,
}

/// What a node stands on; tests and simulations put something else under it.
#[derive(Clone)]
pub(crate) struct Ground {
    pub(crate) disc: Arc<dyn DiscControl>,
    pub(crate) threads: Arc<dyn Threads>,
    /// `None`: as the kernel says.
    pub(crate) boot_id: Option<String>,
    /// Only for the test that shows what the rule of machine crashes prevents.
    pub(crate) forget_crashes: bool,
}

impl Default for Ground {
    fn default() -> Self {
        Self { disc: Arc::new(OsDisc), threads: Arc::new(OsThreads), boot_id: None, forget_crashes: false }
    }
}

/// The store and the log of one life.
pub(crate) struct Opened {
    pub(crate) store: Arc<Store>,
    pub(crate) log: RaftLog,
    pub(crate) incarnation: Incarnation,
    /// The machine crashed since the last life: what was only written to its page cache may be gone.
    pub(crate) machine_crashed: bool,
}

impl Home {
    /// Takes the directory (`None`: no disc) and reads whose it is.
    pub(crate) fn open(
        name: NodeName,
        config: NodeConfig,
        dir: Option<&Path>,
        ground: Ground,
    ) -> Result<Self, StartError> {
        let dir = dir.map(|dir| DataDir::open_on(dir, Arc::clone(&ground.disc))).transpose()?;
        if let Some(dir) = &dir
            && let Some(retired) = dir.pending_retirement()?
        {
            tracing::warn!(
                reason = retired.reason,
                "a membership change was interrupted, the data of before comes back"
            );
            dir.restore(&retired)?;
        }
        let identity = dir.as_ref().map(Identity::load_held).transpose()?.flatten();
        if let (Some(identity), Some(dir)) = (&identity, &dir) {
            identity.check_owner(dir.path(), &name, &config.cluster_name)?;
        }
        let boot_id = ground.boot_id.clone().unwrap_or_else(tabularaft_store::current_boot_id);
        let diskless = dir.is_none();
        let dir = ArcSwapOption::from(dir.map(Arc::new));
        Ok(Self { name, config, diskless, dir, ground, boot_id, identity: Mutex::new(identity) })
    }

    pub(crate) fn identity(&self) -> Option<Identity> {
        self.lock().clone()
    }

    pub(crate) fn exports_dir(&self) -> PathBuf {
        self.dir().map_or_else(std::env::temp_dir, |dir| dir.exports_dir())
    }

    pub(crate) fn is_diskless(&self) -> bool {
        self.diskless
    }

    /// Gives the directory up.
    pub(crate) fn close(&self) {
        self.dir.store(None);
    }

    fn dir(&self) -> Option<Arc<DataDir>> {
        self.dir.load_full()
    }

    /// Makes the identity of a node that founds or joins a cluster.
    pub(crate) fn settle(&self, cluster_id: u128, node: NodeId, advertise: &str) -> Result<(), StartError> {
        let mut identity = Identity::new(&self.config.cluster_name, cluster_id, self.name.clone(), node);
        identity.advertise = Some(advertise.to_owned());
        identity.boot_id.clone_from(&self.boot_id);
        if let Some(dir) = self.dir() {
            identity.save(&dir)?;
        }
        *self.lock() = Some(identity);
        Ok(())
    }

    /// Begins a life: opens what the last one left.
    pub(crate) fn begin_life(&self) -> Result<Opened, StartError> {
        let mut identity = self.lock();
        let Some(identity) = identity.as_mut() else {
            return Err(StartError::Configuration("the node has no identity yet".to_owned()));
        };
        let dir = self.dir();
        let machine_crashed = dir.is_some() && identity.life > 0 && identity.machine_crashed(&self.boot_id);
        match &dir {
            Some(dir) => {
                identity.begin_life(dir, &self.boot_id)?;
            }
            None => identity.life += 1,
        }
        let Ground { disc, threads, forget_crashes, .. } = self.ground.clone();
        let options = LogOptions {
            machine_crashed,
            disc: Arc::clone(&disc),
            threads: Arc::clone(&threads),
            ..LogOptions::default()
        };
        let log = match &dir {
            Some(dir) => {
                let (log, recovered) = RaftLog::open(&dir.log_dir(), options)?;
                tracing::info!(?recovered, "log opened");
                log
            }
            None => RaftLog::in_memory(options),
        };
        let store = Store::open(StoreOptions {
            dir: dir.as_ref().map(|dir| dir.path().to_owned()),
            disc,
            threads,
            checkpoint_bytes: self.config.checkpoint_bytes as usize,
            history_bytes: usize::try_from(self.config.history_bytes).unwrap_or(usize::MAX),
            replayed_upto: log.bounds().last.map(|last| LogIndex(last.index)),
            purged_upto: log.bounds().purged.map(|purged| LogIndex(purged.index)),
            ..StoreOptions::new(self.name.clone())
        })?;
        let incarnation = Incarnation { node: identity.node_id, life: identity.life };
        Ok(Opened { store, log, incarnation, machine_crashed: machine_crashed && !forget_crashes })
    }

    /// Marks a clean end: everything that was acknowledged is on disc.
    pub(crate) fn end_life(&self) {
        self.change(|dir, identity| identity.end_life(dir).map(|_| ()));
    }

    /// The node may vote again after its machine's crash.
    pub(crate) fn settle_crash(&self) {
        self.change(|dir, identity| identity.settle_crash(dir).map(|_| ()));
    }

    /// The cluster goes on with this node alone, as another cluster; it need not fear to have forgotten what others know.
    pub(crate) fn recovered(&self, cluster_id: u128) -> Result<(), StartError> {
        let mut identity = self.lock();
        if let (Some(dir), Some(identity)) = (self.dir(), identity.as_mut()) {
            identity.change(&dir, |identity| {
                identity.cluster_id = cluster_id;
                identity.crash_unsettled = false;
                identity.clean_shutdown = true;
                identity.peers.clear();
            })?;
        }
        Ok(())
    }

    /// Whether the disc takes as much as a node needs to go on: another segment of the log, and some of a checkpoint.
    pub(crate) fn try_writing(&self) -> std::io::Result<()> {
        let Some(dir) = self.dir() else { return Ok(()) };
        let (disc, path) = (dir.disc(), dir.path().join(PROBE));
        disc.before_write(DiscUse::DataDir, PROBE_BYTES as usize)?;
        let file = disc.files().open(&path, Opening::Emptied)?;
        let tried = file
            .reserve(PROBE_BYTES)
            .and_then(|()| file.write_all_at(&[1; 4096], 0))
            .and_then(|()| disc.before_sync(DiscUse::DataDir))
            .and_then(|()| file.sync_data());
        drop(file);
        disc.files().remove_file(&path)?;
        tried
    }

    /// The disc may have lost what this node acknowledged: it must come back as after a crash of its machine.
    pub(crate) fn note_possible_loss(&self) -> std::io::Result<()> {
        let mut identity = self.lock();
        if let (Some(dir), Some(identity)) = (self.dir(), identity.as_mut()) {
            identity
                .change(&dir, |identity| identity.crash_unsettled = true)
                .map_err(std::io::Error::other)?;
        }
        Ok(())
    }

    pub(crate) fn mark_removed(&self, reason: String) {
        let removal = Removal { at_unix_ms: door::unix_ms(), reason };
        self.change(|dir, identity| identity.change(dir, |identity| identity.removed = Some(removal)));
    }

    fn change(
        &self,
        change: impl FnOnce(&DataDir, &mut Identity) -> Result<(), tabularaft_store::IdentityError>,
    ) {
        let mut identity = self.lock();
        if let (Some(dir), Some(identity)) = (self.dir(), identity.as_mut())
            && let Err(error) = change(&dir, identity)
        {
            tracing::error!(%error, "the identity file was not written");
        }
    }

    /// Puts the data aside; `None` without a disc.
    pub(crate) fn retire(&self, reason: &str) -> Result<Option<Retired>, StartError> {
        let retired = self.dir().map(|dir| dir.retire(reason)).transpose()?;
        *self.lock() = None;
        Ok(retired)
    }

    /// Brings the data back that was put aside, in place of whatever is there now.
    pub(crate) fn restore(
        &self,
        retired: Option<&Retired>,
        identity: Option<Identity>,
    ) -> Result<(), StartError> {
        if let (Some(dir), Some(retired)) = (self.dir(), retired) {
            dir.restore(retired)?;
        }
        *self.lock() = identity;
        Ok(())
    }

    /// The change is complete: the data that was put aside goes.
    pub(crate) fn discard(&self, retired: Option<&Retired>) {
        if let (Some(dir), Some(retired)) = (self.dir(), retired)
            && let Err(error) = dir.discard(retired)
        {
            tracing::warn!(%error, "retired data was not deleted");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Identity>> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
