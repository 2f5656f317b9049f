//! `restart_<table>_<how it ended>`: a node with a full table is started again; from the start of its process until it
//! serves the whole table and writes have a leader. The ram table comes from a live copy, the disc table from the
//! node's own checkpoint and log.

use std::time::Instant;

use super::{LOADERS, Scale};
use crate::Failure;
use crate::cluster::{Cluster, Place};
use crate::items::TableChoice;
use crate::protocol::Command;
use crate::report;

pub(super) async fn take(scale: &Scale) -> Result<(), Failure> {
    for table in TableChoice::BOTH {
        let mut cluster = Cluster::form(&scale.dir).await?;
        cluster.load(table, scale.records, LOADERS).await?;
        for in_order in [true, false] {
            let mut runs = Vec::new();
            for _ in 0..scale.runs {
                runs.push(run(&mut cluster, table, in_order, scale.records).await?);
            }
            let ended = if in_order { "stopped" } else { "killed" };
            report::median_figure(format!("restart_{}_{ended}", table.label()), runs, "s");
        }
    }
    Ok(())
}

async fn run(
    cluster: &mut Cluster,
    table: TableChoice,
    in_order: bool,
    records: u64,
) -> Result<f64, Failure> {
    let node = cluster.on(Place::Follower).await?;
    if in_order {
        node.shut_down().await?;
    } else {
        node.kill().await?;
    }
    let began = Instant::now();
    node.start_again().await?;
    node.order(&Command::WaitFor { table, records }).await?;
    Ok(began.elapsed().as_secs_f64())
}
