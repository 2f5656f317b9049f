//! Runs scenes: all contenders in turns, several rounds, so that a disturbance of the machine falls on all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::peers::{Cluster, Peer};
use crate::workload::{CallersOn, Contender, Group, Scene, Table, Workload};
use compare_lines::Failure;
use compare_lines::Figures;
use compare_lines::Line;
use futures::future::try_join_all;

/// How often and how long.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Rounds of every workload.
    pub rounds: usize,
    /// Seconds of one run.
    pub seconds: f64,
    /// Who takes part.
    pub peers: Vec<Peer>,
    /// Where the nodes keep their data.
    pub dir: PathBuf,
}

/// What came of one scene.
pub struct SceneResult {
    /// Its heading.
    pub title: &'static str,
    /// One for each workload, in order.
    pub workloads: Vec<WorkloadResult>,
}

/// What came of one workload.
pub struct WorkloadResult {
    /// The workload.
    pub workload: Workload,
    /// Of each contender that took part, its figures round by round, or why it failed.
    pub outcomes: Vec<(Contender, Outcome)>,
}

/// One contender's figures round by round, or why there are none.
pub type Outcome = Result<Vec<Figures>, String>;

/// Drivers of one run have numbers of their own, so many apart from those of the next run, and so of nodes.
const DRIVERS_MAX: usize = 3_000;
const NODES_MAX: usize = 3;
/// After tables were filled, work that goes on behind is given this long.
const SETTLE: Duration = Duration::from_millis(1500);

/// Runs a scene. A contender that fails is left out of the workload, and its failure reported.
pub async fn run(scene: Scene, settings: &Settings) -> SceneResult {
    step(scene.title);
    let mut clusters = BTreeMap::new();
    let mut failed = BTreeMap::new();
    for peer in peers_of(&scene, settings) {
        match prepare(peer, &scene, settings).await {
            Ok(cluster) => drop(clusters.insert(peer, cluster)),
            Err(error) => {
                step(format!("{peer} failed: {error}"));
                failed.insert(peer, error.to_string());
            }
        }
    }
    tokio::time::sleep(SETTLE).await;
    let mut results: Vec<_> = scene.workloads.iter().map(|all| empty(all, settings, &failed)).collect();
    for round in 0..settings.rounds {
        for result in &mut results {
            run_round(result, round, &mut clusters, scene.callers_on, settings).await;
        }
    }
    if matches!(scene.group, Group::Tpcb | Group::Telecom) {
        for (peer, cluster) in &mut clusters {
            if let Err(error) = check(cluster, &scene.tables).await {
                step(format!("{peer} failed: {error}"));
                spoil(&mut results, *peer, &error.to_string());
            }
        }
    }
    SceneResult { title: scene.title, workloads: results }
}

/// Sums and bits must be right on every node, and the same on all.
async fn check(cluster: &mut Cluster, tables: &[Table]) -> Result<(), Failure> {
    tokio::time::sleep(SETTLE).await;
    for table in tables {
        let mut sums = BTreeSet::new();
        for node in &mut cluster.nodes {
            sums.insert(node.ask(&Line::new("check").with("table", table.name)).await?.number::<i64>("sum")?);
        }
        if sums.len() > 1 {
            return Err(format!("the nodes' sums of {} differ: {sums:?}", table.name).into());
        }
    }
    Ok(())
}

/// Figures of a peer whose tables are not right afterwards count for nothing.
fn spoil(results: &mut [WorkloadResult], peer: Peer, why: &str) {
    for (contender, outcome) in results.iter_mut().flat_map(|result| &mut result.outcomes) {
        if contender.peer == peer {
            *outcome = Err(why.to_owned());
        }
    }
}

fn peers_of(scene: &Scene, settings: &Settings) -> Vec<Peer> {
    let takes_part = |peer: &Peer| scene.tables.iter().any(|table| table.peers.contains(peer));
    settings.peers.iter().copied().filter(takes_part).collect()
}

