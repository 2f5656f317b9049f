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
