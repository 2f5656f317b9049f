//! The order in which values came to each list, as far as reads show it.

use std::collections::{HashMap, HashSet};

use super::anomaly::Anomaly;
use super::txn::{Outcome, Txn};

/// The longest read of every list, and who appended what.
pub(super) struct Lists<'h> {
    /// The values of each list that was read, in order.
    pub(super) orders: HashMap<&'h str, Vec<u64>>,
    /// The transaction that appended a value, by its number in the history.
    pub(super) writers: HashMap<(&'h str, u64), usize>,
}

impl<'h> Lists<'h> {
    pub(super) fn of(txns: &'h [Txn]) -> Result<Self, Anomaly> {
        let appends = txns.iter().enumerate().filter(|(_, txn)| txn.outcome != Outcome::Fail);
        let writers: HashMap<_, _> =
            appends.flat_map(|(number, txn)| txn.appends().map(move |append| (append, number))).collect();
        let mut lists = Self { orders: HashMap::new(), writers };
        for txn in txns.iter().filter(|txn| txn.outcome == Outcome::Ok) {
            for (key, read) in txn.external_reads() {
                lists.take(key, read)?;
            }
        }
        lists.check_values()?;
        lists.check_whole_transactions(txns)?;
        Ok(lists)
    }

    fn take(&mut self, key: &'h str, read: Vec<u64>) -> Result<(), Anomaly> {
        let longest = self.orders.entry(key).or_default();
        let (shorter, longer) =
            if read.len() <= longest.len() { (&read, &*longest) } else { (&*longest, &read) };
        if !longer.starts_with(shorter) {
            let (one, other) = (shorter.clone(), longer.clone());
            return Err(Anomaly::IncompatibleOrders { key: key.to_owned(), one, other });
        }
        if read.len() > longest.len() {
            *longest = read;
        }
        Ok(())
    }

    fn check_values(&self) -> Result<(), Anomaly> {
        for (key, list) in &self.orders {
            let mut seen = HashSet::new();
            for value in list {
                let (key, value) = ((*key).to_owned(), *value);
                if !seen.insert(value) {
                    return Err(Anomaly::Duplicate { key, value, list: list.clone() });
                }
                if !self.writers.contains_key(&(key.as_str(), value)) {
                    return Err(Anomaly::AbortedRead { key, value });
                }
            }
        }
        Ok(())
    }

    /// A read must not end between two values that one transaction appended.
    fn check_whole_transactions(&self, txns: &[Txn]) -> Result<(), Anomaly> {
        for (number, txn) in txns.iter().enumerate().filter(|(_, txn)| txn.outcome == Outcome::Ok) {
            for (key, read) in txn.external_reads() {
                let Some(last) = read.last().copied() else { continue };
                let Some(writer) = self.writers.get(&(key, last)).filter(|writer| **writer != number) else {
                    continue;
                };
                let final_append = txns.get(*writer).and_then(|writer| {
                    writer.appends().filter(|(appended, _)| *appended == key).map(|(_, value)| value).last()
                });
                if final_append != Some(last) {
                    return Err(Anomaly::IntermediateRead { key: key.to_owned(), value: last });
                }
            }
        }
        Ok(())
    }
}
