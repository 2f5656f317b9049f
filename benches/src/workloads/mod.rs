//! The two classic workloads of Mnesia as a program that embeds the store would write them. The comparison with other
//! stores measures them, the whole-cluster tests run them and check afterwards that nothing is missing.

pub mod telecom;
pub mod tpcb;

use futures::stream::{self, StreamExt, TryStreamExt};
use rand::RngExt;
use rand::rngs::SmallRng;
use tabularaft::schema::KeyFor;
use tabularaft::{CopyMode, Node, Record, TableError, TransactionError, TxError, TxTable, WriteError};

/// Records that are loaded at once.
const LOADED_AT_ONCE: usize = 256;

/// Somebody who carries out transaction after transaction of a workload.
pub trait Caller: Send + 'static {
    /// Carries out one transaction through this node.
    ///
    /// # Errors
    /// As [`Node::transaction`]; a transaction that is rolled back on purpose is no error.
    fn step(&mut self, node: &Node) -> impl Future<Output = Result<(), TransactionError>> + Send;
}

/// How a transaction reads a record that it is going to change.
#[derive(Debug, Clone, Copy)]
enum Read {
    Plain,
    ForUpdate,
}

impl Read {
    /// The record under the key, which the workload has put there.
    fn one<R: Record<Key = K>, K: KeyFor<K>>(self, table: &TxTable<'_, R>, key: K) -> Result<R, TxError> {
        let found = match self {
            Self::Plain => table.get(key)?,
            Self::ForUpdate => table.get_for_update(key)?,
        };
        found.ok_or_else(|| TxError::abort(format!("a record of table {} is gone", R::TABLE)))
    }
}

/// Creates the table of a record type, held in this mode.
async fn create_table<R: Record>(node: &Node, mode: CopyMode) -> Result<(), TableError> {
    let mut def = R::table_def();
    def.copy = mode;
    node.create(def).await.map(|_| ())
}

async fn insert_all<R: Record>(node: &Node, records: impl Iterator<Item = R>) -> Result<(), crate::Failure> {
    let table = &node.table::<R>()?;
    let inserted = stream::iter(records).map(|record| async move { table.insert(&record).await });
    inserted.buffer_unordered(LOADED_AT_ONCE).try_for_each(|_| async { Ok::<_, WriteError>(()) }).await?;
    Ok(())
}

fn percent(random: &mut SmallRng, share: u32) -> bool {
    random.random_range(0..100) < share
}
