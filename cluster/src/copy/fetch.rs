//! The receiving side of a copy.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tabularaft_schema::{TableId, TableName};
use tabularaft_store::{LoadedTable, LogIndex, Staging, Store, StoreError, TableBuilder, TableDigest};

use super::message::{BulkAnswer, BulkCall, OfferedTable};
use crate::door;
use crate::door::simulation::{self, Bug};
use crate::peers::{self, PeerError, Peers};
use crate::transport::Lane;
use crate::wire::GROUP;

const CHUNK_BYTES: u32 = 256 * 1024;
/// How long one chunk may take before the request is sent again.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a source may be out of reach before the copy gives up.
const PATIENCE: Duration = Duration::from_secs(5);
/// A source takes this long at most until it has applied what is asked for, or has digested a table.
const SLOW_CALL: Duration = Duration::from_secs(120);

/// Why a copy was not made. What was received so far is thrown away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CopyError {
    #[error("the source {address} is out of reach: {source}")]
    Source { address: String, source: PeerError },
    #[error("the source {address} no longer holds the view that was copied from")]
    ViewGone { address: String },
    #[error("the source {address} failed: {why}")]
    Failed { address: String, why: String },
    #[error(transparent)]
    Store(#[from] tabularaft_store::StoreError),
}

/// How far the copy of one table is.
#[derive(Debug, Clone)]
pub(crate) struct CopyProgress {
    pub(crate) table: TableName,
    pub(crate) records: u64,
    pub(crate) records_total: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_total: u64,
}

/// A view held at a source, and what is in it.
pub(crate) struct OpenedCopy {
    peers: Arc<Peers>,
    address: String,
    token: u64,
    /// The index of the view.
    pub(crate) at: LogIndex,
    /// Schema, members and windows as of the view.
    pub(crate) image: Bytes,
    pub(crate) tables: Vec<OfferedTable>,
}

impl OpenedCopy {
    /// Has the node at `address` hold a view of at least this index.
    pub(crate) async fn open(
        peers: Arc<Peers>,
        address: &str,
        at_least: LogIndex,
    ) -> Result<Self, CopyError> {
        let address = address.to_owned();
        match call(&peers, &address, &BulkCall::Open { group: GROUP, at_least }, SLOW_CALL).await? {
            BulkAnswer::Opened { token, at, image, tables } => {
                Ok(Self { peers, address, token, at, image, tables })
            }
            other => Err(unexpected(&address, other)),
        }
    }

    /// A view that a source has offered by itself.
    pub(crate) fn offered(
        peers: Arc<Peers>,
        address: String,
        token: u64,
        at: LogIndex,
        image: Bytes,
        tables: Vec<OfferedTable>,
    ) -> Self {
        Self { peers, address, token, at, image, tables }
    }

    pub(crate) fn offers(&self, table: TableId) -> Option<&OfferedTable> {
        self.tables.iter().find(|offered| offered.id == table)
    }

