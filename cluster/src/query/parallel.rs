//! Folding many records on several threads.

use std::thread;

use tabularaft_schema::Record;

use super::builder::Query;
use super::run::Share;
use crate::error::ReadError;

impl<R: Record> Query<'_, R> {
    /// Folds all records on `threads` threads, in no particular order, and merges what they have come to. All threads
    /// read one view. Order and limit do not matter here.
    ///
    /// Each thread walks along all records and decodes its share: walking is cheap where the records lie in memory, so
    /// no queue is needed between them. What is on disc only is read by each thread.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use serde::{Deserialize, Serialize};
    /// # use tabularaft::{Node, Record};
    /// # #[derive(Record, Serialize, Deserialize)]
    /// # #[record(table = "sale", copy = "ram", crate = "tabularaft::schema")]
    /// # struct Sale { #[key] number: u64, amount: u64 }
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// # node.create_table::<Sale>().await?;
    /// # let sales = node.table::<Sale>()?;
    /// # for number in 0..1_000 { sales.insert(&Sale { number, amount: 2 }).await?; }
    /// let total = sales.query().par_fold(4, || 0, |sum, sale| sum + sale.amount, |a, b| a + b)?;
    /// assert_eq!(total, 2_000);
    /// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Query::records`].
    ///
    /// # Panics
    ///
    /// When one of the closures does.
    pub fn par_fold<A: Send>(
        &self,
        threads: usize,
        start: impl Fn() -> A + Sync,
        fold: impl Fn(A, R) -> A + Sync,
        merge: impl Fn(A, A) -> A,
    ) -> Result<A, ReadError> {
        let copy = self.table.newest_copy()?;
        let prepared = self.wanted.prepare(&copy)?;
        let threads = threads.max(1) as u64;
        let work = |thread: u64| {
            let mut folded = Some(start());
            prepared.visit_share(&copy, Share { thread, threads }, &mut |record| {
                let record = R::decode(record)?;
                if self.passes(&record) {
                    folded = folded.take().map(|folded| fold(folded, record));
                }
                Ok(())
            })?;
            Ok(folded.expect("it is put back after each record"))
        };
        let parts: Vec<Result<A, ReadError>> = thread::scope(|scope| {
            let work = &work;
            let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || work(thread))).collect();
            let own = work(0);
            let joined = others.into_iter().map(|other| other.join().expect("the closures do not panic"));
            std::iter::once(own).chain(joined).collect()
        });
        let mut merged = None;
        for part in parts {
            let part = part?;
            merged = Some(match merged {
                Some(before) => merge(before, part),
                None => part,
            });
        }
        Ok(merged.expect("there is at least one thread"))
    }
}
