//! `copy_<table>_idle`, `copy_<table>_busy`: a full table copied to a fourth node that joins, without and with writes
//! to that table on the three others; `stall_<table>_…`: the longest that one of those writes took meanwhile, and in
//! as long a time without a copy.

use super::load::megabytes;
use super::{LOADERS, Scale, WARM_UP_SECONDS, pause};
use crate::Failure;
use crate::cluster::Cluster;
use crate::items::TableChoice;
use crate::process::NodeProcess;
use crate::protocol::{Command, Reply, WriteFigures};
use crate::report;

/// Callers on each of the three nodes.
const WRITERS: usize = 2;

#[derive(Clone, Copy)]
struct Copied {
    join_seconds: f64,
    copy_seconds: f64,
}

pub(super) async fn take(scale: &Scale) -> Result<(), Failure> {
    for table in TableChoice::BOTH {
        let mut cluster = Cluster::form(&scale.dir).await?;
        cluster.load(table, scale.records, LOADERS).await?;
        let mut fourth = cluster.start_another().await?;
        let name = format!("copy_{}", table.label());

        let mut idle = Vec::new();
        for _ in 0..scale.runs {
            idle.push(join_and_leave(&cluster, &mut fourth).await?);
        }
        print(&format!("{name}_idle"), &idle, scale);

        let (mut busy, mut calm, mut stalls, mut rates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..scale.runs {
            begin_writes(&mut cluster, table, scale).await?;
            pause(WARM_UP_SECONDS).await;
            let copied = join(&cluster, &mut fourth).await?;
            let during = end_writes(&mut cluster).await?;
            fourth.order(&Command::Leave).await?;
            begin_writes(&mut cluster, table, scale).await?;
            pause(WARM_UP_SECONDS + copied.join_seconds).await;
            calm.push(longest_millis(&end_writes(&mut cluster).await?));
            stalls.push(longest_millis(&during));
            rates.push(during.iter().map(|node| node.per_second).sum());
            busy.push(copied);
        }
        print(&format!("{name}_busy"), &busy, scale);
        let name = format!("stall_{}", table.label());
        report::step(format!("{name}: during copies {stalls:.1?} ms, without {calm:.1?} ms"));
        report::median_figure(format!("{name}_during_copy"), stalls, "ms");
        report::median_figure(format!("{name}_without_copy"), calm, "ms");
        report::median_figure(format!("{name}_writes"), rates, "ops/s");
    }
    Ok(())
}

async fn join(cluster: &Cluster, fourth: &mut NodeProcess) -> Result<Copied, Failure> {
    let peer = cluster.nodes.first().ok_or("there is no cluster")?.address().to_owned();
    match fourth.ask(&Command::Join { peer }).await? {
        Reply::Joined { seconds, copy_seconds } => Ok(Copied { join_seconds: seconds, copy_seconds }),
        other => Err(fourth.unexpected(&other)),
    }
}

async fn join_and_leave(cluster: &Cluster, fourth: &mut NodeProcess) -> Result<Copied, Failure> {
    let copied = join(cluster, fourth).await?;
    fourth.order(&Command::Leave).await?;
    Ok(copied)
}

async fn begin_writes(cluster: &mut Cluster, table: TableChoice, scale: &Scale) -> Result<(), Failure> {
    let (records, callers, warm_up_seconds) = (scale.records, WRITERS, WARM_UP_SECONDS);
    for node in &mut cluster.nodes {
        node.order(&Command::BeginWrites { table, records, callers, warm_up_seconds }).await?;
    }
    Ok(())
}

async fn end_writes(cluster: &mut Cluster) -> Result<Vec<WriteFigures>, Failure> {
    let mut figures = Vec::new();
    for node in &mut cluster.nodes {
        figures.push(node.end_writes().await?);
    }
    Ok(figures)
}

fn longest_millis(nodes: &[WriteFigures]) -> f64 {
    nodes.iter().map(|node| node.longest_micros).max().unwrap_or(0) as f64 / 1e3
}

fn print(name: &str, runs: &[Copied], scale: &Scale) {
    report::median_figure(format!("{name}_join"), runs.iter().map(|run| run.join_seconds), "s");
    report::median_figure(name, runs.iter().map(|run| run.copy_seconds), "s");
    let rate = |run: &Copied| megabytes(scale.records) / run.copy_seconds;
    report::median_figure(format!("{name}_bytes"), runs.iter().map(rate), "MB/s");
}