    /// Copies one table and checks it against the source's digest.
    pub(crate) async fn fetch(
        &self,
        table: &OfferedTable,
        name: &TableName,
        mut builder: TableBuilder,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<LoadedTable, CopyError> {
        let mut progress = CopyProgress {
            table: name.clone(),
            records: 0,
            records_total: table.records,
            bytes: 0,
            bytes_total: table.bytes,
        };
        tell(progress.clone());
        let mut arrived = Some(self.chunk(table.id, None).await?);
        while let Some((chunk, next)) = arrived {
            progress.bytes += chunk.len() as u64;
            let take = blocking(move || {
                let records = builder.push(&chunk)?.records;
                Ok((builder, records))
            });
            // The source reads the next chunk while this one is taken.
            let (taken, following) = tokio::join!(take, self.chunk_after(table.id, next));
            (builder, progress.records) = taken?;
            arrived = following?;
            tell(progress.clone());
        }
        // The source looks at all of its records for the digest while they are put in place here.
        let (built, digest) = tokio::join!(blocking(move || builder.build()), self.digest(table.id));
        let built = built?;
        let digest = if simulation::has(Bug::CopyUnchecked) { built.digest() } else { digest? };
        let checked = blocking(move || built.check(digest)).await;
        if let Err(CopyError::Store(StoreError::CopyDiffers { .. })) = &checked {
            simulation::count("copy refused for its digest");
        }
        if checked.is_ok() {
            simulation::count("table copied");
        }
        checked
    }

    /// Copies everything that this node is to hold. Tables that the source has not loaded stay to be loaded later.
    pub(crate) async fn fetch_store(
        &self,
        store: &Arc<Store>,
        tell: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<Staging, CopyError> {
        let (opened, image) = (Arc::clone(store), self.image.clone());
        let mut staging = blocking(move || opened.begin_install(&image)).await?;
        for held in staging.tables() {
            let Some(offered) = self.offers(held.id) else { continue };
            let loaded = self.fetch(offered, &held.def.name, staging.builder(held.id)?, tell).await?;
            staging.add(loaded)?;
        }
        Ok(staging)
    }

    /// One chunk, asked for again while the source can be reached again: this is where a broken stream resumes.
    async fn chunk(
        &self,
        table: TableId,
        cursor: Option<Bytes>,
    ) -> Result<(Bytes, Option<Bytes>), CopyError> {
        let call = BulkCall::Chunk { token: self.token, table, cursor, bytes_max: CHUNK_BYTES };
        match self::call(&self.peers, &self.address, &call, CHUNK_TIMEOUT).await? {
            BulkAnswer::Chunk { chunk, next } => Ok((chunk, next)),
            other => Err(unexpected(&self.address, other)),
        }
    }

    /// The chunk at the cursor, unless the one before was the last.
    async fn chunk_after(
        &self,
        table: TableId,
        cursor: Option<Bytes>,
    ) -> Result<Option<(Bytes, Option<Bytes>)>, CopyError> {
        match cursor {
            Some(cursor) => self.chunk(table, Some(cursor)).await.map(Some),
            None => Ok(None),
        }
    }

    async fn digest(&self, table: TableId) -> Result<TableDigest, CopyError> {
        let call = BulkCall::Digest { token: self.token, table };
        match self::call(&self.peers, &self.address, &call, SLOW_CALL).await? {
            BulkAnswer::Digest(digest) => Ok(digest),
            other => Err(unexpected(&self.address, other)),
        }
    }

    /// Lets the source go of the view; a source that cannot be told lets go by itself after a while.
    pub(crate) async fn close(self) {
        let _ =
            call(&self.peers, &self.address, &BulkCall::Close { token: self.token }, Duration::from_secs(1))
                .await;
    }
}

/// Calls the source until it answers, or has been out of reach for too long.
async fn call(
    peers: &Peers,
    address: &str,
    call: &BulkCall,
    timeout: Duration,
) -> Result<BulkAnswer, CopyError> {
    let give_up = door::now() + PATIENCE;
    loop {
        match once(peers, address, call, timeout).await {
            Ok(answer) => return Ok(answer),
            Err(source) if door::now() >= give_up => {
                return Err(CopyError::Source { address: address.to_owned(), source });
            }
            Err(error) => tracing::debug!(%error, address, "a bulk call is repeated"),
        }
        door::sleep(door::ms(100)).await;
    }
}

async fn once(
    peers: &Peers,
    address: &str,
    call: &BulkCall,
    timeout: Duration,
) -> Result<BulkAnswer, PeerError> {
    let exchange = async {
        let connection = peers.connect(address, Lane::Bulk, None).await?;
        let answer = connection.start(peers::encode(call)?).await?.await?;
        peers::decode(&answer)
    };
    door::until(door::now() + timeout, exchange).await.unwrap_or(Err(PeerError::TimedOut(timeout)))
}

fn unexpected(address: &str, answer: BulkAnswer) -> CopyError {
    let address = address.to_owned();
    match answer {
        BulkAnswer::UnknownView => CopyError::ViewGone { address },
        BulkAnswer::Failed(why) => CopyError::Failed { address, why },
        other => CopyError::Failed { address, why: format!("it answered {other:?}") },
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, tabularaft_store::StoreError> + Send + 'static,
) -> Result<T, CopyError> {
    match door::blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(CopyError::Failed { address: "this node".to_owned(), why: error.to_string() }),
    }
}
