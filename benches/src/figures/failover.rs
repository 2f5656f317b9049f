//! `failover_<table>_<who>_<what>`: one node is killed, paused or cut off while callers write on the other two; the
//! longest time in which none of the callers of a node had a write acknowledged, of the node where that was longest.
//! `…_back`: the same while the node comes back. `failover_deposed`: how often a node that came back took the leadership
//! from a leader that worked. Nodes are on machines of their own where the system has network namespaces; otherwise
//! they are on loopback, and nobody can be cut off.

use std::time::Duration;

use super::{Scale, pause};
use crate::Failure;
use crate::cluster::{Cluster, NODES, Place};
use crate::items::TableChoice;
use crate::namespaces::Machines;
use crate::process::NodeProcess;
use crate::protocol::{Command, WriteFigures};
use crate::report;

const CALLERS: usize = 4;
/// How long the callers write before something happens, and after it is over.
const AROUND_SECONDS: f64 = 0.7;
/// How long a node is away at least: longer than it takes it to wish for an election of its own.
const AWAY: Duration = Duration::from_secs(4);

/// What happens to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// SIGKILL.
    Killed,
    /// SIGSTOP.
    Paused,
    /// No packet from it or to it arrives.
    CutOff,
}

/// What was seen of one fault.
struct Seen {
    gap_ms: f64,
    gap_back_ms: f64,
    deposed: bool,
}

pub(super) async fn take(scale: &Scale) -> Result<(), Failure> {
    let machines = Machines::start(NODES as u8);
    if let Err(why) = &machines {
        report::step(format!("no network namespaces, so nobody is cut off: {why}"));
    }
    let mut faults = vec![Fault::Killed, Fault::Paused];
    if machines.is_ok() {
        faults.push(Fault::CutOff);
    }
    let mut cluster = Cluster::form_on(&scale.dir, &std::env::current_exe()?, machines.ok()).await?;
    let mut deposed = 0;
    for table in TableChoice::BOTH {
        for who in [Place::Leader, Place::Follower] {
            for fault in &faults {
                let name = format!(
                    "failover_{}_{}_{}",
                    table.label(),
                    who.label(),
                    format!("{fault:?}").to_lowercase()
                );
                let (mut gaps, mut back) = (Vec::new(), Vec::new());
                for _ in 0..scale.runs {
                    let seen = run(&mut cluster, table, who, *fault, scale).await?;
                    gaps.push(seen.gap_ms);
                    back.push(seen.gap_back_ms);
                    deposed += u32::from(seen.deposed);
                }
                print(&name, gaps);
                print(&format!("{name}_back"), back);
            }
        }
    }
    report::figure("failover_deposed", f64::from(deposed), "leaders");
    Ok(())
}

fn print(name: &str, gaps: Vec<f64>) {
    report::step(format!("{name}: {gaps:.0?} ms"));
    report::figure(format!("{name}_longest"), gaps.iter().copied().fold(0.0, f64::max), "ms");
    report::median_figure(name, gaps, "ms");
}

async fn run(
    cluster: &mut Cluster,
    table: TableChoice,
    who: Place,
    fault: Fault,
    scale: &Scale,
) -> Result<Seen, Failure> {
    let leader = cluster.leader().await?;
    let at = if who == Place::Leader { leader } else { (leader + 1) % NODES };
    let mut gone = cluster.nodes.remove(at);
    begin_writes(cluster, table, scale).await?;
    pause(AROUND_SECONDS).await;
    let until = tokio::time::Instant::now() + AWAY;
    match fault {
        Fault::Killed => gone.kill().await?,
        Fault::Paused => gone.pause()?,
        Fault::CutOff => machines(cluster)?.isolate(at as u8)?,
    }
    write_everywhere(cluster, table).await?;
    tokio::time::sleep_until(until).await;
    let gap_ms = end_writes(cluster).await?;
    let led = cluster.leader().await?;

    begin_writes(cluster, table, scale).await?;
    pause(AROUND_SECONDS).await;
    match fault {
        Fault::Killed => gone.start_again().await?,
        Fault::Paused => gone.resume()?,
        Fault::CutOff => machines(cluster)?.mend_all()?,
    }
    catch_up(&mut gone, table).await?;
    pause(AROUND_SECONDS).await;
    let gap_back_ms = end_writes(cluster).await?;
    // Numbers are those of the two others still.
    let deposed = cluster.leader().await.ok() != Some(led);
    cluster.nodes.insert(at, gone);
    Ok(Seen { gap_ms, gap_back_ms, deposed })
}

fn machines(cluster: &Cluster) -> Result<&Machines, Failure> {
    cluster.machines().ok_or_else(|| "the nodes are on one machine".into())
}

async fn begin_writes(cluster: &mut Cluster, table: TableChoice, scale: &Scale) -> Result<(), Failure> {
    let records = scale.written_records;
    for node in &mut cluster.nodes {
        node.order(&Command::BeginWrites { table, records, callers: CALLERS, warm_up_seconds: 0.0 }).await?;
    }
    Ok(())
}

/// The longest gap on any of the nodes, in ms.
async fn end_writes(cluster: &mut Cluster) -> Result<f64, Failure> {
    let mut longest = 0;
    for node in &mut cluster.nodes {
        let WriteFigures { longest_gap_micros, failed, .. } = node.end_writes().await?;
        longest = longest.max(longest_gap_micros);
        if failed > 0 {
            report::step(format!("{failed} writes failed"));
        }
    }
    Ok(longest as f64 / 1e3)
}

/// Returns when a write of each node has been acknowledged.
async fn write_everywhere(cluster: &mut Cluster, table: TableChoice) -> Result<(), Failure> {
    let write = Command::WriteOne { table };
    let writes = cluster.nodes.iter_mut().map(|node| node.order(&write));
    futures::future::try_join_all(writes).await.map(drop)
}

/// Returns when the node serves the table, and a write of its own was acknowledged.
async fn catch_up(node: &mut NodeProcess, table: TableChoice) -> Result<(), Failure> {
    node.order(&Command::WaitFor { table, records: 0 }).await?;
    node.order(&Command::WriteOne { table }).await.map(drop)
}
