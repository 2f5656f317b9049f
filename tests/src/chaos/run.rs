//! One run: rounds of clients and faults on one cluster. After each round everything is healed, read and checked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::clients::{KEYS, Round};
use super::faults::Faults;
use super::fleet::{Fleet, NODES, PATIENCE};
use super::node::Weakness;
use super::protocol::{Answer, Ask};
use crate::checker::{self, Outcome};
use crate::history::History;
use crate::sim::history::History as Records;
use crate::sim::ledger::{Ledger, Told, What};
use crate::sim::oracle::{self, Holdings};

/// How long a round is: long enough for some dozens of faults, short enough for its history to be checked at once.
const ROUND: Duration = Duration::from_secs(60);
const CLIENTS_PER_NODE: u64 = 6;
/// A round in which less was done proves nothing.
const OPERATIONS_MIN: usize = 200;
/// What is said of a round in which clients were told what cannot be begins so.
pub const UNTRUE: &str = "clients were told what cannot be: ";
const WORDS: [&str; 3] = ["disc_word", "ram_word", "disc_only_word"];
const COUNTERS: [&str; 2] = ["disc_count", "ram_count"];
const SETS: [&str; 2] = ["disc_event", "ram_event"];

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Faults and what clients do come from it; when nodes act on it is up to the machine.
    pub seed: u64,
    /// How long faults happen, in all rounds.
    pub length: Duration,
    /// Where histories are kept; `None`: nowhere.
    pub history: Option<PathBuf>,
    /// What is wrong with the nodes on purpose.
    pub weakness: Weakness,
    /// Whether anything else goes wrong.
    pub faults: bool,
}

/// What a run that found nothing wrong did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Rounds, each of them checked.
    pub rounds: u64,
    /// Faults of all rounds.
    pub faults: usize,
    /// What was done to the nodes, as lines.
    pub trace: Vec<String>,
    /// Operations on records, and how many of them certainly took effect.
    pub operations: usize,
    /// See `operations`.
    pub done: usize,
    /// Transactions on lists that were committed.
    pub transactions: usize,
    /// Operations and transactions of which their clients do not know what came of them.
    pub unknown: usize,
    /// Acknowledged additions to counters and sets, all of which were found.
    pub adds: usize,
    /// The longest time, in milliseconds, in which no write of any client was acknowledged.
    pub longest_gap_ms: u64,
}

/// A run that found something wrong.
#[derive(Debug, Clone, thiserror::Error)]
#[error("round {round} of seed {seed}: {why}")]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The round.
    pub round: u64,
    /// What is wrong.
    pub why: String,
    /// What was done until then.
    pub trace: Vec<String>,
    /// Data and logs of the nodes.
    pub dir: PathBuf,
}

impl Plan {
    /// Runs it.
    ///
    /// # Errors
    ///
    /// What was found. The folder of the nodes is kept then.
    pub async fn run(&self) -> Result<Report, Failure> {
        let mut report = Report::default();
        let failure = |round, why, trace, dir| Failure { seed: self.seed, round, why, trace, dir };
        let dir = match tempfile::Builder::new().prefix("tabularaft-chaos-").tempdir() {
            Ok(dir) => dir,
            Err(error) => return Err(failure(0, error.to_string(), Vec::new(), PathBuf::new())),
        };
        let mut fleet = match Fleet::start(dir.path().to_owned(), self.weakness).await {
            Ok(fleet) => fleet,
            Err(why) => return Err(failure(0, why, Vec::new(), dir.keep())),
        };
        let began = Instant::now();
        while report.rounds == 0 || began.elapsed() < self.length {
            let length = self.length.saturating_sub(began.elapsed()).min(ROUND);
            report.rounds += 1;
            if let Err(why) = self.round(&mut fleet, &mut report, length).await {
                return Err(failure(report.rounds, why, fleet.trace.clone(), dir.keep()));
            }
        }
        report.faults = fleet.faults;
        report.trace.clone_from(&fleet.trace);
        drop(fleet);
        Ok(report)
    }

