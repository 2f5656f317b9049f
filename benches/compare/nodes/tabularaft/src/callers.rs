//! Callers that write.

use rand::RngExt;
use tabularaft::{Node, Rejection, Table, TxError, WriteError};

use super::records::{BagItem, Item};
use compare_lines::Failure;
use compare_lines::Line;
use compare_lines::callers::{self, Caller};
use compare_lines::content::BAG_RECORDS;
use compare_lines::content::{key, value};

pub(super) async fn run(node: &Node, command: &Line) -> Result<Line, Failure> {
    let records = command.number("records")?;
    let figures = match command.verb.as_str() {
        "write" => {
            let table = node.table::<Item>()?;
            callers::run(command, |_| Ok(Writer { table: table.clone(), records, stamp: 0 })).await
        }
        "rmw" if command.text("form")? == "for-update" => {
            callers::run(command, |_| Ok(Transactor { node: node.clone(), records })).await
        }
        "rmw" => {
            let table = node.table::<Item>()?;
            callers::run(command, |_| Ok(Modifier { table: table.clone(), records, restarts: 0 })).await
        }
        _ => {
            let table = node.table::<BagItem>()?;
            callers::run(command, |number| {
                Ok(BagWriter { table: table.clone(), records, next: number as u64 })
            })
            .await
        }
    };
    Ok(figures?.to_line())
}

/// Overwrites random records.
struct Writer {
    table: Table<Item>,
    records: u64,
    stamp: u64,
}

impl Caller for Writer {
    async fn call(&mut self) -> Result<(), Failure> {
        self.stamp += 1;
        let number = rand::rng().random_range(0..self.records);
        self.table.insert(&Item { key: key(number), value: value(number, self.stamp) }).await?;
        Ok(())
    }
}

/// Reads a random one of few records and writes it back changed, if nobody else has changed it.
struct Modifier {
    table: Table<Item>,
    records: u64,
    restarts: u64,
}

impl Caller for Modifier {
    async fn call(&mut self) -> Result<(), Failure> {
        let key = key(rand::rng().random_range(0..self.records));
        loop {
            let found = self.table.get_versioned(key.as_str())?.ok_or("a record is missing")?;
            let mut item = found.record;
            change(&mut item.value);
            match self.table.compare_and_swap(found.version, &item).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Rejected(Rejection::VersionDiffers { .. })) => self.restarts += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn restarts(&self) -> u64 {
        self.restarts
    }
}

/// The same in a transaction, which queues at the leader for the record.
struct Transactor {
    node: Node,
    records: u64,
}

impl Caller for Transactor {
    async fn call(&mut self) -> Result<(), Failure> {
        let key = key(rand::rng().random_range(0..self.records));
        let changed = self.node.transaction(|tx| {
            let items = tx.table::<Item>()?;
            let found = items.get_for_update(key.as_str())?;
            let mut item = found.ok_or_else(|| TxError::abort("a record is missing"))?;
            change(&mut item.value);
            items.insert(&item)
        });
        Ok(changed.await?)
    }
}

fn change(value: &mut [u8]) {
    if let Some(first) = value.first_mut() {
        *first = first.wrapping_add(1);
    }
}

/// Adds records to a bag, ten under each key: those that it was filled with, so that it stays as it is.
struct BagWriter {
    table: Table<BagItem>,
    records: u64,
    next: u64,
}

impl Caller for BagWriter {
    async fn call(&mut self) -> Result<(), Failure> {
        self.next += 1;
        let number = rand::rng().random_range(0..self.records);
        let (key, number) = (key(number / BAG_RECORDS), self.next % BAG_RECORDS);
        self.table.insert(&BagItem { key, number, value: value(number, 0) }).await?;
        Ok(())
    }
}
