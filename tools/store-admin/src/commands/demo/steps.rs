//! The steps of the demo up to the crash.

use std::time::Instant;

use tabularaft::admin::protocol::{Outcome as Operation, ReadMode};
use tabularaft::admin::{ClusterStatus, NodeState};
use tabularaft::schema::CopyMode;

use crate::failure::{Failure, Outcome};
use crate::output::{self, Amount, Bar, count, duration};
use crate::session::OpenTable;

use super::nodes::Nodes;
use super::records::{ACCOUNT, SESSION, account, definitions, encode, open, session, table};
use super::{Steps, crash, wait};

/// Records that are loaded into each table.
const LOADED: u64 = 20_000;

/// Records that are written at once.
const BATCH: u64 = 1_000;

/// All steps that must succeed.
pub(super) async fn run(nodes: &mut Nodes, steps: &mut Steps) -> Outcome {
    form_cluster(nodes, steps).await?;
    create_tables(nodes, steps).await?;
    write_and_read(nodes, steps).await?;
    load(nodes, steps).await?;
    copy_table(nodes, steps).await?;
    crash::run(nodes, steps).await?;
    verify(nodes, steps).await
}

async fn form_cluster(nodes: &mut Nodes, steps: &mut Steps) -> Outcome {
    steps.begin(&format!("{} nodes start, and all but the first join through it", nodes.count()))?;
    for place in nodes.places() {
        let seen = nodes.start(place, (place > 0).then_some(0)).await?;
        steps.saw(&seen)?;
    }
    let status = all_running(nodes, nodes.count() - 1).await?;
    let from = status.node.clone();
    let text = output::status_text(&output::ShownStatus::of(status));
    steps.saw(&format!("seen from {from}:\n\n{text}"))
}

/// Waits until the node at `place` sees all nodes running and is ready itself.
pub(super) async fn all_running(nodes: &Nodes, place: usize) -> Outcome<ClusterStatus> {
    let client = nodes.client(place).await?;
    let wanted = nodes.count();
    let (status, _) = wait::until("all nodes run", async || {
        let status = client.status().await.map_err(|error| error.to_string())?;
        let running = status
            .nodes
            .iter()
            .filter(|node| node.state == NodeState::Running && node.lag == Some(0))
            .count();
        if running == wanted && status.ready && status.leader.is_some() {
            return Ok(status);
        }
        let why = status.not_ready.map(|reason| format!(", not ready: {}", reason.why)).unwrap_or_default();
        Err(format!("{running} of {wanted} run and have caught up{why}"))
    })
    .await?;
    Ok(status)
}

async fn create_tables(nodes: &Nodes, steps: &mut Steps) -> Outcome {
    steps.begin("A disc table and a ram table are created on the first node")?;
    let client = nodes.client(0).await?;
    for def in definitions()? {
        let (name, kind, mode) = (def.name.clone(), def.kind, def.copy);
        client.create_table(def).await?;
        steps.saw(&format!("created {name}: {kind}, {mode}"))?;
    }
    for place in nodes.places().skip(1) {
        let client = nodes.client(place).await?;
        let ((), after) = wait::until("the tables are listed", async || {
            let names = client.tables().await.map_err(|error| error.to_string())?;
            let seen =
                [ACCOUNT, SESSION].iter().all(|wanted| names.iter().any(|table| table.name == **wanted));
            if seen { Ok(()) } else { Err(format!("{} tables are", names.len())) }
        })
        .await?;
        steps.saw(&format!("{} lists them, seen after {}", nodes.name(place)?, duration(after)))?;
    }
    Ok(())
}

