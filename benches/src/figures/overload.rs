//! `overload_<where>_<what>`: many callers write one small record at a time to the disc table, all of them on the leader
//! or on one follower, while the other follower is paused. `…_rss_<node>` is the most memory that a node held in MB (10⁶
//! bytes), `…_rate` and `…_rate_paused` the writes of all callers before and during the pause, `…_p99_before` and
//! `…_p99_after` what 64 callers see before the load and after it. `overload_stalled_…`: both followers are paused, so
//! that nothing is acknowledged, and more callers write than may wait.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{LOADERS, Scale, pause};
use crate::Failure;
use crate::cluster::{Cluster, NODES, Place};
use crate::items::TableChoice;
use crate::process::NodeProcess;
use crate::protocol::{Command, WriteFigures};
use crate::report;

const TABLE: TableChoice = TableChoice::Disc;
/// Callers of an ordinary load.
const FEW: usize = 64;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How much is asked of the cluster.
#[derive(Debug, Clone)]
pub struct Load {
    /// The program that the nodes are.
    pub program: PathBuf,
    /// Where they keep their data.
    pub dir: PathBuf,
    /// Records of the table.
    pub records: u64,
    /// Callers that write while one follower is paused.
    pub callers: usize,
    /// Callers that write while both are paused: more than may wait.
    pub callers_stalled: usize,
    /// How long the one follower is paused.
    pub paused: Duration,
    /// How long both are: longer than callers have patience.
    pub stalled: Duration,
    /// How long the other loads last.
    pub seconds: f64,
}

/// What was seen with all callers in one place.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The most memory that each node held, in bytes: the leader, the follower that works, the one that is paused.
    pub resident_bytes: [u64; NODES],
    /// Writes per second before the pause.
    pub rate: f64,
    /// The same during the pause.
    pub rate_paused: f64,
    /// The longest time without an acknowledgement during the pause, in µs.
    pub longest_gap_micros: u64,
    /// Writes that failed before and during the pause.
    pub failed: u64,
    /// What few callers see before the load, and after it.
    pub before: WriteFigures,
    /// See `before`.
    pub after: WriteFigures,
}

/// What was seen while nothing could be acknowledged.
#[derive(Debug, Clone)]
pub struct Stalled {
    /// As [`Seen::resident_bytes`].
    pub resident_bytes: [u64; NODES],
    /// Writes that failed, and of those the ones that were refused because too many waited.
    pub failed: u64,
    /// See `failed`.
    pub overloaded: u64,
    /// What one of them was told.
    pub first_failure: Option<String>,
    /// What few callers see after it.
    pub after: WriteFigures,
}

pub(super) async fn take(scale: &Scale) -> Result<(), Failure> {
    let is_quick = scale.written_records < 10_000;
    let small = small(&std::env::current_exe()?, &scale.dir);
    let paused = if is_quick { small.paused } else { Duration::from_secs(60) };
    let load = Load { records: scale.written_records, paused, seconds: scale.seconds, ..small };
    for place in [Place::Leader, Place::Follower] {
        let seen = one_paused(&load, place).await?;
        let name = format!("overload_{}", place.label());
        print_memory(&name, seen.resident_bytes);
        report::figure(format!("{name}_rate"), seen.rate, "ops/s");
        report::figure(format!("{name}_rate_paused"), seen.rate_paused, "ops/s");
        report::figure(format!("{name}_gap_paused"), seen.longest_gap_micros as f64 / 1e3, "ms");
        report::figure(format!("{name}_failed"), seen.failed as f64, "writes");
        report::figure(format!("{name}_p99_before"), seen.before.p99_micros as f64, "µs");
        report::figure(format!("{name}_p99_after"), seen.after.p99_micros as f64, "µs");
    }
    let seen = both_paused(&load).await?;
    print_memory("overload_stalled", seen.resident_bytes);
    report::figure("overload_stalled_failed", seen.failed as f64, "writes");
    report::figure("overload_stalled_overloaded", seen.overloaded as f64, "writes");
    report::figure("overload_stalled_p99_after", seen.after.p99_micros as f64, "µs");
    Ok(())
}

fn print_memory(name: &str, bytes: [u64; NODES]) {
    for (node, bytes) in ["leader", "follower", "paused"].iter().zip(bytes) {
        report::figure(format!("{name}_rss_{node}"), bytes as f64 / 1e6, "MB");
    }
}

