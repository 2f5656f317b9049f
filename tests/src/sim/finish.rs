//! Quiet reads at the end of a run: everything, on every node.

use std::time::Duration;

use futures::FutureExt as _;
use tabularaft::{Node, Record};

use super::ledger::{Ledger, Told, What};
use super::oracle::Holdings;
use super::perform::{self, Account, Word};
use super::stage::Stage;
use crate::tables::{DiscCount, DiscEvent, DiscOnlyWord, DiscWord, RamCount, RamEvent, RamWord};
use crate::workload::{Count, Event};

/// How long all nodes may take to read.
const READING_MS: u64 = 30_000;
/// Clients of the end have numbers that no other has.
const FIRST_READER: u64 = 1 << 40;

/// Reads all tables on all nodes; they must hold the same.
///
/// # Errors
///
/// What could not be read, or differs.
pub(super) fn read_all(stage: &mut Stage) -> Result<Holdings, String> {
    let mut readings = Vec::new();
    for host in 0..stage.world.machines().len() {
        let ledger = stage.ledger.clone();
        let reader = FIRST_READER + host as u64;
        let reading = stage.world.machine(host).spawn(|node| read(node, ledger, reader));
        readings.push((host, reading.ok_or_else(|| format!("machine {host} does not run"))?));
    }
    let all_read = |readings: &[(usize, tokio::task::JoinHandle<_>)]| {
        readings.iter().all(|(_, reading)| reading.is_finished())
    };
    if !stage.world.wait(READING_MS, |_| all_read(&readings)) {
        return Err(format!("the final reads do not end: {}", stage.diagnosis()));
    }
    let mut first: Option<Holdings> = None;
    for (host, reading) in readings {
        let read = reading.now_or_never().ok_or("the final reads have not ended")?;
        let holdings = read
            .map_err(|error| error.to_string())?
            .map_err(|why| format!("machine {host} cannot read: {why}"))?;
        let expected = first.get_or_insert_with(|| holdings.clone());
        if *expected != holdings {
            return Err(format!("machine {host} holds {holdings:?}, the first one {expected:?}"));
        }
    }
    first.ok_or_else(|| "there is no machine".to_owned())
}

async fn read(node: Node, ledger: Ledger, reader: u64) -> Result<Holdings, String> {
    node.wait_for_tables(&[], Duration::from_secs(20)).await.map_err(|error| error.to_string())?;
    let accounts = node.table::<Account>().map_err(|error| error.to_string())?;
    accounts.linearize().await.map_err(|error| error.to_string())?;
    words::<RamWord>(&node, &ledger, reader, "ram_word")?;
    words::<DiscWord>(&node, &ledger, reader, "disc_word")?;
    words::<DiscOnlyWord>(&node, &ledger, reader, "disc_only_word")?;
    let mut holdings = Holdings::default();
    counters::<RamCount>(&node, "ram_count", &mut holdings)?;
    counters::<DiscCount>(&node, "disc_count", &mut holdings)?;
    elements::<RamEvent>(&node, "ram_event", &mut holdings)?;
    elements::<DiscEvent>(&node, "disc_event", &mut holdings)?;
    for account in all::<Account>(&node)? {
        holdings.balances.insert(account.number, account.balance);
    }
    Ok(holdings)
}

fn all<R: Record>(node: &Node) -> Result<Vec<R>, String> {
    let records = node.table::<R>().and_then(|table| table.iter()).map_err(|error| error.to_string())?;
    records.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// What is read here is checked as any other read is; this node has applied everything that was acknowledged.
fn words<W: Word>(node: &Node, ledger: &Ledger, reader: u64, name: &'static str) -> Result<(), String> {
    let table = node.table::<W>().map_err(|error| error.to_string())?;
    for key in 0..super::clients::KEYS {
        let key = format!("k{key}");
        let operation = ledger.begin(reader, name, &key, What::Read);
        let told = perform::read(&table, &key);
        if let Told::No(why) = &told {
            return Err(why.clone());
        }
        ledger.end(operation, told);
    }
    Ok(())
}

fn counters<C: Count>(node: &Node, name: &'static str, holdings: &mut Holdings) -> Result<(), String> {
    let table = node.table::<C>().map_err(|error| error.to_string())?;
    for key in 0..super::clients::KEYS {
        let key = format!("k{key}");
        let value = table.get(&key).map_err(|error| error.to_string())?.map_or(0, |count| count.value());
        holdings.counters.insert((name, key), value);
    }
    Ok(())
}

fn elements<E: Event>(node: &Node, name: &'static str, holdings: &mut Holdings) -> Result<(), String> {
    let mut elements: Vec<u64> = all::<E>(node)?.iter().map(Event::number).collect();
    elements.sort_unstable();
    holdings.sets.insert(name, elements);
    Ok(())
}