    async fn round(&self, fleet: &mut Fleet, report: &mut Report, length: Duration) -> Result<(), String> {
        let number = report.rounds;
        fleet.note(&format!("round {number}"));
        fleet.link(0)?.order(Ask::Deposit, PATIENCE).await?;
        let lists = History::begin_in(self.history.clone(), &format!("lists-{number}"));
        let began = Instant::now();
        let ledger = Ledger::new(move || began.elapsed().as_micros() as u64);
        let round = Round::new(number, ledger, lists, fleet.doors());
        let clients = round.start(NODES, CLIENTS_PER_NODE, self.seed);

        let mut faults = Faults::new(self.seed, number);
        while began.elapsed() < length {
            if self.faults {
                faults.happen(fleet).await?;
            } else {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        fleet.heal().await?;
        round.stop();
        for client in clients {
            client.await.map_err(|error| error.to_string())?;
        }
        fleet.note("healed");
        let holdings = final_reads(fleet, &round).await?;
        same_digests(fleet).await?;

        let operations = round.ledger.operations();
        let txns = round.history.finish();
        let records = Records { operations };
        if let Some(folder) = &self.history {
            let file = folder.join(format!("records-{number}.jsonl"));
            records.write(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        let operations = records.operations;
        oracle::check(&operations, 0, &holdings).map_err(|why| format!("{UNTRUE}{why}"))?;
        checker::check(&txns).map_err(|anomaly| format!("{UNTRUE}{anomaly}"))?;

        let done = operations.iter().filter(|operation| operation.is_done());
        let is_add = |what: &What| matches!(what, What::Add(_) | What::Count);
        report.adds += done.clone().filter(|operation| is_add(&operation.what)).count();
        let done = done.count();
        if done < OPERATIONS_MIN {
            return Err(format!("{done} operations were done, which proves nothing"));
        }
        report.done += done;
        report.operations += operations.len();
        report.transactions += round.transactions() as usize;
        report.unknown += operations.iter().filter(|op| !op.is_done() && !op.is_refused()).count();
        report.unknown += txns.iter().filter(|txn| txn.outcome == Outcome::Info).count();
        report.longest_gap_ms = report.longest_gap_ms.max(longest_gap_us(&operations) / 1_000);
        Ok(())
    }
}

/// The longest time without an acknowledged write.
fn longest_gap_us(operations: &[crate::sim::ledger::Operation]) -> u64 {
    let writes = operations.iter().filter(|operation| operation.is_done() && operation.what != What::Read);
    let mut ends: Vec<u64> = writes.filter_map(|operation| Some(operation.end.as_ref()?.at_us)).collect();
    ends.sort_unstable();
    ends.windows(2)
        .map(|pair| pair.iter().rev().copied().reduce(u64::saturating_sub).unwrap_or(0))
        .max()
        .unwrap_or(0)
}

/// Reads everything of the round on every member; they must hold the same.
async fn final_reads(fleet: &Fleet, round: &Round) -> Result<Holdings, String> {
    let mut first: Option<Holdings> = None;
    for number in fleet.members() {
        let link = fleet.link(number)?;
        let reader = round.next();
        for (table, key) in WORDS.iter().flat_map(|table| (0..KEYS).map(move |key| (*table, key))) {
            let told = round.operate(&link, reader, table, &round.key(key), What::Read).await;
            if let Told::No(why) = told {
                return Err(format!("node {number} cannot read {table}: {why}"));
            }
        }
        if round.transact(&link, reader, round.all_lists()).await != Outcome::Ok {
            return Err(format!("node {number} cannot read the lists"));
        }
        let holdings = holdings(&link, round).await.map_err(|why| format!("node {number}: {why}"))?;
        let expected = first.get_or_insert_with(|| holdings.clone());
        if *expected != holdings {
            return Err(format!("node {number} holds {holdings:?}, the first one {expected:?}"));
        }
    }
    first.ok_or_else(|| "there is no member".to_owned())
}

async fn holdings(link: &super::process::Link, round: &Round) -> Result<Holdings, String> {
    let mut holdings = Holdings::default();
    for (table, key) in COUNTERS.iter().flat_map(|table| (0..KEYS).map(move |key| (*table, key))) {
        let key = round.key(key);
        let ask = Ask::Counter { table: table.to_owned(), key: key.clone() };
        if let Answer::Number(value) = link.order(ask, PATIENCE).await? {
            holdings.counters.insert((table, key), value);
        }
    }
    for table in SETS {
        let ask = Ask::Elements { table: table.to_owned(), key: round.set() };
        if let Answer::Numbers(elements) = link.order(ask, PATIENCE).await? {
            holdings.sets.insert(table, elements);
        }
    }
    if let Answer::Numbers(balances) = link.order(Ask::Balances, PATIENCE).await? {
        holdings.balances = (0..).zip(balances).collect();
    }
    Ok(holdings)
}

/// Waits until all members have applied the same index; then their tables must be equal.
async fn same_digests(fleet: &Fleet) -> Result<(), String> {
    let began = Instant::now();
    let mut last = "no member answered".to_owned();
    while began.elapsed() < PATIENCE {
        let mut seen: BTreeMap<u64, Vec<(usize, Vec<String>)>> = BTreeMap::new();
        for number in fleet.members() {
            match fleet.link(number)?.order(Ask::Digests, PATIENCE).await {
                Ok(Answer::Digests { applied, tables }) => {
                    seen.entry(applied).or_default().push((number, tables))
                }
                Ok(other) => last = format!("{other:?}"),
                Err(why) => last = why,
            }
        }
        let all = fleet.members().len();
        match seen.into_values().find(|alike| alike.len() == all) {
            Some(alike) => {
                let (_, expected) = alike.first().ok_or("there is no member")?;
                return match alike.iter().find(|(_, tables)| tables != expected) {
                    None => Ok(()),
                    Some((number, tables)) => {
                        Err(format!("node {number} holds {tables:?}, others {expected:?}"))
                    }
                };
            }
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    Err(format!("the members do not come to the same index; {last}"))
}