/// A cluster whose first node leads, with a filled table.
async fn filled(load: &Load) -> Result<Cluster, Failure> {
    let mut cluster = Cluster::form_on(&load.dir, &load.program, None).await?;
    cluster.load(TABLE, load.records, LOADERS).await?;
    let leader = cluster.leader().await?;
    cluster.nodes.swap(0, leader);
    Ok(cluster)
}

/// Many callers in one place, while the last node is paused.
///
/// # Errors
///
/// When a node failed or did not answer.
pub async fn one_paused(load: &Load, place: Place) -> Result<Seen, Failure> {
    let mut cluster = filled(load).await?;
    let at = usize::from(place == Place::Follower);
    let before = write(&mut cluster, load, at, FEW, load.seconds).await?;
    let unpaused = write(&mut cluster, load, at, load.callers, load.seconds).await?;

    begin(&mut cluster, load, at, load.callers).await?;
    node(&cluster, NODES - 1)?.pause()?;
    let resident_bytes = watch(&cluster, load.paused).await?;
    let paused = node_mut(&mut cluster, at)?.end_writes().await?;
    node(&cluster, NODES - 1)?.resume()?;
    catch_up(&mut cluster, load).await?;
    let after = write(&mut cluster, load, at, FEW, load.seconds).await?;
    Ok(Seen {
        resident_bytes,
        rate: unpaused.per_second,
        rate_paused: paused.per_second,
        longest_gap_micros: paused.longest_gap_micros,
        failed: unpaused.failed + paused.failed,
        before,
        after,
    })
}

/// More callers on the leader than may wait, while both other nodes are paused.
///
/// # Errors
///
/// When a node failed or did not answer.
pub async fn both_paused(load: &Load) -> Result<Stalled, Failure> {
    let mut cluster = filled(load).await?;
    for follower in 1..NODES {
        node(&cluster, follower)?.pause()?;
    }
    begin(&mut cluster, load, 0, load.callers_stalled).await?;
    let resident_bytes = watch(&cluster, load.stalled).await?;
    for follower in 1..NODES {
        node(&cluster, follower)?.resume()?;
    }
    let stalled = node_mut(&mut cluster, 0)?.end_writes().await?;
    catch_up(&mut cluster, load).await?;
    let after = write(&mut cluster, load, 0, FEW, load.seconds).await?;
    let WriteFigures { failed, overloaded, first_failure, .. } = stalled;
    Ok(Stalled { resident_bytes, failed, overloaded, first_failure, after })
}

fn node(cluster: &Cluster, at: usize) -> Result<&NodeProcess, Failure> {
    cluster.nodes.get(at).ok_or_else(|| format!("there is no node {at}").into())
}

fn node_mut(cluster: &mut Cluster, at: usize) -> Result<&mut NodeProcess, Failure> {
    cluster.nodes.get_mut(at).ok_or_else(|| format!("there is no node {at}").into())
}

async fn begin(cluster: &mut Cluster, load: &Load, at: usize, callers: usize) -> Result<(), Failure> {
    let begin = Command::BeginWrites { table: TABLE, records: load.records, callers, warm_up_seconds: 0.0 };
    node_mut(cluster, at)?.order(&begin).await.map(drop)
}

async fn write(
    cluster: &mut Cluster,
    load: &Load,
    at: usize,
    callers: usize,
    seconds: f64,
) -> Result<WriteFigures, Failure> {
    begin(cluster, load, at, callers).await?;
    pause(seconds).await;
    node_mut(cluster, at)?.end_writes().await
}

/// The most memory that each node holds in this time.
async fn watch(cluster: &Cluster, length: Duration) -> Result<[u64; NODES], Failure> {
    let mut most = [0; NODES];
    let began = Instant::now();
    while began.elapsed() < length {
        for (node, most) in cluster.nodes.iter().zip(&mut most) {
            *most = node.resident_bytes()?.max(*most);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(most)
}

/// Returns when every node has had a write of its own acknowledged.
async fn catch_up(cluster: &mut Cluster, load: &Load) -> Result<(), Failure> {
    cluster.wait_for(TABLE, load.records).await?;
    for node in &mut cluster.nodes {
        node.order(&Command::WriteOne { table: TABLE }).await?;
    }
    Ok(())
}

/// A load for tests: seconds instead of minutes, and as many callers as in the figure.
pub fn small(program: &Path, dir: &Path) -> Load {
    Load {
        program: program.to_owned(),
        dir: dir.to_owned(),
        records: 1_000,
        callers: 10_000,
        callers_stalled: 40_000,
        paused: Duration::from_secs(5),
        stalled: Duration::from_secs(12),
        seconds: 1.0,
    }
}
