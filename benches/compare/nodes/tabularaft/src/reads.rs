//! Callers that read what their own node has, in threads of their own.

use std::hint::black_box;

use rand::RngExt;
use tabularaft::Node;

use super::records::{BagItem, IndexedItem, Item, OrderedItem};
use compare_lines::Failure;
use compare_lines::Figures;
use compare_lines::Line;
use compare_lines::callers;
use compare_lines::content::{BAG_RECORDS, GROUP_RECORDS, KEYS, RANGE_RECORDS};
use compare_lines::content::{key, ordered_key};

pub(super) fn run(node: &Node, command: &Line) -> Result<Line, Failure> {
    let figures = match command.verb.as_str() {
        "read" => read(node, command)?,
        "range" => range(node, command)?,
        "index-read" => index_read(node, command)?,
        _ => bag_read(node, command)?,
    };
    Ok(figures.to_line())
}

fn read(node: &Node, command: &Line) -> Result<Figures, Failure> {
    let records = command.number("records")?;
    callers::run_threads(command, |_| {
        let table = node.table::<Item>()?;
        let keys: Vec<String> = random(records).map(key).collect();
        Ok(move |turn: usize| {
            let key = keys.get(turn % KEYS).ok_or("no such key")?;
            match black_box(table.get(key.as_str())?) {
                Some(_) => Ok(()),
                None => Err("a record is missing".into()),
            }
        })
    })
}

fn range(node: &Node, command: &Line) -> Result<Figures, Failure> {
    let records: u64 = command.number("records")?;
    callers::run_threads(command, |_| {
        let table = node.table::<OrderedItem>()?;
        let starts: Vec<u64> = random(records - RANGE_RECORDS).collect();
        Ok(move |turn: usize| {
            let start = *starts.get(turn % KEYS).ok_or("no such start")?;
            let range = ordered_key(start)..ordered_key(start + RANGE_RECORDS);
            let mut found = 0;
            for record in table.range(range)? {
                black_box(record?);
                found += 1;
            }
            if found == RANGE_RECORDS { Ok(()) } else { Err(format!("{found} records in a range").into()) }
        })
    })
}

fn bag_read(node: &Node, command: &Line) -> Result<Figures, Failure> {
    let records: u64 = command.number("records")?;
    callers::run_threads(command, |_| {
        let table = node.table::<BagItem>()?;
        let keys: Vec<String> = random(records / BAG_RECORDS).map(key).collect();
        Ok(move |turn: usize| {
            let key = keys.get(turn % KEYS).ok_or("no such key")?;
            let found = black_box(table.get_all(key.as_str())?).len() as u64;
            if found == BAG_RECORDS { Ok(()) } else { Err(format!("{found} records under a key").into()) }
        })
    })
}

fn index_read(node: &Node, command: &Line) -> Result<Figures, Failure> {
    let records: u64 = command.number("records")?;
    callers::run_threads(command, |_| {
        let table = node.table::<IndexedItem>()?;
        let wanted: Vec<u64> = random(records / GROUP_RECORDS).collect();
        Ok(move |turn: usize| {
            let group = *wanted.get(turn % KEYS).ok_or("no such group")?;
            let found = black_box(table.index("group")?.get(group)?).len() as u64;
            if found == GROUP_RECORDS { Ok(()) } else { Err(format!("{found} records of a group").into()) }
        })
    })
}

/// Random numbers, made beforehand so that making keys is not measured; enough of them that what they lead to does not
/// stay in the processor's caches.
fn random(below: u64) -> impl Iterator<Item = u64> {
    let mut random = rand::rng();
    (0..KEYS).map(move |_| random.random_range(0..below))
}
