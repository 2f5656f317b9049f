//! Loading records through the log, in bounded batches of which several are under way.

use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tabularaft_store::BackupRecord;

use super::asked::Asked;
use crate::admin::protocol::{AdminRequest, TableRef};
use crate::admin::{AdminError, AdminErrorKind};
use crate::door;

/// Batches that are under way at once: enough to keep the log busy, few enough that others' writes fit between.
const UNDER_WAY_MAX: usize = 4;
const BATCH_RECORDS: usize = 1_000;
const BATCH_BYTES: usize = 256 * 1024;
/// How long a cluster without a leader is waited for.
const PATIENCE_MS: u64 = 60_000;
const RETRY_MS: u64 = 100;

/// Writes records, in no particular order.
pub(super) struct Loader<'a> {
    asked: Asked<'a>,
    under_way: FuturesUnordered<BoxFuture<'a, Result<(), AdminError>>>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(asked: Asked<'a>) -> Self {
        Self { asked, under_way: FuturesUnordered::new() }
    }

    /// Takes records to write; waits while too many are under way.
    pub(super) async fn push(
        &mut self,
        table: &TableRef,
        records: Vec<BackupRecord>,
    ) -> Result<(), AdminError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for BackupRecord { record, .. } in records {
            bytes += record.len();
            batch.push(Bytes::from(record));
            if batch.len() >= BATCH_RECORDS || bytes >= BATCH_BYTES {
                bytes = 0;
                self.begin(table, std::mem::take(&mut batch)).await?;
            }
        }
        if batch.is_empty() { Ok(()) } else { self.begin(table, batch).await }
    }

    /// Waits until everything is written.
    pub(super) async fn finish(&mut self) -> Result<(), AdminError> {
        while let Some(written) = self.under_way.next().await {
            written?;
        }
        Ok(())
    }

    async fn begin(&mut self, table: &TableRef, records: Vec<Bytes>) -> Result<(), AdminError> {
        while self.under_way.len() >= UNDER_WAY_MAX {
            if let Some(written) = self.under_way.next().await {
                written?;
            }
        }
        self.under_way.push(Box::pin(write(self.asked, table.clone(), records)));
        Ok(())
    }
}

/// Writes one batch, again if need be: nobody else writes these records, so twice is the same as once.
async fn write(asked: Asked<'_>, table: TableRef, records: Vec<Bytes>) -> Result<(), AdminError> {
    let give_up = door::now() + door::ms(PATIENCE_MS);
    loop {
        let request = AdminRequest::PutMany { table: table.clone(), records: records.clone() };
        match asked.ask(request).await {
            Ok(_) => return Ok(()),
            Err(error) if may_repeat(&error, give_up) => door::sleep(door::ms(RETRY_MS)).await,
            Err(error) => return Err(error),
        }
    }
}

fn may_repeat(error: &AdminError, give_up: Instant) -> bool {
    let later = matches!(
        error.kind,
        AdminErrorKind::NotReady | AdminErrorKind::Unknown | AdminErrorKind::Unreachable
    );
    later && door::now() < give_up
}
