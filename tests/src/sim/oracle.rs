//! Whether what clients were told can be true, given what is there at the end.
//!
//! Each record has a version that only grows, so the order of all writes to a key is known: a history is linearizable if
//! that order agrees with what was over before something else began, and reads agree with it too.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::{Operation, Told, What};
use super::perform::{ACCOUNTS, DEPOSIT};

/// What one node holds at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// By table and key.
    pub(crate) counters: BTreeMap<(&'static str, String), u64>,
    /// By table.
    pub(crate) sets: BTreeMap<&'static str, Vec<u64>>,
    pub(crate) balances: BTreeMap<u64, u64>,
}

/// Checks all that clients were told against each other and against the end.
///
/// # Errors
///
/// What cannot be.
pub(crate) fn check(operations: &[Operation], losses: u32, end: &Holdings) -> Result<(), String> {
    let mut by_key: BTreeMap<(&str, &str), Vec<&Operation>> = BTreeMap::new();
    for operation in operations.iter().filter(|operation| losses == 0 || !operation.is_in_ram()) {
        by_key.entry((operation.table, &operation.key)).or_default().push(operation);
    }
    for ((table, key), operations) in by_key {
        let kind = table.split_once('_').map_or("", |(_, kind)| kind);
        let checked = match kind {
            "word" | "only_word" => check_word(&operations),
            "count" => {
                check_counter(&operations, end.counters.get(&(table_name(&operations), key.to_owned())))
            }
            "event" => {
                check_set(&operations, end.sets.get(table_name(&operations)).map_or(&[], Vec::as_slice))
            }
            _ => check_bank(&operations, &end.balances),
        };
        checked.map_err(|why| format!("{table} {key}: {why}"))?;
    }
    Ok(())
}

fn table_name(operations: &[&Operation]) -> &'static str {
    operations.first().map_or("", |operation| operation.table)
}

/// Something known of the order: at some moment between two times the key stood here.
struct Fact<'a> {
    operation: &'a Operation,
    ended_us: u64,
    place: u64,
    /// Whether it moved there itself, and so must be behind everything before.
    moved: bool,
}

/// Nobody may see a place behind one that was left before they began.
fn check_order(mut facts: Vec<Fact<'_>>) -> Result<(), String> {
    let mut ended: Vec<(u64, u64)> = facts.iter().map(|fact| (fact.ended_us, fact.place)).collect();
    ended.sort_unstable();
    facts.sort_unstable_by_key(|fact| fact.operation.began_us);
    let (mut highest, mut ended) = (0, ended.into_iter().peekable());
    for fact in facts {
        while let Some((_, place)) = ended.next_if(|(at, _)| *at < fact.operation.began_us) {
            highest = highest.max(place);
        }
        if fact.place < highest || (fact.moved && fact.place == highest) {
            return Err(format!(
                "at place {highest} before this began, at {} in it: {:?}",
                fact.place, fact.operation
            ));
        }
    }
    Ok(())
}

fn check_word(operations: &[&Operation]) -> Result<(), String> {
    let mut facts = Vec::new();
    let mut values: BTreeMap<u64, u64> = BTreeMap::new();
    let mut written = BTreeSet::new();
    for operation in operations {
        let Some(end) = &operation.end else { continue };
        let (place, value, moved) = match (&operation.what, &end.told) {
            (What::Write(value) | What::Swap { value, .. }, Told::Version(version)) => {
                if !written.insert(*version) {
                    return Err(format!("version {version} was given twice, also here: {operation:?}"));
                }
                (*version, *value, true)
            }
            (What::Read, Told::Value { version, value }) => (*version, *value, false),
            _ => continue,
        };
        let known = *values.entry(place).or_insert(value);
        if known != value {
            return Err(format!("version {place} holds {known} and also {value}: {operation:?}"));
        }
        facts.push(Fact { operation, ended_us: end.at_us, place, moved });
    }
    check_sources(operations, &values)?;
    check_swaps(operations, &values)?;
    check_order(facts)
}

/// Every value was written, and not by a write that was refused.
fn check_sources(operations: &[&Operation], values: &BTreeMap<u64, u64>) -> Result<(), String> {
    let written = |operation: &&&Operation| match operation.what {
        What::Write(value) | What::Swap { value, .. } => Some((value, operation.is_refused())),
        _ => None,
    };
    let written: BTreeMap<u64, bool> =
        operations.iter().filter_map(|operation| written(&operation)).collect();
    for value in values.iter().filter(|(version, _)| **version > 0).map(|(_, value)| value) {
        match written.get(value) {
            None => return Err(format!("value {value} was read, and never written")),
            Some(true) => return Err(format!("value {value} was read, and its write was refused")),
            Some(false) => {}
        }
    }
    Ok(())
}

/// Nothing came between what a swap expected and what it wrote.
fn check_swaps(operations: &[&Operation], values: &BTreeMap<u64, u64>) -> Result<(), String> {
    for operation in operations {
        let What::Swap { expected, .. } = operation.what else { continue };
        let Some(Told::Version(version)) = operation.end.as_ref().map(|end| &end.told) else { continue };
        if let Some((between, _)) = values.range(expected + 1..*version).next() {
            return Err(format!("version {between} came between the two of a swap: {operation:?}"));
        }
    }
    Ok(())
}

