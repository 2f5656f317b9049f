//! Tables: created, filled by many callers, and waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tabularaft::{Node, Record, Table};
use tokio::task::JoinSet;

use super::records::{BagItem, IndexedItem, Item, OrderedItem};
use crate::classics;
use crate::copy_mode::copy_mode;
use compare_lines::Failure;
use compare_lines::Line;
use compare_lines::content::{BAG_RECORDS, GROUP_RECORDS};
use compare_lines::content::{key, ordered_key, value};

/// Callers that fill a table.
const LOADERS: u64 = 256;
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Creates the tables that the command names, in the copy mode that it says.
pub(super) async fn create(node: &Node, command: &Line) -> Result<(), Failure> {
    match command.text("table")? {
        "tpcb" | "telecom" => classics::create(node, command).await,
        "item" => create_one::<Item>(node, command).await,
        "ordered_item" => create_one::<OrderedItem>(node, command).await,
        "bag_item" => create_one::<BagItem>(node, command).await,
        "indexed_item" => create_one::<IndexedItem>(node, command).await,
        other => Err(format!("no such table: {other}").into()),
    }
}

async fn create_one<R: Record>(node: &Node, command: &Line) -> Result<(), Failure> {
    let mut def = R::table_def();
    def.copy = copy_mode(command)?;
    node.create(def).await?;
    Ok(())
}

pub(super) async fn fill(node: &Node, command: &Line) -> Result<(), Failure> {
    let records = command.number("records")?;
    match command.text("table")? {
        "tpcb" | "telecom" => classics::fill(node, command).await,
        "item" => fill_one(node, records, |number| Item { key: key(number), value: value(number, 0) }).await,
        "ordered_item" => {
            let make = |number| OrderedItem { key: ordered_key(number), value: value(number, 0) };
            fill_one(node, records, make).await
        }
        "bag_item" => {
            let make = |number| {
                let (key, number) = (key(number / BAG_RECORDS), number % BAG_RECORDS);
                BagItem { key, number, value: value(number, 0) }
            };
            fill_one(node, records, make).await
        }
        "indexed_item" => {
            let make = |number| IndexedItem {
                key: key(number),
                group: number / GROUP_RECORDS,
                value: value(number, 0),
            };
            fill_one(node, records, make).await
        }
        other => Err(format!("no such table: {other}").into()),
    }
}

async fn fill_one<R: Record>(node: &Node, records: u64, make: fn(u64) -> R) -> Result<(), Failure> {
    let table = node.table::<R>()?;
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..LOADERS.min(records) {
        tasks.spawn(insert_all(table.clone(), Arc::clone(&next), records, make));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn insert_all<R: Record>(
    table: Table<R>,
    next: Arc<AtomicU64>,
    records: u64,
    make: fn(u64) -> R,
) -> Result<(), Failure> {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= records {
            return Ok(());
        }
        table.insert(&make(number)).await?;
    }
}

/// Waits until the table can be read here and holds as many records as the command says.
pub(super) async fn wait(node: &Node, command: &Line, patience: Duration) -> Result<(), Failure> {
    let (name, records) = (command.text("table")?, command.number("records")?);
    if let "tpcb" | "telecom" = name {
        return classics::wait(node, command, patience).await;
    }
    node.wait_for_tables(&[name], patience).await?;
    match name {
        "item" => wait_for(&node.table::<Item>()?, records, patience).await,
        "ordered_item" => wait_for(&node.table::<OrderedItem>()?, records, patience).await,
        "bag_item" => wait_for(&node.table::<BagItem>()?, records, patience).await,
        "indexed_item" => wait_for(&node.table::<IndexedItem>()?, records, patience).await,
        other => Err(format!("no such table: {other}").into()),
    }
}

async fn wait_for<R: Record>(table: &Table<R>, records: u64, patience: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    while table.count()? < records {
        if Instant::now() > deadline {
            return Err(format!("{} has {} of {records} records", table.name(), table.count()?).into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
