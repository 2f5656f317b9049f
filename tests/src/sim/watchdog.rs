//! What must always hold, looked at while the cluster runs (DESIGN §10).

use std::collections::BTreeMap;

use tabularaft::store::TableDigest;
use tabularaft::{Node, Standing};

use super::perform::{ACCOUNTS, Account, DEPOSIT};
use super::world::World;

/// How many indexes back the contents of tables are remembered.
const CONTENTS_KEPT: usize = 256;

/// Which cluster: a node that leaves founds one of its own.
type Cluster = u128;
type Contents = BTreeMap<String, TableDigest>;

/// Remembers what was seen, and finds what contradicts it.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    /// The leader of each term.
    leaders: BTreeMap<(Cluster, u64), u64>,
    /// What is committed at each index: a term and a checksum.
    committed: BTreeMap<(Cluster, u64), (u64, u32)>,
    /// The last committed entry that had to be synced. All before it are on the discs of a majority.
    synced: BTreeMap<Cluster, u64>,
    /// Up to where each node's log was compared.
    compared: BTreeMap<(Cluster, u64), u64>,
    /// What the tables hold at an index, and who said so first.
    contents: BTreeMap<(Cluster, u64), (String, Contents)>,
}

impl Watchdog {
    /// Looks at all nodes that run.
    ///
    /// # Errors
    ///
    /// What must not be.
    pub(super) fn look(&mut self, world: &World) -> Result<(), String> {
        for (_, node) in world.nodes() {
            let Some(standing) = node.standing() else { continue };
            let checked = self
                .check_leader(&standing)
                .and_then(|()| check_order(&standing))
                .and_then(|()| self.check_log(node, &standing))
                .and_then(|()| self.check_contents(node, &standing))
                .and_then(|()| check_money(node));
            checked.map_err(|why| format!("{}: {why}", node.name()))?;
        }
        Ok(())
    }

    /// All machines lose power at once. What is committed may be gone up to the end of the log, but only as far as nothing of
    /// it had to be synced.
    pub(super) fn lose_what_was_not_synced(&mut self) {
        let synced = &self.synced;
        let lasts = |(cluster, index): &(Cluster, u64)| synced.get(cluster).is_some_and(|last| index <= last);
        self.committed.retain(|at, _| lasts(at));
        self.contents.retain(|at, _| lasts(at));
        for ((cluster, _), compared) in &mut self.compared {
            *compared = (*compared).min(synced.get(cluster).copied().unwrap_or(0));
        }
    }

    /// At most one leader per term.
    fn check_leader(&mut self, standing: &Standing) -> Result<(), String> {
        if !standing.leads {
            return Ok(());
        }
        let leader = *self.leaders.entry((standing.cluster, standing.term)).or_insert(standing.node);
        if leader == standing.node {
            return Ok(());
        }
        Err(format!("nodes {leader} and {} both lead in term {}", standing.node, standing.term))
    }

    /// What is committed at an index is the same everywhere, for ever.
    fn check_log(&mut self, node: &Node, standing: &Standing) -> Result<(), String> {
        let compared = self.compared.entry((standing.cluster, standing.node)).or_default();
        let committed = standing.committed.min(standing.last);
        for entry in node.log_entries(*compared + 1..committed + 1) {
            let at = (standing.cluster, entry.index);
            let known = *self.committed.entry(at).or_insert((entry.term, entry.checksum));
            if known != (entry.term, entry.checksum) {
                return Err(format!(
                    "the committed entry {} has term {}, another node has committed one of term {} there",
                    entry.index, entry.term, known.0
                ));
            }
            if entry.synced {
                let synced = self.synced.entry(standing.cluster).or_default();
                *synced = entry.index.max(*synced);
            }
        }
        *compared = committed.max(*compared);
        Ok(())
    }

    /// Two nodes at one index hold the same records in the tables they share.
    fn check_contents(&mut self, node: &Node, standing: &Standing) -> Result<(), String> {
        let Some(view) = node.store_view() else { return Ok(()) };
        let mut contents = Contents::new();
        for copy in view.tables().filter(|copy| copy.is_ready()) {
            let digest = copy.digest().map_err(|error| error.to_string())?;
            contents.insert(copy.def().name.to_string(), digest);
        }
        let at = (standing.cluster, view.applied_index().0);
        let (other, known) =
            self.contents.entry(at).or_insert_with(|| (node.name().to_string(), Contents::new()));
        for (table, digest) in contents {
            let known = known.entry(table.clone()).or_insert(digest);
            if *known != digest {
                return Err(format!(
                    "table {table} at index {} differs from that of {other}: {digest:?}, {known:?}",
                    at.1
                ));
            }
        }
        while self.contents.len() > CONTENTS_KEPT {
            self.contents.pop_first();
        }
        Ok(())
    }
}

/// purged <= checkpointed <= applied <= end of the log
fn check_order(standing: &Standing) -> Result<(), String> {
    let Standing { purged, checkpointed, applied, last, .. } = *standing;
    if purged <= checkpointed && checkpointed <= applied && applied <= last {
        return Ok(());
    }
    Err(format!("purged {purged}, checkpointed {checkpointed}, applied {applied}, end of log {last}"))
}

/// Every view shows a moment between two transactions.
fn check_money(node: &Node) -> Result<(), String> {
    let Ok(view) = node.view() else { return Ok(()) };
    let Ok(accounts) = view.table::<Account>().and_then(|accounts| accounts.all()) else { return Ok(()) };
    let total: u64 = accounts.iter().map(|account| account.balance).sum();
    if accounts.is_empty() || total == ACCOUNTS * DEPOSIT {
        return Ok(());
    }
    Err(format!("all accounts together hold {total}: {accounts:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_of_all_power_takes_only_what_was_committed_after_the_last_entry_that_had_to_be_synced() {
        let mut watchdog = Watchdog::default();
        for index in 1..=5 {
            watchdog.committed.insert((7, index), (1, 0));
            watchdog.contents.insert((7, index), ("n1@localhost".to_owned(), Contents::new()));
        }
        watchdog.compared.extend([((7, 1), 5), ((7, 2), 2)]);
        watchdog.synced.insert(7, 3);
        watchdog.leaders.insert((7, 1), 1);
        watchdog.lose_what_was_not_synced();
        let kept: Vec<_> = (1..=3).map(|index| (7, index)).collect();
        assert!(watchdog.committed.keys().eq(&kept) && watchdog.contents.keys().eq(&kept));
        assert_eq!(watchdog.compared, BTreeMap::from([((7, 1), 3), ((7, 2), 2)]));
        assert_eq!(watchdog.leaders.len(), 1, "votes are synced");
    }
}
