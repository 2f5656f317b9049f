//! Filling a table the way an application does: many callers, each inserting one record at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tabularaft::Table;
use tokio::task::JoinSet;

use crate::Failure;
use crate::items::Item;

pub(super) async fn load<R: Item>(table: &Table<R>, records: u64, callers: usize) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (table, next) = (table.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= records {
                    return Ok(());
                }
                table.insert(&R::new(number, 0)).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        let inserted: Result<(), tabularaft::WriteError> = ended?;
        inserted?;
    }
    Ok(())
}