async fn write_and_read(nodes: &Nodes, steps: &mut Steps) -> Outcome {
    steps.begin("A record is put on the second node and read on the others")?;
    let written = open(nodes.client(1).await?, ACCOUNT).await?;
    let record = account(7);
    written.client.put_many(&written.reference, encode(&written, [record.clone()])?).await?;
    steps.saw(&format!("{} wrote {record}", nodes.name(1)?))?;
    for place in nodes.places().filter(|place| *place != 1) {
        let read = open(nodes.client(place).await?, ACCOUNT).await?;
        let name = nodes.name(place)?;
        if get(&read, ReadMode::Linearizable).await?.as_ref() != Some(&record) {
            return Err(Failure::new(format_args!("a linearizable read on {name} did not see the record")));
        }
        steps.saw(&format!("{name} reads it at once with --read linearizable"))?;
        let ((), after) =
            wait::until("a local read sees the record", async || match get(&read, ReadMode::Local).await {
                Ok(Some(seen)) if seen == record => Ok(()),
                Ok(_) => Err("it does not".into()),
                Err(failure) => Err(format!("{failure:?}")),
            })
            .await?;
        steps.saw(&format!("{name} reads it locally, seen after {}", duration(after)))?;
    }
    Ok(())
}

async fn get(table: &OpenTable, read: ReadMode) -> Outcome<Option<serde_json::Value>> {
    let records = table.client.get(&table.reference, table.key("7")?, read).await?;
    records.first().map(|record| table.json(record)).transpose()
}

async fn load(nodes: &Nodes, steps: &mut Steps) -> Outcome {
    steps.begin("Many records are written, each table through another node")?;
    let last = nodes.count() - 1;
    for (name, place) in [(ACCOUNT, 1), (SESSION, last)] {
        let table = open(nodes.client(place).await?, name).await?;
        let make = if name == ACCOUNT { account } else { session };
        let mut bar = Bar::new(&format!("load {name}"), false);
        let started = Instant::now();
        for first in (0..LOADED).step_by(BATCH as usize) {
            let records = encode(&table, (first..first + BATCH).map(make))?;
            table.client.put_many(&table.reference, records).await?;
            bar.show(Amount { records: first + BATCH, records_total: Some(LOADED), ..Amount::default() });
        }
        bar.finish();
        let (records, took) = (count(LOADED), duration(started.elapsed()));
        steps.saw(&format!("{records} records into {name} through {} in {took}", nodes.name(place)?))?;
    }
    Ok(())
}

async fn copy_table(nodes: &Nodes, steps: &mut Steps) -> Outcome {
    let last = nodes.count() - 1;
    let to = nodes.name(last)?;
    steps.begin(&format!("{to} gets another copy of {ACCOUNT}: disc-only, from the first node"))?;
    let client = nodes.client(0).await?;
    let mut bar = Bar::new(&format!("copy {ACCOUNT}"), false);
    let copied = client
        .copy_table(&table(ACCOUNT)?, &to, Some(&nodes.name(0)?), CopyMode::DiscOnly, |progress| {
            bar.phase(&format!("copy {ACCOUNT}: {}", progress.phase));
            bar.show(crate::commands::amount(progress));
        })
        .await;
    bar.finish();
    let Operation::Copied { records, bytes, digest, .. } = copied? else {
        return Err(Failure::new("the copy ended with an answer of another operation"));
    };
    let size = output::bytes(bytes);
    steps.saw(&format!(
        "{to} holds {} records, {size}, as disc-only; digest {digest} verified",
        count(records)
    ))
}

async fn verify(nodes: &Nodes, steps: &mut Steps) -> Outcome {
    steps.begin("All copies of all tables are compared at one log index")?;
    let report = nodes.client(0).await?.verify(|_| {}).await?;
    steps.saw(&output::verdict_text(&report))?;
    let copies_wanted = nodes.count();
    let complete = report.tables.iter().all(|table| table.equal && table.copies.len() == copies_wanted);
    if complete && report.tables.len() == definitions()?.len() && report.unreachable.is_empty() {
        Ok(())
    } else {
        Err(Failure::new("the copies are not all there and equal"))
    }
}
