//! Copying, loading and holding a large table: a node that gets a copy, a node that starts again, memory per record.

use std::time::Instant;

use compare_lines::{Failure, Figures, Line};

use crate::compare::{SceneResult, Settings, WorkloadResult, step};
use crate::peers::{Cluster, Peer, mnesia, tabularaft};
use crate::process::Process;
use crate::workload::{Contender, Measure, Workload};

const TABLE: &str = "item";
const PEERS: [Peer; 2] = [Peer::Tabularaft, Peer::Mnesia];
/// The aim for copies and restarts, and for memory.
const TIMES_AIM: f64 = 3.0;
const MEMORY_AIM: f64 = 1.0;

/// What one peer came to.
#[derive(Default)]
struct Taken {
    memory: Vec<Figures>,
    copies: Vec<Figures>,
    restarts: Vec<Figures>,
}

/// Takes the figures for tables in ram and on disc.
pub async fn run(records: u64, settings: &Settings) -> SceneResult {
    let title = "A table of many records: copy to a node that has none, restart, memory";
    step(title);
    let mut workloads = Vec::new();
    for copy in ["ram", "disc"] {
        let mut memory = row(format!("bytes of memory per record, {copy}"), Measure::Bytes);
        let mut copies = row(format!("copy of {records} records, {copy}"), Measure::Seconds);
        let mut restarts =
            row(format!("restart of a node alone with {records} records, {copy}"), Measure::Seconds);
        for peer in PEERS.into_iter().filter(|peer| settings.peers.contains(peer)) {
            let taken = of_peer(peer, copy, records, settings).await.map_err(|error| error.to_string());
            if let Err(error) = &taken {
                step(format!("{peer} failed: {error}"));
            }
            let add = |to: &mut WorkloadResult, aim, what: fn(&Taken) -> &Vec<Figures>| {
                let outcome = taken.as_ref().map(|taken| what(taken).clone()).map_err(Clone::clone);
                to.outcomes.push((Contender::new(peer, TABLE).aim(aim), outcome));
            };
            add(&mut memory, MEMORY_AIM, |taken| &taken.memory);
            add(&mut copies, TIMES_AIM, |taken| &taken.copies);
            add(&mut restarts, TIMES_AIM, |taken| &taken.restarts);
        }
        workloads.extend([memory, copies]);
        if copy == "disc" {
            workloads.push(restarts);
        }
    }
    SceneResult { title, workloads }
}

fn row(title: String, measure: Measure) -> WorkloadResult {
    let workload = Workload {
        title,
        measure,
        command: Line::new("load"),
        records_per_call: 1.0,
        contenders: Vec::new(),
    };
    WorkloadResult { workload, outcomes: Vec::new() }
}

async fn of_peer(peer: Peer, copy: &str, records: u64, settings: &Settings) -> Result<Taken, Failure> {
    let mut cluster = Cluster::form(peer, &settings.dir, 1, copy == "disc").await?;
    let dir = cluster.dir().to_owned();
    let mut node = cluster.nodes.pop().ok_or("a cluster without nodes")?;
    let command = |verb| Line::new(verb).with("table", TABLE).with("copy", copy).with("records", records);
    node.order(&command("create")).await?;
    let before = node.resident_bytes()?;
    node.order(&command("fill")).await?;
    node.order(&command("wait")).await?;
    let bytes = (node.resident_bytes()?.saturating_sub(before)) as f64 / records as f64;
    let mut taken = Taken { memory: vec![figure(peer, "bytes per record", bytes)], ..Taken::default() };
    let mut other = start(peer, &dir, 2).await?;
    for _ in 0..settings.rounds {
        let copied = other.ask(&command("copy").with("peer", &node.address)).await?;
        taken.copies.push(figure(peer, "copy, s", copied.number("seconds")?));
        other.order(&command("drop-copy")).await?;
    }
    other.stop().await?;
    for _ in 0..if copy == "disc" { settings.rounds } else { 0 } {
        node.stop().await?;
        let began = Instant::now();
        node = start(peer, &dir, 1).await?;
        node.order(&Line::new("resume")).await?;
        node.order(&command("wait")).await?;
        taken.restarts.push(figure(peer, "restart, s", began.elapsed().as_secs_f64()));
    }
    Ok(taken)
}

async fn start(peer: Peer, dir: &std::path::Path, number: usize) -> Result<Process, Failure> {
    match peer {
        Peer::Tabularaft => tabularaft::start(dir, number).await,
        _ => mnesia::start(dir, number).await,
    }
}

/// One value, in the place of a call's time.
fn figure(peer: Peer, what: &str, value: f64) -> Figures {
    step(format!("{peer}: {what}: {value:.3}"));
    Figures { p50_micros: value, ..Figures::default() }
}
