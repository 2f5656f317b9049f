//! Transactions and what must have happened before what.

use std::collections::{HashMap, HashSet, VecDeque};

use super::anomaly::Step;
use super::lists::Lists;
use super::txn::{Outcome, Txn};

/// Of so many cycles the shortest one is shown: it is the easiest to understand.
const CYCLES_COMPARED: usize = 64;

/// Nodes are the transactions of the history by number, and behind them moments of time.
///
/// Time orders almost every transaction before almost every other. So that there are not that many edges, each
/// acknowledgement makes a moment: it comes after the transaction and after all earlier moments, and before whatever
/// begins later.
pub(super) struct Graph<'h> {
    txns: &'h [Txn],
    edges: Vec<Vec<(usize, &'static str)>>,
}

impl<'h> Graph<'h> {
    pub(super) fn of(txns: &'h [Txn], lists: &Lists<'h>) -> Self {
        let mut graph = Self { txns, edges: vec![Vec::new(); txns.len()] };
        graph.connect_writers(lists);
        graph.connect_readers(lists);
        graph.connect_time();
        graph
    }

    fn edge(&mut self, from: usize, to: usize, kind: &'static str) {
        if from != to
            && let Some(edges) = self.edges.get_mut(from)
        {
            edges.push((to, kind));
        }
    }

    fn connect_writers(&mut self, lists: &Lists<'h>) {
        for (key, order) in &lists.orders {
            for (one, next) in order.iter().zip(order.iter().skip(1)) {
                if let (Some(one), Some(next)) =
                    (lists.writers.get(&(*key, *one)), lists.writers.get(&(*key, *next)))
                {
                    self.edge(*one, *next, "ww");
                }
            }
        }
    }

    fn connect_readers(&mut self, lists: &Lists<'h>) {
        let unseen = unseen_appends(self.txns, lists);
        for (number, txn) in self.txns.iter().enumerate().filter(|(_, txn)| txn.outcome == Outcome::Ok) {
            for (key, read) in txn.external_reads() {
                if let Some(writer) = read.last().and_then(|last| lists.writers.get(&(key, *last))) {
                    self.edge(*writer, number, "wr");
                }
                let next = lists.orders.get(key).and_then(|order| order.get(read.len()));
                if let Some(writer) = next.and_then(|next| lists.writers.get(&(key, *next))) {
                    self.edge(number, *writer, "rw");
                }
                // What was acknowledged, and is in no list that was read, comes after every read.
                for writer in unseen.get(key).into_iter().flatten() {
                    self.edge(number, *writer, "rw");
                }
            }
        }
    }

    fn connect_time(&mut self) {
        let begins = self.txns.iter().enumerate().map(|(number, txn)| (txn.invoked, 0, number));
        let ends = self.txns.iter().enumerate().filter_map(|(number, txn)| Some((txn.completed?, 1, number)));
        let mut events: Vec<_> = begins.chain(ends).collect();
        // Of events at the same time the beginnings come first: they count as concurrent.
        events.sort_unstable();
        let mut moment = None;
        for (_, is_end, number) in events {
            match (is_end, moment) {
                (0, Some(moment)) => self.edge(moment, number, "time"),
                (0, None) => {}
                _ => {
                    let next = self.edges.len();
                    self.edges.push(Vec::new());
                    self.edge(number, next, "time");
                    if let Some(moment) = moment.replace(next) {
                        self.edge(moment, next, "time");
                    }
                }
            }
        }
    }

    /// A shortest cycle among those through some transaction, if there is any cycle.
    pub(super) fn cycle(&self) -> Option<Vec<Step>> {
        let on_cycle = self.nodes_on_cycles();
        let nodes = (0..self.txns.len()).filter(|node| on_cycle.contains(node));
        let cycles = nodes.filter_map(|node| self.cycle_through(node, &on_cycle));
        let shortest = cycles.take(CYCLES_COMPARED).min_by_key(Vec::len)?;
        let step = |(node, edge): &(usize, &'static str)| {
            self.txns.get(*node).map(|txn| Step { txn: txn.clone(), edge })
        };
        Some(shortest.iter().filter_map(step).collect())
    }

    /// What is left when nodes without a predecessor, or without a successor, are taken away again and again.
    fn nodes_on_cycles(&self) -> HashSet<usize> {
        let mut back = vec![Vec::new(); self.edges.len()];
        for (from, edges) in self.edges.iter().enumerate() {
            for (to, _) in edges {
                if let Some(back) = back.get_mut(*to) {
                    back.push(from);
                }
            }
        }
        let forward: Vec<Vec<usize>> =
            self.edges.iter().map(|edges| edges.iter().map(|(to, _)| *to).collect()).collect();
        let after = left_by_peeling(&forward, &back);
        let before = left_by_peeling(&back, &forward);
        after.intersection(&before).copied().collect()
    }

    /// Breadth first from the node back to itself.
    fn cycle_through(&self, start: usize, within: &HashSet<usize>) -> Option<Vec<(usize, &'static str)>> {
        let mut reached_by: HashMap<usize, (usize, &'static str)> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for (to, kind) in self.edges.get(node).into_iter().flatten() {
                if !within.contains(to) || reached_by.contains_key(to) {
                    continue;
                }
                reached_by.insert(*to, (node, kind));
                if *to == start {
                    return Some(path_back(start, &reached_by));
                }
                queue.push_back(*to);
            }
        }
        None
    }
}

/// Appends that were acknowledged and are in no list that was read.
fn unseen_appends<'h>(txns: &'h [Txn], lists: &Lists<'h>) -> HashMap<&'h str, Vec<usize>> {
    let mut unseen: HashMap<&str, Vec<usize>> = HashMap::new();
    let seen: HashMap<&str, HashSet<u64>> =
        lists.orders.iter().map(|(key, order)| (*key, order.iter().copied().collect())).collect();
    for (number, txn) in txns.iter().enumerate().filter(|(_, txn)| txn.outcome == Outcome::Ok) {
        for (key, value) in txn.appends() {
            if seen.get(key).is_some_and(|seen| !seen.contains(&value)) {
                unseen.entry(key).or_default().push(number);
            }
        }
    }
    unseen
}

/// Takes away, again and again, every node to which no edge leads any more.
fn left_by_peeling(forward: &[Vec<usize>], back: &[Vec<usize>]) -> HashSet<usize> {
    let mut incoming: Vec<usize> = back.iter().map(Vec::len).collect();
    let free =
        |incoming: &[usize]| (0..incoming.len()).filter(|node| incoming.get(*node) == Some(&0)).collect();
    let mut free: Vec<usize> = free(&incoming);
    let mut left: HashSet<usize> = (0..incoming.len()).collect();
    while let Some(node) = free.pop() {
        left.remove(&node);
        for to in forward.get(node).into_iter().flatten() {
            if let Some(count) = incoming.get_mut(*to) {
                *count -= 1;
                if *count == 0 {
                    free.push(*to);
                }
            }
        }
    }
    left
}

fn path_back(start: usize, reached_by: &HashMap<usize, (usize, &'static str)>) -> Vec<(usize, &'static str)> {
    let mut path = Vec::new();
    let mut at = start;
    while let Some((before, kind)) = reached_by.get(&at) {
        path.push((*before, *kind));
        at = *before;
        if at == start {
            break;
        }
    }
    path.reverse();
    path
}
