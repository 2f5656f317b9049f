//! The steps of the demo around the crash: a node is killed while another is written to, and comes back.

use std::ops::Range;
use std::time::{Duration, Instant};

use tabularaft::admin::AdminErrorKind;
use tabularaft::admin::protocol::{ReadMode, ScanRequest};
use tabularaft::schema::NodeName;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::commands::scan::{for_each_page, whole_table};
use crate::failure::{Context, Failure, Outcome};
use crate::output::{count, duration};
use crate::session::OpenTable;

use super::nodes::Nodes;
use super::records::{ACCOUNT, account, encode, open};
use super::steps::all_running;
use super::{Steps, wait};

/// Where the keys of the records written during the crash begin.
const FIRST: u64 = 1_000_000;

/// Acknowledged writes before the kill, and again after it.
const WRITES: u64 = 200;

/// How long the writer waits when the node has no leader to write through.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// Kills the leader under writes, brings it back, and looks for every acknowledged record.
pub(super) async fn run(nodes: &mut Nodes, steps: &mut Steps) -> Outcome {
    steps.begin("The leader is killed with SIGKILL while another node is written to")?;
    let leader = leader(nodes, 0).await?;
    let killed = nodes.place_of(&leader)?;
    let through = nodes.places().find(|place| *place != killed).unwrap_or(0);
    let mut writer = Writer::start(open(nodes.client(through).await?, ACCOUNT).await?);
    writer.wait_for(WRITES).await?;
    steps.saw(&format!("{WRITES} writes through {} acknowledged, {leader} leads", nodes.name(through)?))?;
    nodes.kill_one(killed).await?;
    let killed_at = Instant::now();
    steps.saw(&format!("{leader} killed"))?;
    let next = next_leader(nodes, through, &leader).await?;
    steps.saw(&format!("{next} leads, seen {} after the kill", duration(killed_at.elapsed())))?;
    let seen = writer.acknowledged();
    writer.wait_for(seen + WRITES).await?;
    let written = writer.stop().await?;
    steps.saw(&written.describe())?;
    bring_back(nodes, steps, killed).await?;
    look_for(nodes, steps, &written).await
}

async fn leader(nodes: &Nodes, asked: usize) -> Outcome<NodeName> {
    let status = nodes.client(asked).await?.status().await?;
    status.leader.ok_or_else(|| Failure::new("there is no leader"))
}

async fn next_leader(nodes: &Nodes, asked: usize, before: &NodeName) -> Outcome<NodeName> {
    let client = nodes.client(asked).await?;
    let (leader, _) = wait::until("another node leads", async || {
        let status = client.status().await.map_err(|error| error.to_string())?;
        status.leader.filter(|leader| leader != before).ok_or_else(|| "none does".into())
    })
    .await?;
    Ok(leader)
}

async fn bring_back(nodes: &mut Nodes, steps: &mut Steps, place: usize) -> Outcome {
    steps.begin("The killed node comes back and catches up")?;
    let started = Instant::now();
    let seen = nodes.start(place, None).await?;
    steps.saw(&seen)?;
    let status = all_running(nodes, place).await?;
    let took = duration(started.elapsed());
    steps.saw(&format!("all {} nodes run again, nothing lags, {took} after its start", status.nodes.len()))
}

/// Every acknowledged record must be on every node, once.
async fn look_for(nodes: &Nodes, steps: &mut Steps, written: &Written) -> Outcome {
    steps.begin("Every acknowledged record is looked for on every node")?;
    for place in nodes.places() {
        let table = open(nodes.client(place).await?, ACCOUNT).await?;
        let request = ScanRequest {
            from: Some(table.key(&FIRST.to_string())?),
            ..whole_table(&table, ReadMode::Linearizable)
        };
        let mut found = 0;
        for_each_page(&table, request, u64::MAX, |records| {
            found += records.len() as u64;
            Ok(())
        })
        .await?;
        let name = nodes.name(place)?;
        if !written.may_be(found) {
            let wanted = written.acknowledged;
            return Err(Failure::new(format_args!(
                "{name} holds {found} records where {wanted} were acknowledged"
            )));
        }
        steps.saw(&format!("{name} holds all {} of them", count(written.acknowledged)))?;
    }
    Ok(())
}

/// Writes one record after the other until it is stopped.
struct Writer {
    task: JoinHandle<Outcome<Written>>,
    acknowledged: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
}

/// What became of the writes.
struct Written {
    acknowledged: u64,
    /// Writes of which the node could not say whether they happened.
    unknown: u64,
    /// The longest time between two acknowledgements.
    longest_wait: Duration,
}

impl Writer {
    fn start(table: OpenTable) -> Self {
        let (progress, acknowledged) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(write(table, progress, stopped));
        Self { task, acknowledged, stop }
    }

    fn acknowledged(&self) -> u64 {
        *self.acknowledged.borrow()
    }

    /// Waits until so many writes are acknowledged, or the writer has failed.
    async fn wait_for(&mut self, wanted: u64) -> Outcome {
        let reached =
            tokio::time::timeout(Duration::from_secs(60), self.acknowledged.wait_for(|now| *now >= wanted));
        match reached.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => match (&mut self.task).await.context("the writer")? {
                Ok(_) => Err(Failure::new("the writer stopped by itself")),
                Err(failure) => Err(failure),
            },
            Err(_) => Err(Failure::new(format_args!("{wanted} writes were not acknowledged within 60 s"))),
        }
    }

    async fn stop(self) -> Outcome<Written> {
        // A writer that has ended already has told why.
        let _ = self.stop.send(true);
        self.task.await.context("the writer")?
    }
}

async fn write(
    table: OpenTable,
    progress: watch::Sender<u64>,
    stopped: watch::Receiver<bool>,
) -> Outcome<Written> {
    let mut written = Written { acknowledged: 0, unknown: 0, longest_wait: Duration::ZERO };
    let mut last = Instant::now();
    for id in FIRST.. {
        if *stopped.borrow() {
            break;
        }
        let records = encode(&table, [account(id)])?;
        match table.client.put_many(&table.reference, records).await {
            Ok(_) => written.acknowledged += 1,
            // One that may have happened is neither missed nor counted twice: each record has a key of its
            // own.
            Err(error) if error.kind == AdminErrorKind::Unknown => written.unknown += 1,
            Err(error) if error.kind == AdminErrorKind::NotReady => {
                tokio::time::sleep(RETRY_INTERVAL).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        written.longest_wait = written.longest_wait.max(last.elapsed());
        last = Instant::now();
        progress.send_replace(written.acknowledged);
    }
    Ok(written)
}

impl Written {
    fn describe(&self) -> String {
        let unknown = match self.unknown {
            0 => "none lost sight of".into(),
            unknown => format!("{unknown} of unknown outcome"),
        };
        let wait = duration(self.longest_wait);
        format!(
            "{} writes acknowledged in all, {unknown}, the longest wait for one was {wait}",
            count(self.acknowledged)
        )
    }

    /// Whether a node that holds so many of the records has lost nothing and made nothing up.
    fn may_be(&self, found: u64) -> bool {
        self.allowed().contains(&found)
    }

    fn allowed(&self) -> Range<u64> {
        self.acknowledged..self.acknowledged + self.unknown + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_writes_may_be_there_and_acknowledged_ones_must() {
        let written = Written { acknowledged: 10, unknown: 2, longest_wait: Duration::ZERO };
        assert!(!written.may_be(9) && written.may_be(10) && written.may_be(12) && !written.may_be(13));
    }
}
