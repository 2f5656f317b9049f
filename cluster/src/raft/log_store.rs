//! openraft's log storage, on the store's Raft log.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tabularaft_store::log::{Durability, LogError, RaftLog};
use tokio::sync::oneshot;

use super::codec;
use super::types::{Entry, LogId, TypeConfig, Vote, log_id, position};
use crate::door::simulation::{self, Bug};

/// What one read for replication brings at most; a follower far behind asks again.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The adapter: a handle on the log, shared with every replication task.
#[derive(Clone)]
pub(crate) struct LogStore {
    log: RaftLog,
}

impl LogStore {
    pub(crate) fn new(log: RaftLog) -> Self {
        Self { log }
    }

    fn range(&self, range: impl RangeBounds<u64>) -> std::ops::Range<u64> {
        let first = self.log.bounds().purged.map_or(0, |purged| purged.index + 1);
        let end = self.log.bounds().last.map_or(first, |last| last.index + 1);
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start + 1,
            Bound::Unbounded => first,
        };
        let stop = match range.end_bound() {
            Bound::Included(&stop) => stop + 1,
            Bound::Excluded(&stop) => stop,
            Bound::Unbounded => end,
        };
        start.max(first)..stop.min(end)
    }

    fn read(&self, range: std::ops::Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.log.read(range, bytes_max).map_err(to_io)?.into_iter().map(codec::from_log).collect()
    }
}

/// Waits for a write of the log; an I/O error is fatal to this node's Raft, as openraft demands.
async fn written(
    start: impl FnOnce(tabularaft_store::log::OnDone) -> Result<(), LogError>,
) -> io::Result<()> {
    let (done, wait) = oneshot::channel();
    start(Box::new(move |result| {
        let _ = done.send(result);
    }))
    .map_err(to_io)?;
    wait.await.map_err(|_| io::Error::other("the log writer stopped"))?.map_err(to_io)
}

pub(crate) fn to_io(error: LogError) -> io::Error {
    io::Error::other(error)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(self.range(range), usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(self.range(start..end), READ_BYTES_MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.log.vote().map(|bytes| codec::decode(&bytes)).transpose()
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let bounds = self.log.bounds();
        let purged = bounds.purged.map(log_id);
        Ok(LogState { last_purged_log_id: purged, last_log_id: bounds.last.map(log_id).or(purged) })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let bytes = codec::encode(vote)?;
        if simulation::has(Bug::VoteNotSaved) {
            return Ok(());
        }
        written(|done| self.log.save_vote(bytes.into(), done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(committed) = committed {
            self.log.set_committed(position(&committed));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.log.committed().map(log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut entries = entries.into_iter().map(codec::to_log).collect::<io::Result<Vec<_>>>()?;
        if simulation::has(Bug::AcknowledgedBeforeSync) {
            entries.iter_mut().for_each(|(_, durability)| *durability = Durability::Written);
        }
        self.log
            .append(entries, Box::new(move |result| callback.io_completed(result.map_err(to_io))))
            .map_err(to_io)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        written(|done| self.log.truncate_after(last.map(|id| id.index), done)).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        written(|done| self.log.purge(position(&upto), done)).await
    }
}
