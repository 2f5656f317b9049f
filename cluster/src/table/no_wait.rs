//! Writes that their caller does not wait for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tabularaft_schema::{KeyFor, Record, TableDef};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Table;
use super::write::{bytes, not_writable, parts};
use crate::door;
use crate::error::{FailedWrite, FlushError, WriteError};
use crate::inner::NodeInner;
use crate::write::{Op, Request};

/// Writes of one handle that may wait or travel.
const WAITING_MAX: usize = 8_192;
/// How much travels at once.
const GROUP_WRITES_MAX: usize = 1_024;
const GROUP_BYTES_MAX: usize = 512 * 1024;
/// So many failures are told one by one until the next flush.
const FAILURES_MAX: usize = 1_000;

/// Writes to a table in order, without waiting for each: see [`Table::no_wait`].
///
/// The writes of one handle happen in the order of the calls. They travel in groups: while one is on its way, the next
/// gathers. Dropping the handle stops nothing, and reports nothing.
pub struct NoWait<R> {
    table: Table<R>,
    room: Arc<Semaphore>,
    queue: mpsc::Sender<Item>,
    failures: Arc<Mutex<FlushError>>,
}

struct Item {
    op: Op,
    key: Bytes,
    /// Its place among those that may wait; given back when the write has its outcome.
    _room: OwnedSemaphorePermit,
}

impl<R: Record> Table<R> {
    /// A handle for writes that are not waited for: they return at once, happen in order, and what failed is told by
    /// [`NoWait::flush`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, on which the writes go on.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use serde::{Deserialize, Serialize};
    /// # use tabularaft::{Node, Record};
    /// # #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
    /// # #[record(table = "sample", kind = "ordered-set", copy = "ram", crate = "tabularaft::schema")]
    /// # struct Sample { #[key] at: u64, value: f64 }
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// # node.create_table::<Sample>().await?;
    /// let samples = node.table::<Sample>()?;
    /// let writes = samples.no_wait();
    /// for at in 0..1_000 {
    ///     writes.insert_when_free(&Sample { at, value: 0.5 }).await?;
    /// }
    /// writes.flush().await?;
    /// assert_eq!(samples.count()?, 1_000);
    /// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    pub fn no_wait(&self) -> NoWait<R> {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let failures = Arc::new(Mutex::new(FlushError::default()));
        let writer = Writer {
            node: Arc::clone(&self.node),
            def: Arc::clone(&self.def),
            timeout: self.timeout,
            failures: Arc::clone(&failures),
        };
        tokio::spawn(writer.run(waiting));
        NoWait { table: self.clone(), room: Arc::new(Semaphore::new(WAITING_MAX)), queue, failures }
    }
}

impl<R: Record> NoWait<R> {
    /// Inserts the record some time later.
    ///
    /// # Errors
    ///
    /// [`WriteError::Overloaded`] if as many writes as may be are waiting; others when the record does not fit its
    /// table. Then it does not happen.
    pub fn insert(&self, record: &R) -> Result<(), WriteError> {
        self.push(self.put(record)?, self.room()?)
    }

    /// As [`NoWait::insert`], but waits for room.
    ///
    /// # Errors
    ///
    /// As [`NoWait::insert`], but for [`WriteError::Overloaded`].
    pub async fn insert_when_free(&self, record: &R) -> Result<(), WriteError> {
        let put = self.put(record)?;
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(|_| WriteError::Stopped)?;
        self.push(put, room)
    }

    /// Deletes the record (of a bag: all records) under the key some time later.
    ///
    /// # Errors
    ///
    /// As [`NoWait::insert`].
    pub fn delete(&self, key: impl KeyFor<R::Key>) -> Result<(), WriteError> {
        let (table, key) = (self.id()?, bytes(key.to_key()));
        self.push((Op::Delete { table, key: key.clone() }, key), self.room()?)
    }