fn check_counter(operations: &[&Operation], end: Option<&u64>) -> Result<(), String> {
    let mut facts = Vec::new();
    let mut sums = BTreeSet::new();
    for operation in operations {
        if let Some(end) = &operation.end
            && let Told::Sum(sum) = end.told
        {
            if !sums.insert(sum) {
                return Err(format!("sum {sum} was told twice, also here: {operation:?}"));
            }
            facts.push(Fact { operation, ended_us: end.at_us, place: sum, moved: true });
        }
    }
    let least = sums.len() as u64;
    let maybe = operations.iter().filter(|op| !op.is_done() && !op.is_refused()).count() as u64;
    let value = end.copied().unwrap_or(0);
    if !(least..=least + maybe).contains(&value) {
        return Err(format!("the counter stands at {value}, not at {least} to {}", least + maybe));
    }
    check_order(facts)
}

fn check_set(operations: &[&Operation], end: &[u64]) -> Result<(), String> {
    let there: BTreeSet<u64> = end.iter().copied().collect();
    if there.len() != end.len() {
        return Err("an element is there twice".to_owned());
    }
    let mut known = BTreeSet::new();
    for operation in operations {
        let What::Add(element) = operation.what else { continue };
        known.insert(element);
        let is_there = there.contains(&element);
        if operation.is_done() && !is_there {
            return Err(format!("an acknowledged element is missing: {operation:?}"));
        }
        if operation.is_refused() && is_there {
            return Err(format!("a refused element is there: {operation:?}"));
        }
    }
    match there.difference(&known).next() {
        Some(element) => Err(format!("element {element} was never added")),
        None => Ok(()),
    }
}

fn check_bank(operations: &[&Operation], balances: &BTreeMap<u64, u64>) -> Result<(), String> {
    let total: u64 = balances.values().sum();
    if total != ACCOUNTS * DEPOSIT {
        return Err(format!("all accounts together hold {total}: {balances:?}"));
    }
    for account in 0..ACCOUNTS {
        let (mut least, mut most) = (i128::from(DEPOSIT), i128::from(DEPOSIT));
        for operation in operations.iter().filter(|operation| !operation.is_refused()) {
            let What::Transfer { from, to, amount } = operation.what else { continue };
            let moved = match account {
                account if account == from => -i128::from(amount),
                account if account == to => i128::from(amount),
                _ => continue,
            };
            // One of which nobody knows has happened or not.
            least += if operation.is_done() { moved } else { moved.min(0) };
            most += if operation.is_done() { moved } else { moved.max(0) };
        }
        let balance = i128::from(balances.get(&account).copied().unwrap_or(0));
        if !(least..=most).contains(&balance) {
            return Err(format!("account {account} holds {balance}, not {least} to {most}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::ledger::End;
    use super::*;

    fn operation(what: What, began_us: u64, told: Option<(u64, Told)>) -> Operation {
        Operation {
            client: 1,
            table: "disc_word",
            key: "k".to_owned(),
            what,
            began_us,
            end: told.map(|(at_us, told)| End { at_us, told }),
        }
    }

    fn verdict(operations: &[Operation]) -> Result<(), String> {
        check(operations, 0, &Holdings::default())
    }

    #[test]
    fn a_read_behind_an_acknowledged_write_is_found() {
        let write = operation(What::Write(7), 1, Some((2, Told::Version(5))));
        let old = operation(What::Read, 3, Some((4, Told::Value { version: 0, value: 0 })));
        let new = operation(What::Read, 3, Some((4, Told::Value { version: 5, value: 7 })));
        assert!(verdict(&[write.clone(), new]).is_ok());
        assert!(verdict(&[write.clone(), old.clone()]).unwrap_err().contains("at place 5 before"));
        let early = Operation { began_us: 2, ..old };
        assert!(verdict(&[write, early]).is_ok(), "it began before the write was acknowledged");
    }

    #[test]
    fn a_write_of_unknown_outcome_may_be_seen_and_a_refused_one_may_not() {
        let read = operation(What::Read, 9, Some((9, Told::Value { version: 5, value: 7 })));
        let lost = operation(What::Write(7), 1, None);
        let unknown = operation(What::Write(7), 1, Some((2, Told::Unknown)));
        let refused = operation(What::Write(7), 1, Some((2, Told::No("no".to_owned()))));
        assert!(verdict(&[lost, read.clone()]).is_ok());
        assert!(verdict(&[unknown, read.clone()]).is_ok());
        assert!(verdict(&[refused, read]).unwrap_err().contains("refused"));
    }

    #[test]
    fn a_swap_over_a_write_in_between_is_found() {
        let first = operation(What::Write(1), 1, Some((9, Told::Version(1))));
        let second = operation(What::Write(2), 1, Some((9, Told::Version(2))));
        let swap = operation(What::Swap { expected: 1, value: 3 }, 1, Some((9, Told::Version(3))));
        assert!(verdict(&[first, second, swap]).unwrap_err().contains("came between"));
    }

    #[test]
    fn a_count_that_happened_twice_is_found() {
        let count =
            |sum| Operation { table: "disc_count", ..operation(What::Count, 1, Some((2, Told::Sum(sum)))) };
        let end = |value| Holdings {
            counters: BTreeMap::from([(("disc_count", "k".to_owned()), value)]),
            ..Holdings::default()
        };
        assert!(check(&[count(1), count(2)], 0, &end(2)).is_ok());
        assert!(check(&[count(1), count(2)], 0, &end(3)).unwrap_err().contains("stands at 3"));
        assert!(check(&[count(1), count(3)], 0, &end(2)).is_ok(), "sums are only compared in time");
    }

    #[test]
    fn an_acknowledged_element_that_is_missing_is_found() {
        let add = Operation { table: "disc_event", ..operation(What::Add(4), 1, Some((2, Told::Done))) };
        assert!(verdict(&[add]).unwrap_err().contains("missing"));
    }
}