async fn prepare(peer: Peer, scene: &Scene, settings: &Settings) -> Result<Cluster, Failure> {
    let mut cluster = Cluster::form(peer, &settings.dir, scene.nodes, scene.synced).await?;
    for table in scene.tables.iter().filter(|table| table.peers.contains(&peer)) {
        fill(&mut cluster, table).await?;
    }
    Ok(cluster)
}

async fn fill(cluster: &mut Cluster, table: &Table) -> Result<(), Failure> {
    let command = |verb| {
        let command =
            Line::new(verb).with("table", table.name).with("copy", table.copy).with("records", table.records);
        table.fields.iter().fold(command, |command, (name, value)| command.with(name, value))
    };
    let leader = cluster.leader(table.name).await?;
    leader.order(&command("create")).await?;
    let seconds = leader.order(&command("fill")).await?;
    step(format!("{}: {} records of {} in {seconds:.1} s", leader.name, table.records, table.name));
    for node in &mut cluster.nodes {
        node.order(&command("wait")).await?;
    }
    Ok(())
}

fn empty(workload: &Workload, settings: &Settings, failed: &BTreeMap<Peer, String>) -> WorkloadResult {
    let takes_part = |contender: &&Contender| settings.peers.contains(&contender.peer);
    let outcome = |contender: &Contender| match failed.get(&contender.peer) {
        Some(why) => (*contender, Err(why.clone())),
        None => (*contender, Ok(Vec::new())),
    };
    let outcomes = workload.contenders.iter().filter(takes_part).map(outcome).collect();
    WorkloadResult { workload: workload.clone(), outcomes }
}

/// One run of each contender. Each round begins with another one, so that none always follows the same one.
async fn run_round(
    result: &mut WorkloadResult,
    round: usize,
    clusters: &mut BTreeMap<Peer, Cluster>,
    callers_on: CallersOn,
    settings: &Settings,
) {
    let count = result.outcomes.len();
    for turn in 0..count {
        let Some((contender, outcome)) = result.outcomes.get_mut((round + turn) % count) else { continue };
        let (Ok(figures), Some(cluster)) = (outcome.as_mut(), clusters.get_mut(&contender.peer)) else {
            continue;
        };
        let first = (round * count + turn) * DRIVERS_MAX;
        let command = result.workload.command_of(contender, settings.seconds, first);
        match run_one(cluster, callers_on, &command, result.workload.records_per_call).await {
            Ok(run) => {
                let title = &result.workload.title;
                step(format!(
                    "{title}: {}: {:.0}/s, p50 {:.0} µs, p99 {:.0} µs, {:.0} restarts",
                    contender.label(),
                    run.per_second,
                    run.p50_micros,
                    run.p99_micros,
                    run.restarts
                ));
                figures.push(run);
            }
            Err(error) => {
                step(format!("{}: {} failed: {error}", result.workload.title, contender.label()));
                *outcome = Err(error.to_string());
            }
        }
    }
}

async fn run_one(
    cluster: &mut Cluster,
    callers_on: CallersOn,
    command: &Line,
    records_per_call: f64,
) -> Result<Figures, Failure> {
    let mut figures = match callers_on {
        CallersOn::Leader => {
            let leader = cluster.leader(command.text("table")?).await?;
            Figures::from_line(&leader.ask(command).await?)?
        }
        CallersOn::EveryNode => on_every_node(cluster, command).await?,
    };
    figures.per_second *= records_per_call;
    Ok(figures)
}

async fn on_every_node(cluster: &mut Cluster, command: &Line) -> Result<Figures, Failure> {
    let first: usize = command.number("first")?;
    let runs = cluster.nodes.iter_mut().enumerate().map(|(number, node)| {
        let command = command.clone().with("first", first + number * DRIVERS_MAX / NODES_MAX);
        async move { Figures::from_line(&node.ask(&command).await?) }
    });
    let figures = try_join_all(runs).await?;
    Ok(Figures::of_nodes(&figures))
}

/// Says what is going on.
pub fn step(what: impl std::fmt::Display) {
    eprintln!("# {what}");
}