    /// Deletes exactly this record some time later.
    ///
    /// # Errors
    ///
    /// As [`NoWait::insert`].
    pub fn delete_object(&self, record: &R) -> Result<(), WriteError> {
        let (table, (key, value)) = (self.id()?, parts(record)?);
        self.push((Op::DeleteObject { table, key: key.clone(), value }, key), self.room()?)
    }

    /// Waits until every write before this call has its outcome.
    ///
    /// # Errors
    ///
    /// [`FlushError`] with what has failed since the last flush.
    pub async fn flush(&self) -> Result<(), FlushError> {
        // Whoever has all the room there is knows that nothing is under way.
        let all = self.room.acquire_many(WAITING_MAX as u32).await;
        drop(all);
        let failures = std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner));
        if failures.failed == 0 { Ok(()) } else { Err(failures) }
    }

    fn room(&self) -> Result<OwnedSemaphorePermit, WriteError> {
        let full = |_| WriteError::Overloaded { waiting: WAITING_MAX };
        Arc::clone(&self.room).try_acquire_owned().map_err(full)
    }

    fn put(&self, record: &R) -> Result<(Op, Bytes), WriteError> {
        let (table, (key, value)) = (self.id()?, parts(record)?);
        Ok((Op::Put { table, key: key.clone(), value }, key))
    }

    fn id(&self) -> Result<tabularaft_schema::TableId, WriteError> {
        let engine = self.table.node.engine_guard();
        let view = engine.as_ref().ok_or(WriteError::Stopped)?.store.read();
        self.table.id_in(&view).map_err(not_writable)
    }

    fn push(&self, (op, key): (Op, Bytes), room: OwnedSemaphorePermit) -> Result<(), WriteError> {
        let item = Item { op, key, _room: room };
        self.queue.try_send(item).map_err(|_| WriteError::Stopped)
    }
}

/// Sends what waits, one group after the other, so that nothing overtakes what came before it.
struct Writer {
    node: Arc<NodeInner>,
    def: Arc<TableDef>,
    timeout: Duration,
    failures: Arc<Mutex<FlushError>>,
}

impl Writer {
    async fn run(self, mut waiting: mpsc::Receiver<Item>) {
        let mut gathered = Vec::new();
        while waiting.recv_many(&mut gathered, GROUP_WRITES_MAX).await > 0 {
            let mut left = std::mem::take(&mut gathered);
            while !left.is_empty() {
                let rest = left.split_off(group_length(&left));
                self.write(left).await;
                left = rest;
            }
        }
    }

    async fn write(&self, group: Vec<Item>) {
        let ops = group.iter().map(|item| item.op.clone()).collect();
        match self.send(ops).await {
            Ok(()) => {}
            // Nothing of it has happened, because of one of them: which one shows when each goes by itself.
            Err(WriteError::Rejected(_)) if group.len() > 1 => {
                for item in group {
                    if let Err(error) = self.send(vec![item.op]).await {
                        self.failed(&item.key, error);
                    }
                }
            }
            Err(error) => group.iter().for_each(|item| self.failed(&item.key, error.clone())),
        }
    }

    async fn send(&self, ops: Vec<Op>) -> Result<(), WriteError> {
        let table = ops.first().and_then(Op::table);
        let mut request = Request::transaction(Vec::new(), ops, None);
        if let Some(table) = table {
            request = request.with_record_version(table, self.def.shape.version);
        }
        self.node.write(request, door::now() + self.timeout).await.map(drop)
    }

    fn failed(&self, key: &[u8], error: WriteError) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.failed += 1;
        if failures.first.len() < FAILURES_MAX {
            let key = self.def.key_to_json(key).map_or_else(|_| "?".to_owned(), |key| key.to_string());
            failures.first.push(FailedWrite { key, error });
        }
    }
}

/// How many of the items travel together.
fn group_length(items: &[Item]) -> usize {
    let mut bytes = 0;
    let fits = items.iter().take_while(|item| {
        let fits = bytes < GROUP_BYTES_MAX;
        bytes += item.op.bytes();
        fits
    });
    fits.count()
}
