//! `failover_<table>`: the leader's process is killed; from the signal to the acknowledgement of a write that a
//! survivor began after it. `failover_<table>_longest`: the longest that any write took, of those that run on the
//! survivors all the while.

use std::time::Instant;

use super::{Scale, pause};
use crate::Failure;
use crate::cluster::Cluster;
use crate::items::TableChoice;
use crate::process::NodeProcess;
use crate::protocol::Command;
use crate::report;

const WRITERS: usize = 4;
/// How long the writers run before the leader is killed, and after the first write.
const AROUND_SECONDS: f64 = 0.7;

pub(super) async fn take(scale: &Scale) -> Result<(), Failure> {
    for table in TableChoice::BOTH {
        let mut cluster = Cluster::form(&scale.dir).await?;
        let (mut first, mut longest) = (Vec::new(), Vec::new());
        for _ in 0..scale.runs {
            let run = run(&mut cluster, table, scale).await?;
            first.push(run.0);
            longest.push(run.1);
        }
        let name = format!("failover_{}", table.label());
        report::step(format!("{name}: {first:.0?} ms to the first write, {longest:.0?} ms the longest"));
        report::median_figure(&name, first, "ms");
        report::median_figure(format!("{name}_longest"), longest, "ms");
    }
    Ok(())
}

async fn run(cluster: &mut Cluster, table: TableChoice, scale: &Scale) -> Result<(f64, f64), Failure> {
    let records = scale.written_records;
    let leader = cluster.leader().await?;
    let mut killed = cluster.nodes.remove(leader);
    for node in &mut cluster.nodes {
        node.order(&Command::BeginWrites { table, records, callers: WRITERS, warm_up_seconds: 0.0 }).await?;
    }
    pause(AROUND_SECONDS).await;
    let began = Instant::now();
    killed.kill().await?;
    let first = first_write(cluster, table, began).await?;
    pause(AROUND_SECONDS).await;
    let mut longest = 0;
    for node in &mut cluster.nodes {
        longest = longest.max(node.end_writes().await?.longest_micros);
    }
    killed.start_again().await?;
    killed.order(&Command::WaitFor { table, records: 0 }).await?;
    cluster.nodes.insert(leader, killed);
    Ok((first, longest as f64 / 1e3))
}

/// Writes on both survivors at once; milliseconds until the first of them has its acknowledgement.
async fn first_write(cluster: &mut Cluster, table: TableChoice, began: Instant) -> Result<f64, Failure> {
    async fn write(node: &mut NodeProcess, table: TableChoice, began: Instant) -> Result<f64, Failure> {
        node.order(&Command::WriteOne { table }).await?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }
    let [one, other] = cluster.nodes.as_mut_slice() else { return Err("two survivors are needed".into()) };
    let (one, other) = tokio::join!(write(one, table, began), write(other, table, began));
    Ok(one?.min(other?))
}
