//! `write_<table>_<place>_<callers>`: single-record writes in a closed loop, all callers on one node.

use super::{LOADERS, Scale, WARM_UP_SECONDS, pause};
use crate::Failure;
use crate::cluster::{Cluster, Place};
use crate::items::TableChoice;
use crate::protocol::{Command, WriteFigures};
use crate::report;

const CALLERS: [usize; 4] = [1, 16, 64, 256];

pub(super) async fn take(scale: &Scale) -> Result<(), Failure> {
    let mut cluster = Cluster::form(&scale.dir).await?;
    for table in TableChoice::BOTH {
        cluster.load(table, scale.written_records, LOADERS).await?;
        for place in [Place::Leader, Place::Follower] {
            let mut runs: [Vec<WriteFigures>; CALLERS.len()] = Default::default();
            // Runs of one number of callers are not taken one after the other, so that a disturbance of the machine
            // falls on several numbers of callers and not on all runs of one.
            for _ in 0..scale.runs {
                for (callers, runs) in CALLERS.into_iter().zip(&mut runs) {
                    runs.push(run(&mut cluster, table, place, callers, scale).await?);
                }
            }
            for (callers, runs) in CALLERS.into_iter().zip(&runs) {
                print(&format!("write_{}_{}_{callers}", table.label(), place.label()), runs);
            }
        }
    }
    Ok(())
}

async fn run(
    cluster: &mut Cluster,
    table: TableChoice,
    place: Place,
    callers: usize,
    scale: &Scale,
) -> Result<WriteFigures, Failure> {
    let records = scale.written_records;
    let node = cluster.on(place).await?;
    node.order(&Command::BeginWrites { table, records, callers, warm_up_seconds: WARM_UP_SECONDS }).await?;
    pause(WARM_UP_SECONDS + scale.seconds).await;
    node.end_writes().await
}

fn print(name: &str, runs: &[WriteFigures]) {
    report::median_figure(name, runs.iter().map(|run| run.per_second), "ops/s");
    report::median_figure(format!("{name}_p50"), runs.iter().map(|run| run.p50_micros as f64), "µs");
    report::median_figure(format!("{name}_p99"), runs.iter().map(|run| run.p99_micros as f64), "µs");
    let failed: u64 = runs.iter().map(|run| run.failed).sum();
    if failed > 0 {
        report::figure(format!("{name}_failed"), failed as f64, "writes");
    }
}
