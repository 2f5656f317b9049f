//! `read_<how>_<n>threads`: random reads of the table in ram, on a follower that has nothing else to do.

use super::{LOADERS, Scale};
use crate::Failure;
use crate::cluster::{Cluster, Place};
use crate::items::TableChoice;
use crate::protocol::{Command, ReadFigures, ReadKind, Reply};
use crate::report;

pub(super) async fn take(scale: &Scale) -> Result<(), Failure> {
    let mut cluster = Cluster::form(&scale.dir).await?;
    cluster.load(TableChoice::Ram, scale.records, LOADERS).await?;
    for (how, label) in [(ReadKind::Get, "get"), (ReadKind::Contains, "contains")] {
        for threads in [1, 2] {
            let mut runs = Vec::new();
            for _ in 0..scale.runs {
                runs.push(run(&mut cluster, how, threads, scale).await?);
            }
            let name = format!("read_{label}_{threads}threads");
            report::median_figure(&name, runs.iter().map(|run| run.per_second), "ops/s");
            report::median_figure(format!("{name}_each"), runs.iter().map(|run| run.nanos), "ns");
        }
    }
    Ok(())
}

async fn run(
    cluster: &mut Cluster,
    how: ReadKind,
    threads: usize,
    scale: &Scale,
) -> Result<ReadFigures, Failure> {
    let (table, records, seconds) = (TableChoice::Ram, scale.records, scale.seconds);
    let node = cluster.on(Place::Follower).await?;
    match node.ask(&Command::Read { table, how, records, threads, seconds }).await? {
        Reply::Read(figures) => Ok(figures),
        other => Err(node.unexpected(&other)),
    }
}
