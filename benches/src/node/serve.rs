//! What each command does.

use std::time::{Duration, Instant};

use tabularaft::{Lifecycle, Node};

use super::loading;
use super::readers;
use super::writers::Writers;
use crate::Failure;
use crate::items::{DiscItem, Item, RamItem, TableChoice};
use crate::protocol::{Command, Reply};

/// Longer than anything here takes; what takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(2);

pub(super) struct Served {
    node: Node,
    writers: Option<Writers>,
}

impl Served {
    pub(super) fn new(node: Node) -> Self {
        Self { node, writers: None }
    }

    pub(super) async fn serve(&mut self, command: Command) -> Result<Reply, Failure> {
        let began = Instant::now();
        match command {
            Command::Status => return Ok(Reply::Status { leader: self.node.is_leader() }),
            Command::Join { peer } => return self.join(&peer).await,
            Command::Leave => self.node.leave().await?,
            Command::CreateTables => {
                self.node.create_table::<RamItem>().await?;
                self.node.create_table::<DiscItem>().await?;
            }
            Command::WaitFor { table: TableChoice::Ram, records } => {
                self.wait_for::<RamItem>("ram_item", records).await?
            }
            Command::WaitFor { table: TableChoice::Disc, records } => {
                self.wait_for::<DiscItem>("disc_item", records).await?
            }
            Command::Load { table: TableChoice::Ram, records, callers } => {
                loading::load(&self.node.table::<RamItem>()?, records, callers).await?;
            }
            Command::Load { table: TableChoice::Disc, records, callers } => {
                loading::load(&self.node.table::<DiscItem>()?, records, callers).await?;
            }
            Command::Read { table: TableChoice::Ram, how, records, threads, seconds } => {
                return readers::read(&self.node.table::<RamItem>()?, how, records, threads, seconds)
                    .map(Reply::Read);
            }
            Command::Read { table: TableChoice::Disc, how, records, threads, seconds } => {
                return readers::read(&self.node.table::<DiscItem>()?, how, records, threads, seconds)
                    .map(Reply::Read);
            }
            Command::BeginWrites { table, records, callers, warm_up_seconds } => {
                let warm_up = Duration::from_secs_f64(warm_up_seconds);
                self.writers = Some(match table {
                    TableChoice::Ram => {
                        Writers::begin(&self.node.table::<RamItem>()?, records, callers, warm_up)?
                    }
                    TableChoice::Disc => {
                        Writers::begin(&self.node.table::<DiscItem>()?, records, callers, warm_up)?
                    }
                });
            }
            Command::EndWrites => {
                let writers = self.writers.take().ok_or("no writers run")?;
                return writers.end().await.map(Reply::Written);
            }
            Command::WriteOne { table: TableChoice::Ram } => write_one::<RamItem>(&self.node).await?,
            Command::WriteOne { table: TableChoice::Disc } => write_one::<DiscItem>(&self.node).await?,
            Command::Shutdown => self.node.shutdown().await,
        }
        Ok(Reply::Done { seconds: began.elapsed().as_secs_f64() })
    }

    async fn wait_for<R: Item>(&self, name: &str, records: u64) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        self.node.wait_for_tables(&[name], PATIENCE).await?;
        let table = self.node.table::<R>()?;
        while table.count()? < records {
            if Instant::now() > deadline {
                return Err(format!(
                    "table {name} holds {} records, {records} were waited for",
                    table.count()?
                )
                .into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn join(&self, peer: &str) -> Result<Reply, Failure> {
        let mut events = self.node.lifecycle();
        let watch = tokio::spawn(async move {
            let (mut first, mut last) = (None, None);
            loop {
                match events.recv().await {
                    Ok(Lifecycle::Copying { .. }) => {
                        first.get_or_insert_with(Instant::now);
                        last = Some(Instant::now());
                    }
                    Ok(Lifecycle::CatchingUp) => last = Some(Instant::now()),
                    Ok(Lifecycle::Running { .. }) => break,
                    Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                    Err(_) => break,
                }
            }
            first.zip(last).map_or(0.0, |(first, last): (Instant, Instant)| (last - first).as_secs_f64())
        });
        let began = Instant::now();
        self.node.join(peer).await?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Reply::Joined { seconds, copy_seconds: watch.await? })
    }
}

async fn write_one<R: Item>(node: &Node) -> Result<(), Failure> {
    node.table::<R>()?.insert(&R::new(0, u64::MAX)).await?;
    Ok(())
}
